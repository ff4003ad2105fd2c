#include "spd/policy.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <type_traits>

#include "base/bytes.h"
#include "base/pool.h"
#include "base/random.h"

namespace esplane::spd {

using packet::Family;
using packet::IpAddress;
using packet::IpHeader;
using packet::Selector;

namespace {

/// Few steps of prefix length, so that a policy has few shapes.
constexpr uint32_t kStepV4 = 4, kStepV6 = 8;

/// Length of the shortest prefix that holds the whole range, rounded down to a step.
uint8_t common_bits(const Selector& s) {
  const uint64_t high = base::load_be64(s.start.bytes) ^ base::load_be64(s.end.bytes);
  const uint64_t low = base::load_be64(s.start.bytes + 8) ^ base::load_be64(s.end.bytes + 8);
  const auto bits = static_cast<uint32_t>(high != 0 ? std::countl_zero(high)
                                                    : 64 + std::countl_zero(low));
  const bool is_v4 = s.start.is_v4();
  const uint32_t most = is_v4 ? std::min(bits, 32u) : bits;
  return static_cast<uint8_t>(most / (is_v4 ? kStepV4 : kStepV6) * (is_v4 ? kStepV4 : kStepV6));
}

/// The SelectorShape of a pair, and the protocol that both agree on.
/// @return false where no packet can match both
bool shape_of(const Selector& local, const Selector& remote, SelectorShape& shape,
              uint8_t& protocol) {
  if (local.start.family != remote.start.family) return false;
  if (local.protocol != 0 && remote.protocol != 0 && local.protocol != remote.protocol) return false;
  protocol = local.protocol != 0 ? local.protocol : remote.protocol;
  shape = {.family = local.start.family,
           .local_bits = common_bits(local),
           .remote_bits = common_bits(remote),
           .protocol = protocol != 0,
           .local_port = local.start_port == local.end_port,
           .remote_port = remote.start_port == remote.end_port};
  return true;
}

struct Masked {
  uint64_t high, low;
};

Masked prefix(const IpAddress& a, uint32_t bits) {
  const auto mask = [](uint32_t n) { return n == 0 ? 0 : ~uint64_t{0} << (64 - n); };
  const uint64_t high = base::load_be64(a.bytes) & mask(std::min(bits, 64u));
  const uint64_t low = bits <= 64 ? 0 : base::load_be64(a.bytes + 8) & mask(bits - 64);
  return {high, low};
}

uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 32);
}

/// Of the SAs that are offered the one that serves a sender best; of equals the highest rank, be
/// they offered by falling rank.
class Choice {
 public:
  Choice(Resource sender, uint32_t best_fitness) : sender_(sender), best_fitness_(best_fitness) {}

  /// @return whether nothing better can come
  bool offer(const Attachment& attachment) {
    const uint32_t fitness = attachment.fitness(sender_);
    if (chosen_ == nullptr || fitness > fitness_) {
      chosen_ = &attachment;
      fitness_ = fitness;
    }
    return fitness_ >= best_fitness_;
  }
  const Attachment* chosen() const { return chosen_; }

 private:
  const Resource sender_;
  const uint32_t best_fitness_;
  uint32_t fitness_ = 0;
  const Attachment* chosen_ = nullptr;
};

}  // namespace

static_assert(std::is_trivially_destructible_v<Selector>);

std::unique_ptr<Attachment> Attachment::make(sad::OutboundSa* sa, Policy& policy, int64_t rank,
                                             const Part& part,
                                             std::span<const Selector> local,
                                             std::span<const Selector> remote) {
  void* memory = base::Pool::instance().allocate(block_bytes(local.size(), remote.size()));
  return std::unique_ptr<Attachment>(new (memory)
                                         Attachment(sa, policy, rank, part, local, remote));
}

