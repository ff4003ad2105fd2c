// The assembler against instruction encodings of RFC 9669 (BPF ISA), written out by hand from it,
// and its jumps.
#include "port/xdp/assembler.h"

#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>

using namespace esplane::port::xdp;

namespace {

/// One instruction as bytes: opcode, source and destination, offset and constant little-endian.
uint64_t bytes(const bpf_insn& instruction) {
  uint8_t raw[8];
  std::memcpy(raw, &instruction, 8);
  uint64_t value = 0;
  for (uint8_t byte : raw) value = value << 8 | byte;
  return value;
}

}  // namespace

TEST_CASE("the assembler encodes instructions as RFC 9669 says") {
  Assembler a;
  a.mov(r6, r1);
  a.mov(r0, 2);
  a.add(r7, 14);
  a.add(r7, r5);
  a.and_(r5, 15);
  a.shl(r5, 2);
  a.shr(r2, 4);
  a.to_host16(r3);
  a.load8(r9, r7, 9);
  a.load16(r3, r7, 12);
  a.load32(r7, r6, 4);
  a.store32(r10, -4, r3);
  a.store64(r10, -16, 0);
  a.call(BPF_FUNC_redirect_map);
  a.exit();
  const auto code = a.finish();
  const uint64_t expected[] = {
      0xbf16000000000000, 0xb700000002000000, 0x070700000e000000, 0x0f57000000000000,
      0x570500000f000000, 0x6705000002000000, 0x7702000004000000, 0xdc03000010000000,
      0x7179090000000000, 0x69730c0000000000, 0x6167040000000000, 0x633afcff00000000,
      0x7a0af0ff00000000, 0x8500000033000000, 0x9500000000000000,
  };
  REQUIRE(code.size() == std::size(expected));
  for (size_t i = 0; i < code.size(); i++) {
    CAPTURE(i);
    CHECK(bytes(code[i]) == expected[i]);
  }
}

TEST_CASE("the assembler resolves jumps forwards, backwards and to the next instruction") {
  Assembler a;
  const Label top = a.label(), end = a.label(), next = a.label();
  a.bind(top);
  a.jeq(r1, 5, end);    // 0 -> 3
  a.jgt(r2, r8, next);  // 1 -> 2
  a.bind(next);
  a.jump(top);          // 2 -> 0
  a.bind(end);
  a.exit();
  const auto code = a.finish();
  CHECK(bytes(code[0]) == 0x1501020005000000);
  CHECK(bytes(code[1]) == 0x2d82000000000000);
  CHECK(bytes(code[2]) == 0x0500fdff00000000);
}

TEST_CASE("the assembler refuses a label that is nowhere, twice, or too far") {
  Assembler nowhere;
  nowhere.jump(nowhere.label());
  CHECK_THROWS_AS(nowhere.finish(), std::logic_error);

  Assembler twice;
  const Label label = twice.label();
  twice.bind(label);
  CHECK_THROWS_AS(twice.bind(label), std::logic_error);

  Assembler far;
  const Label end = far.label();
  far.jump(end);
  for (int i = 0; i < 40000; i++) far.mov(r0, 0);
  far.bind(end);
  CHECK_THROWS_AS(far.finish(), std::logic_error);
}
