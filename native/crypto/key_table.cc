#include "base/bytes.h"
#include "base/pool.h"
#include "crypto/composite.h"
#include "crypto/engine.h"

namespace esplane::crypto {

KeyTable::KeyTable(const Engine& engine, const Suite& suite, const Keys& keys)
    : memory_(static_cast<uint8_t*>(base::Pool::instance().allocate(engine.table_bytes))),
      bytes_(engine.table_bytes) {
  if (engine.mac) {
    expand_composite(engine, memory_, keys);
  } else {
    engine.expand(memory_, suite, keys);
  }
}

KeyTable::~KeyTable() {
  base::wipe(memory_, bytes_);
  base::Pool::instance().release(memory_, bytes_);
}

}  // namespace esplane::crypto