Attachment::Attachment(sad::OutboundSa* sa, Policy& policy, int64_t rank, const Part& part,
                       std::span<const Selector> local, std::span<const Selector> remote)
    : sa_(sa),
      policy_(policy),
      rank_(rank),
      local_count_(static_cast<uint16_t>(local.size())),
      remote_count_(static_cast<uint16_t>(remote.size())),
      resource_(part.resource),
      asks_(part.asks) {
  std::uninitialized_default_construct_n(links(), link_count());
  std::uninitialized_copy(local.begin(), local.end(), selectors());
  std::uninitialized_copy(remote.begin(), remote.end(), selectors() + local.size());
}

void Attachment::operator delete(Attachment* attachment, std::destroying_delete_t) {
  const size_t bytes = block_bytes(attachment->local_count_, attachment->remote_count_);
  attachment->~Attachment();
  base::Pool::instance().release(attachment, bytes);
}

size_t Attachment::block_bytes(size_t local_count, size_t remote_count) {
  return sizeof(Attachment) + local_count * remote_count * sizeof(Link) +
         (local_count + remote_count) * sizeof(Selector);
}

// --- a policy ------------------------------------------------------------------------------

Policy::~Policy() { delete shapes_.load(std::memory_order_relaxed); }

const Attachment* Policy::find(const IpHeader& packet, Resource sender,
                               const AttachmentTable& table) const {
  if (count_.load(std::memory_order_acquire) <= kFew) {
    Choice choice(sender, best_fitness(sender));
    const Attachment* a = first_.load(std::memory_order_acquire);
    while (a && !(a->fits(packet) && choice.offer(*a)))
      a = a->next_.load(std::memory_order_acquire);
    return choice.chosen();
  }
  const Shapes* shapes = shapes_.load(std::memory_order_acquire);
  if (shapes == nullptr) return nullptr;  // no packet matches any of them
  const Attachment* best = nullptr;
  const auto better = [sender](const Attachment& a, const Attachment& b) {
    const uint32_t fitness = a.fitness(sender), other = b.fitness(sender);
    return fitness != other ? fitness > other : a.rank_ > b.rank_;
  };
  for (const SelectorShape& shape : *shapes) {
    const Attachment* a = table.find(*this, shape, packet, sender);
    if (a && (!best || better(*a, *best))) best = a;
  }
  return best;
}

void Policy::add(Attachment& attachment) {
  Attachment* head = first_.load(std::memory_order_relaxed);
  if (head == nullptr) last_ = &attachment;
  if (head != nullptr && attachment.rank_ < last_->rank_) {
    attachment.before_ = last_;
    last_->next_.store(&attachment, std::memory_order_release);
    last_ = &attachment;
  } else {
    attachment.next_.store(head, std::memory_order_relaxed);
    if (head) head->before_ = &attachment;
    first_.store(&attachment, std::memory_order_release);
  }
  if (attachment.resource_ != kAnyResource) bound_.fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_release);
}

void Policy::remove(Attachment& attachment) {
  Attachment* next = attachment.next_.load(std::memory_order_relaxed);
  Attachment* before = attachment.before_;
  (before ? before->next_ : first_).store(next, std::memory_order_release);
  (next ? next->before_ : last_) = before;
  count_.fetch_sub(1, std::memory_order_release);
  if (attachment.resource_ != kAnyResource) bound_.fetch_sub(1, std::memory_order_relaxed);
}

void Policy::use_shape(const SelectorShape& shape, int32_t change, base::Epoch& epoch) {
  auto use = std::find_if(shape_uses_.begin(), shape_uses_.end(),
                          [&](const ShapeUse& u) { return u.shape == shape; });
  if (use != shape_uses_.end()) {
    use->links += static_cast<uint32_t>(change);
    if (use->links != 0) return;
    shape_uses_.erase(use);
  } else {
    shape_uses_.push_back({shape, 1});
  }
  auto shapes = std::make_unique<Shapes>();
  for (const ShapeUse& u : shape_uses_) shapes->push_back(u.shape);
  const Shapes* before = shapes_.exchange(shapes.release(), std::memory_order_acq_rel);
  epoch.retire(std::unique_ptr<const Shapes>(before));
}

// --- the table -----------------------------------------------------------------------------

