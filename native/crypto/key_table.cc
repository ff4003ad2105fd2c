#include <new>

#include "base/bytes.h"
#include "crypto/composite.h"
#include "crypto/engine.h"

namespace esplane::crypto {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

KeyTable::KeyTable(const Engine& engine, const Suite& suite, const Keys& keys)
    : memory_(static_cast<uint8_t*>(::operator new(engine.table_bytes, kAlignment))),
      bytes_(engine.table_bytes) {
  if (engine.mac) {
    expand_composite(engine, memory_, keys);
  } else {
    engine.expand(memory_, suite, keys);
  }
}

KeyTable::~KeyTable() {
  base::wipe(memory_, bytes_);
  ::operator delete(memory_, kAlignment);
}

}  // namespace esplane::crypto
