// A small eBPF assembler: a C++ function that calls it reads as the program's listing.
//
//   Assembler a;
//   const Label pass = a.label();
//   a.load16(r3, r7, 12);                  // r3 = ethertype
//   a.jne(r3, net16(0x0800), pass);        // not IPv4: the kernel's
//   ...
//   a.bind(pass);
//   a.mov(r0, XDP_PASS);
//   a.exit();
//   Program program(BPF_PROG_TYPE_XDP, "name", a.finish());
//
// Arithmetic and comparisons work on 64 bits. Only the instructions that our programs use.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "port/xdp/bpf.h"

namespace esplane::port::xdp {

/// A register. r0: results; r1-r5: arguments, lost in calls; r6-r9: kept; r10: top of the stack.
struct Register {
  uint8_t number;
};
inline constexpr Register r0{BPF_REG_0}, r1{BPF_REG_1}, r2{BPF_REG_2}, r3{BPF_REG_3},
    r4{BPF_REG_4}, r5{BPF_REG_5}, r6{BPF_REG_6}, r7{BPF_REG_7}, r8{BPF_REG_8}, r9{BPF_REG_9},
    r10{BPF_REG_10};

/// The second operand of an instruction: a register or a constant.
struct Operand {
  bool is_register;
  uint8_t number;
  int32_t constant;
  Operand(Register r) : is_register(true), number(r.number), constant(0) {}
  Operand(int32_t value) : is_register(false), number(0), constant(value) {}
};

/// A place in the program, before or behind the jumps that lead there.
struct Label {
  uint32_t index;
};

/// A 16-bit field in network byte order, as load16 reads it from a packet.
constexpr int32_t net16(uint16_t host_order) { return __builtin_bswap16(host_order); }

class Assembler {
 public:
  // dst = source; dst = dst op source
  void mov(Register dst, Operand source) { alu(BPF_MOV, dst, source); }
  void add(Register dst, Operand source) { alu(BPF_ADD, dst, source); }
  void and_(Register dst, Operand source) { alu(BPF_AND, dst, source); }
  void shl(Register dst, Operand source) { alu(BPF_LSH, dst, source); }
  void shr(Register dst, Operand source) { alu(BPF_RSH, dst, source); }
  /// dst = its low 16 bits, from network to host byte order.
  void to_host16(Register dst) { emit(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 16); }

  // dst = bytes at base + offset, zero-extended, in host byte order
  void load8(Register dst, Register base, int offset) { load(BPF_B, dst, base, offset); }
  void load16(Register dst, Register base, int offset) { load(BPF_H, dst, base, offset); }
  void load32(Register dst, Register base, int offset) { load(BPF_W, dst, base, offset); }

  // bytes at base + offset = source
  void store32(Register base, int offset, Operand source) { store(BPF_W, base, offset, source); }
  void store64(Register base, int offset, Operand source) { store(BPF_DW, base, offset, source); }

  // Jumps if the comparison (unsigned) holds
  void jump(Label to) { jump_if(BPF_JA, r0, 0, to); }
  void jeq(Register a, Operand b, Label to) { jump_if(BPF_JEQ, a, b, to); }
  void jne(Register a, Operand b, Label to) { jump_if(BPF_JNE, a, b, to); }
  void jgt(Register a, Operand b, Label to) { jump_if(BPF_JGT, a, b, to); }
  void jge(Register a, Operand b, Label to) { jump_if(BPF_JGE, a, b, to); }
  void jlt(Register a, Operand b, Label to) { jump_if(BPF_JLT, a, b, to); }
  /// Jumps if any bit of b is set in a.
  void jset(Register a, Operand b, Label to) { jump_if(BPF_JSET, a, b, to); }

  /// dst = the map, as helpers take it.
  void load_map(Register dst, const Map& map) { load_wide(dst, BPF_PSEUDO_MAP_FD, map); }
  /// dst = address of the first value of an array map.
  void load_map_value(Register dst, const Map& map) { load_wide(dst, BPF_PSEUDO_MAP_VALUE, map); }

  void call(bpf_func_id helper) { emit(BPF_JMP | BPF_CALL, r0, 0, 0, helper); }
  void exit() { emit(BPF_JMP | BPF_EXIT, r0, 0, 0, 0); }

  /// A new label, not yet placed.
  Label label();
  /// Places `label` before the next instruction. @throws std::logic_error if it is placed already
  void bind(Label label);

  /// The program, with its jumps resolved.
  /// @throws std::logic_error for a jump to a label that was never placed, or is too far away
  std::vector<bpf_insn> finish();

 private:
  struct Jump {
    size_t instruction;
    uint32_t label;
  };
  static constexpr int64_t kUnbound = -1;

  void emit(int opcode, Register dst, uint8_t source, int offset, int32_t constant);
  void alu(int operation, Register dst, Operand source);
  void load(int size, Register dst, Register base, int offset);
  void store(int size, Register base, int offset, Operand source);
  void jump_if(int condition, Register a, Operand b, Label to);
  void load_wide(Register dst, uint8_t kind, const Map& map);

  std::vector<bpf_insn> code_;
  std::vector<int64_t> labels_;  ///< position of each label
  std::vector<Jump> jumps_;
};

}  // namespace esplane::port::xdp
