#include "port/packet/block_ring.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace esplane::port {
namespace {

constexpr uint32_t kRetireMilliseconds = 1;
constexpr uint32_t kMinFrameBytes = 2048;  // only divides a block; frames are packed in V3

template <class T>
void set_option(int fd, int level, int option, const T& value, const char* step) {
  if (setsockopt(fd, level, option, &value, sizeof value) < 0) {
    throw_errno(errno, std::string("cannot ") + step);
  }
}

}  // namespace

BlockRing::BlockRing(const Options& options)
    : options_(options), fd_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
  if (!fd_) throw_errno(errno, "cannot open a packet socket");
  set_option(fd(), SOL_PACKET, PACKET_VERSION, int{TPACKET_V3}, "select TPACKET_V3");
  if (options.offload_headers) {
    set_option(fd(), SOL_PACKET, PACKET_VNET_HDR, 1, "get offload headers from a packet socket");
  }
  if (!options.outgoing) {
    set_option(fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "ignore outgoing packets");
  }
  tpacket_req3 ring{};
  ring.tp_block_size = options.block_bytes;
  ring.tp_block_nr = options.blocks;
  ring.tp_frame_size = kMinFrameBytes;
  ring.tp_frame_nr = options.block_bytes / kMinFrameBytes * options.blocks;
  ring.tp_retire_blk_tov = kRetireMilliseconds;
  set_option(fd(), SOL_PACKET, PACKET_RX_RING, ring, "make a packet ring");
  void* p = mmap(nullptr, size_t{options.block_bytes} * options.blocks, PROT_READ | PROT_WRITE,
                 MAP_SHARED, fd(), 0);
  if (p == MAP_FAILED) throw_errno(errno, "cannot map a packet ring");
  memory_ = static_cast<uint8_t*>(p);
}

BlockRing::~BlockRing() { munmap(memory_, size_t{options_.block_bytes} * options_.blocks); }

void BlockRing::reject_all() {
  sock_filter nothing[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  const sock_fprog program{1, nothing};
  set_option(fd(), SOL_SOCKET, SO_ATTACH_FILTER, program, "attach a socket filter");
}

void BlockRing::attach(const xdp::Program& filter) {
  set_option(fd(), SOL_SOCKET, SO_ATTACH_BPF, filter.fd(), "attach a BPF socket filter");
}

void BlockRing::bind_to(int ifindex) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  if (::bind(fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    throw_errno(errno, "cannot bind a packet socket");
  }
}

void BlockRing::set_promiscuous(int ifindex) {
  packet_mreq membership{};
  membership.mr_ifindex = ifindex;
  membership.mr_type = PACKET_MR_PROMISC;
  set_option(fd(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, "make an interface promiscuous");
}

int BlockRing::join(int group) {
  // The group in the low half, which the kernel chooses for a new one; kind and flags above.
  int wanted = PACKET_FANOUT_HASH << 16;
  wanted |= group == kNewGroup ? PACKET_FANOUT_FLAG_UNIQUEID << 16 : group;
  set_option(fd(), SOL_PACKET, PACKET_FANOUT, wanted, "join a packet fanout group");
  int got = 0;
  socklen_t bytes = sizeof got;
  if (getsockopt(fd(), SOL_PACKET, PACKET_FANOUT, &got, &bytes) < 0) {
    throw_errno(errno, "cannot read a packet fanout group");
  }
  return got & 0xffff;
}

bool BlockRing::next(RingPacket& packet) {
  while (left_in_block_ == 0) {
    auto& header = block(block_)->hdr.bh1;
    if (in_block_) {
      __atomic_store_n(&header.block_status, uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
      in_block_ = false;
      block_ = (block_ + 1) % options_.blocks;
      continue;
    }
    if (!(__atomic_load_n(&header.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return false;
    in_block_ = true;
    left_in_block_ = header.num_pkts;
    next_ = reinterpret_cast<const tpacket3_hdr*>(reinterpret_cast<uint8_t*>(block(block_)) +
                                                  header.offset_to_first_pkt);
  }
  const auto* start = reinterpret_cast<const uint8_t*>(next_);
  packet.frame = {start + next_->tp_mac, next_->tp_snaplen};
  packet.wire_bytes = next_->tp_len;
  packet.header = next_;
  packet.offload = {};
  if (options_.offload_headers) {
    std::memcpy(&packet.offload, packet.frame.data() - sizeof packet.offload,
                sizeof packet.offload);
  }
  left_in_block_--;
  next_ = reinterpret_cast<const tpacket3_hdr*>(start + next_->tp_next_offset);
  return true;
}

uint64_t BlockRing::drops() {
  tpacket_stats_v3 since_last{};
  socklen_t bytes = sizeof since_last;
  if (getsockopt(fd(), SOL_PACKET, PACKET_STATISTICS, &since_last, &bytes) == 0) {
    drops_.fetch_add(since_last.tp_drops, std::memory_order_relaxed);
  }
  return drops_.load(std::memory_order_relaxed);
}

}  // namespace esplane::port
