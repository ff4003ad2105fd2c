#include "port/xdp/assembler.h"

#include <cstdint>
#include <stdexcept>

namespace esplane::port::xdp {
namespace {

int opcode(int instruction_class, int operation, const Operand& source) {
  return instruction_class | operation | (source.is_register ? BPF_X : BPF_K);
}

}  // namespace

void Assembler::emit(int opcode, Register dst, uint8_t source, int offset, int32_t constant) {
  bpf_insn instruction{};
  instruction.code = static_cast<uint8_t>(opcode);
  instruction.dst_reg = dst.number & 0xf;
  instruction.src_reg = source & 0xf;
  instruction.off = static_cast<int16_t>(offset);
  instruction.imm = constant;
  code_.push_back(instruction);
}

void Assembler::alu(int operation, Register dst, Operand source) {
  emit(opcode(BPF_ALU64, operation, source), dst, source.number, 0, source.constant);
}

void Assembler::load(int size, Register dst, Register base, int offset) {
  emit(BPF_LDX | BPF_MEM | size, dst, base.number, offset, 0);
}

void Assembler::store(int size, Register base, int offset, Operand source) {
  const int instruction_class = source.is_register ? BPF_STX : BPF_ST;
  emit(instruction_class | BPF_MEM | size, base, source.number, offset, source.constant);
}

void Assembler::jump_if(int condition, Register a, Operand b, Label to) {
  jumps_.push_back({code_.size(), to.index});
  emit(opcode(BPF_JMP, condition, b), a, b.number, 0, b.constant);
}

void Assembler::load_wide(Register dst, uint8_t kind, const Map& map) {
  emit(BPF_LD | BPF_IMM | BPF_DW, dst, kind, 0, map.fd());
  emit(0, r0, 0, 0, 0);  // the upper half: for a map value, the offset in it
}

Label Assembler::label() {
  labels_.push_back(kUnbound);
  return {static_cast<uint32_t>(labels_.size() - 1)};
}

void Assembler::bind(Label label) {
  if (labels_.at(label.index) != kUnbound) throw std::logic_error("a label was placed twice");
  labels_[label.index] = static_cast<int64_t>(code_.size());
}

std::vector<bpf_insn> Assembler::finish() {
  for (const Jump& jump : jumps_) {
    const int64_t to = labels_.at(jump.label);
    if (to == kUnbound) throw std::logic_error("a jump leads to a label that was never placed");
    // Counted from the instruction behind the jump.
    const int64_t distance = to - static_cast<int64_t>(jump.instruction) - 1;
    if (distance < INT16_MIN || distance > INT16_MAX) {
      throw std::logic_error("a jump is too far");
    }
    code_[jump.instruction].off = static_cast<int16_t>(distance);
  }
  return code_;
}

}  // namespace esplane::port::xdp
