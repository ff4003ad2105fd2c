#include "sad/sad.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "base/random.h"

namespace esplane::sad {

Sad::Sad(uint32_t capacity, base::Epoch& epoch)
    : capacity_(capacity),
      index_mask_(std::bit_ceil(capacity) - 1),
      epoch_(epoch),
      by_outbound_spi_(capacity) {
  if (capacity == 0 || capacity > kMostPairs) {
    throw std::invalid_argument("SAD of " + std::to_string(capacity) + " pairs: 1 to " +
                                std::to_string(kMostPairs) + " are possible");
  }
  inbound_ = std::make_unique<std::atomic<InboundSa*>[]>(capacity);
  slots_.resize(capacity);
  for (uint32_t i = 0; i < capacity; i++) free_.push_back(i);
}

Sad::~Sad() { delete maskings_.load(); }

uint32_t Sad::allocate_spi() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) throw SadFull("SAD: all " + std::to_string(capacity_) + " pairs are in use");
  const uint32_t index = free_.front();
  Slot& slot = slots_[index];
  uint32_t spi;
  do {
    spi = (base::random_u32() & ~index_mask_) | index;
  } while (spi <= kLastReservedSpi || spi == slot.spi);
  free_.pop_front();
  slot.spi = spi;
  slot.reserved = true;
  return spi;
}

void Sad::release_spi(uint32_t spi) {
  const std::lock_guard lock(mutex_);
  const uint32_t index = spi & index_mask_;
  if (index >= capacity_) return;
  Slot& slot = slots_[index];
  if (slot.spi == spi && slot.reserved) free_index(index);
}

OutboundSa* Sad::install(const SaParameters& parameters) {
  validate(parameters);
  // Keys are expanded before the lock is taken.
  auto inbound = std::make_unique<InboundSa>(parameters);
  auto outbound = std::make_unique<OutboundSa>(parameters);

  inbound->outbound = outbound.get();

  const std::lock_guard lock(mutex_);
  const uint32_t index = parameters.inbound_spi & index_mask_;
  if (index >= capacity_ || slots_[index].spi != parameters.inbound_spi ||
      !slots_[index].reserved) {
    throw std::invalid_argument("SA: its inbound SPI is not a reserved one");
  }
  Slot& slot = slots_[index];
  slot.reserved = false;
  slot.inbound = std::move(inbound);
  slot.outbound = std::move(outbound);
  by_outbound_spi_.add(index, slot.outbound->spi);
  schedule_.add(parameters.inbound_spi, slot.outbound->lifetime);
  inbound_[index].store(slot.inbound.get(), std::memory_order_release);
  size_++;
  return slot.outbound.get();
}

bool Sad::remove(uint32_t inbound_spi) {
  const std::lock_guard lock(mutex_);
  Slot* slot = installed(inbound_spi);
  if (!slot) return false;
  const uint32_t index = inbound_spi & index_mask_;
  inbound_[index].store(nullptr, std::memory_order_release);
  by_outbound_spi_.remove(index, slot->outbound->spi);
  schedule_.remove(inbound_spi, slot->outbound->lifetime);
  set_masked(*slot->outbound, false);
  epoch_.retire(std::move(slot->inbound));
  epoch_.retire(std::move(slot->outbound));
  free_index(index);
  size_--;
  return true;
}

void Sad::set_masked(uint32_t inbound_spi, bool masked) {
  const std::lock_guard lock(mutex_);
  if (const Slot* slot = installed(inbound_spi)) set_masked(*slot->outbound, masked);
}

std::optional<PairCounters> Sad::counters(uint32_t inbound_spi) const {
  const std::lock_guard lock(mutex_);
  const Slot* slot = installed(inbound_spi);
  if (!slot) return std::nullopt;
  constexpr auto kRelaxed = std::memory_order_relaxed;
  PairCounters c;
  c.in_packets = slot->inbound->packets.load(kRelaxed);
  c.in_bytes = slot->inbound->bytes.load(kRelaxed);
  c.in_sequence = slot->inbound->window.highest();
  c.in_lost = slot->inbound->window.lost();
  c.out_packets = slot->outbound->packets.load(kRelaxed);
  c.out_bytes = slot->outbound->bytes.load(kRelaxed);
  c.out_sequence = slot->outbound->last_sequence() + 1;
  for (uint32_t i = 0; i < packet::kVerdictCount; i++) {
    c.refused[i] = slot->inbound->refused(static_cast<packet::Verdict>(i));
  }
  return c;
}

OutboundSa* Sad::outbound(uint32_t inbound_spi) const {
  const std::lock_guard lock(mutex_);
  const Slot* slot = installed(inbound_spi);
  return slot ? slot->outbound.get() : nullptr;
}

bool Sad::move(uint32_t inbound_spi, const Endpoint& local, const Endpoint& remote) {
  const std::lock_guard lock(mutex_);
  Slot* slot = installed(inbound_spi);
  if (!slot) return false;
  OutboundSa& out = *slot->outbound;
  if (out.mode == Mode::kTransport) {
    throw std::invalid_argument("SA: in transport mode the packets' own addresses are the ends");
  }
  const bool is_v4 = out.outer().is_v4();
  if (local.address.is_v4() != is_v4 || remote.address.is_v4() != is_v4) {
    throw std::invalid_argument("SA: an outer address of another family needs another SA");
  }
  epoch_.retire(out.set_outer(out.outer().between(local, remote)));
  out.path_mtu.forget();
  epoch_.retire(slot->inbound->set_peer(std::make_unique<const Endpoint>(remote)));
  return true;
}

OutboundSa* Sad::find_outbound(uint32_t outbound_spi, const packet::IpAddress& peer) const {
  const std::lock_guard lock(mutex_);
  const uint32_t index = by_outbound_spi_.find(outbound_spi, [&](uint32_t i) {
    const OutboundSa& sa = *slots_[i].outbound;
    return sa.spi == outbound_spi && sa.peer() == peer;
  });
  return index == OutboundIndex::kNone ? nullptr : slots_[index].outbound.get();
}

const Sad::Slot* Sad::installed(uint32_t spi) const {
  const uint32_t index = spi & index_mask_;
  if (index >= capacity_) return nullptr;
  const Slot& slot = slots_[index];
  return slot.spi == spi && slot.inbound ? &slot : nullptr;
}

Sad::Slot* Sad::installed(uint32_t spi) {
  return const_cast<Slot*>(std::as_const(*this).installed(spi));
}

void Sad::set_masked(OutboundSa& sa, bool masked) {
  if (sa.dummies_per_second == 0) return;
  const Maskings* before = maskings_.load(std::memory_order_relaxed);
  auto fresh = before ? std::make_unique<Maskings>(*before) : std::make_unique<Maskings>();
  const auto is_of = [&](const auto& masking) { return &masking->sa() == &sa; };
  if (std::any_of(fresh->begin(), fresh->end(), is_of) == masked) return;
  if (masked) fresh->push_back(std::make_shared<Masking>(sa));
  else std::erase_if(*fresh, is_of);
  maskings_.store(fresh->empty() ? nullptr : fresh.release(), std::memory_order_release);
  epoch_.retire(std::unique_ptr<const Maskings>(before));
}

void Sad::free_index(uint32_t index) {
  slots_[index].reserved = false;
  free_.push_back(index);
}

}  // namespace esplane::sad