AttachmentTable::AttachmentTable(uint32_t sas)
    : seed_(uint64_t{base::random_u32()} << 32 | base::random_u32()),
      mask_(std::bit_ceil(uint64_t{std::max(sas, 64u)}) - 1),
      chains_(std::make_unique<std::atomic<Link*>[]>(mask_ + 1)) {}

uint64_t AttachmentTable::hash(const Policy& policy, const SelectorShape& shape,
                               const IpAddress& local, const IpAddress& remote, uint8_t protocol,
                               uint16_t local_port, uint16_t remote_port) const {
  uint64_t h = mix(seed_, reinterpret_cast<uintptr_t>(&policy));
  const Masked from = prefix(local, shape.local_bits), to = prefix(remote, shape.remote_bits);
  h = mix(mix(h, from.high), to.high);
  if (shape.family == Family::kV6) h = mix(mix(h, from.low), to.low);
  const uint64_t rest = uint64_t{shape.local_bits} | uint64_t{shape.remote_bits} << 8 |
                        (shape.protocol ? uint64_t{protocol} << 16 : 0) |
                        (shape.local_port ? uint64_t{local_port} << 24 : 0) |
                        (shape.remote_port ? uint64_t{remote_port} << 40 : 0) |
                        uint64_t{shape.protocol} << 56 | uint64_t{shape.local_port} << 57 |
                        uint64_t{shape.remote_port} << 58 |
                        uint64_t{shape.family == Family::kV6} << 59;
  return mix(mix(h, rest), seed_);
}

const Attachment* AttachmentTable::find(const Policy& policy, const SelectorShape& shape,
                                        const IpHeader& packet, Resource sender) const {
  if (packet.family != shape.family) return nullptr;
  // One port is neither ANY nor OPAQUE: without ports there is no kYes.
  if (!packet.has_ports && (shape.local_port || shape.remote_port)) return nullptr;
  const uint64_t h = hash(policy, shape, packet.source, packet.destination, packet.protocol,
                          packet.source_port, packet.destination_port);
  // Of a policy, what has the highest rank stands in front.
  Choice choice(sender, policy.best_fitness(sender));
  const Link* link = chain(h).load(std::memory_order_acquire);
  for (; link != nullptr; link = link->next.load(std::memory_order_acquire)) {
    if (link->hash == h && &link->owner->policy() == &policy && link->owner->fits(packet) &&
        choice.offer(*link->owner))
      break;
  }
  return choice.chosen();
}

/// Calls `each(link, shape, hash)` for each pair of selectors that some packet can match.
template <typename Each>
void AttachmentTable::each_pair(Attachment& attachment, Each each) const {
  Link* link = attachment.links();
  for (const Selector& local : attachment.local()) {
    for (const Selector& remote : attachment.remote()) {
      SelectorShape shape;
      uint8_t protocol;
      if (shape_of(local, remote, shape, protocol)) {
        each(*link, shape,
             hash(attachment.policy(), shape, local.start, remote.start, protocol,
                  local.start_port, remote.start_port));
      }
      link++;
    }
  }
}

void AttachmentTable::add(Attachment& attachment, base::Epoch& epoch) {
  const bool standby = attachment.rank_ < 0;
  each_pair(attachment, [&](Link& link, const SelectorShape& shape, uint64_t h) {
    link.owner = &attachment;
    link.hash = h;
    link.before = &chain(h);
    Link* next = link.before->load(std::memory_order_relaxed);
    for (; standby && next; next = next->next.load(std::memory_order_relaxed))
      link.before = &next->next;
    link.next.store(next, std::memory_order_relaxed);
    if (next) next->before = &link.next;
    link.before->store(&link, std::memory_order_release);
    attachment.policy().use_shape(shape, 1, epoch);
  });
}

void AttachmentTable::remove(Attachment& attachment, base::Epoch& epoch) {
  each_pair(attachment, [&](Link& link, const SelectorShape& shape, uint64_t) {
    Link* next = link.next.load(std::memory_order_relaxed);
    link.before->store(next, std::memory_order_release);
    if (next) next->before = link.before;
    attachment.policy().use_shape(shape, -1, epoch);
  });
}

}  // namespace esplane::spd
