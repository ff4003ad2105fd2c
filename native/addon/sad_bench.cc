// benchSad and benchPolicies for bench/sad: what a packet costs among many SAs, chosen at random,
// what installing and removing costs, and how much memory an SA takes; and what a look-up costs
// among many policies where the flow cache does not help.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "addon/arguments.h"
#include "addon/cost.h"
#include "addon/guarded.h"
#include "addon/registry.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/epoch.h"
#include "esp/inbound.h"
#include "esp/outbound.h"
#include "packet/checksum.h"
#include "port/umem.h"
#include "sad/prefetch.h"
#include "sad/sad.h"
#include "spd/spd.h"

namespace esplane::addon {
namespace {

using packet::Batch;
using packet::Selector;
using packet::Verdict;

constexpr uint32_t kChunkBytes = 2048, kFrames = 1024, kBatch = 32, kInnerBytes = 64;

packet::IpAddress v4(uint32_t number) {
  uint8_t raw[4];
  base::store_be32(raw, number);
  return packet::IpAddress::v4(raw);
}
constexpr uint32_t kTen = 0x0a000000;

uint64_t resident_bytes() {
  uint64_t size = 0, resident = 0;
  if (FILE* f = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(f, "%lu %lu", &size, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Of this thread alone: other programs do not make it longer.
uint64_t processor_ns() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

/// One policy with an SA for each of many hosts. An SA's two directions share SPI and key, so that
/// what it sealed it opens as well; a packet goes from its host to its host.
class ManySas {
 public:
  explicit ManySas(uint32_t pairs) : sad_(std::max(pairs, 1u), epoch_), spd_(epoch_, pairs) {
    const Selector ten{v4(kTen), v4(kTen | 0xffffff)};
    spd_.set({{spd::Action::kProtect, spd::Direction::kOutbound, "hosts", {ten}, {ten}}});
    const uint64_t bytes_before = resident_bytes(), from = processor_ns();
    for (uint32_t t = 0; t < pairs; t++) install(t);
    install_ns = static_cast<double>(processor_ns() - from) / pairs;
    bytes_per_pair = (static_cast<double>(resident_bytes()) - static_cast<double>(bytes_before)) / pairs;
  }

  /// @return ns a pair
  double remove_all() {
    const uint64_t from = processor_ns();
    for (const uint32_t spi : spis_) {
      spd_.detach(sad_.outbound(spi));
      sad_.remove(spi);
    }
    return static_cast<double>(processor_ns() - from) / static_cast<double>(spis_.size());
  }

  /// Fills every frame with a packet for an SA at random.
  void fill() {
    for (uint32_t f = 0; f < kFrames; f++) {
      const auto t = static_cast<uint32_t>(random_() % spis_.size());
      uint8_t* p = start_[f] = frame(f) + port::FramePool::kHeadroom;
      std::memset(p, 0, kInnerBytes);
      p[0] = 0x45;
      base::store_be16(p + packet::kIpv4TotalLength, kInnerBytes);
      p[packet::kIpv4Ttl] = 64;
      p[packet::kIpv4Protocol] = 253;
      base::store_be32(p + packet::kIpv4Source, kTen + t);
      base::store_be32(p + packet::kIpv4Destination, kTen + t);
      base::store_be16(p + packet::kIpv4Checksum, packet::internet_checksum(p, 20));
      length_[f] = kInnerBytes;
    }
  }

  /// Headers, SPD without a flow cache, SA, ESP.
  /// @param ticks  a packet, of each batch
  void seal(std::vector<double>& ticks) {
    for (uint32_t first = 0; first < kFrames; first += kBatch) {
      const uint64_t from = base::ticks();
      begin(first);
      for (uint32_t i = 0; i < kBatch; i++) {
        packet::IpHeader header;
        batch_.verdict[i] = packet::parse_ip(batch_.data[i], batch_.length[i], header);
        batch_.outbound[i] = spd_.lookup_outbound(header).sa;
      }
      sad::prefetch_outbound(sad_, batch_);
      esp::outbound(batch_, now_s_);
      ticks.push_back(static_cast<double>(base::ticks() - from) / kBatch);
      end(first);
    }
  }
  /// SAD and ESP.
  void open(std::vector<double>& ticks) {
    uint16_t offset[Batch::kCapacity];
    packet::IpHeader inner[Batch::kCapacity];
    for (uint32_t first = 0; first < kFrames; first += kBatch) {
      const uint64_t from = base::ticks();
      begin(first);
      uint32_t spi[kBatch];
      for (uint32_t i = 0; i < kBatch; i++) {
        offset[i] = packet::kIpv4HeaderBytes;
        spi[i] = base::load_be32(batch_.data[i] + packet::kIpv4HeaderBytes);
      }
      sad::prefetch_inbound(sad_, spi, batch_.length, kBatch);
      for (uint32_t i = 0; i < kBatch; i++) batch_.inbound[i] = sad_.find(spi[i]);
      esp::inbound(batch_, offset, inner, now_s_);
      ticks.push_back(static_cast<double>(base::ticks() - from) / kBatch);
      end(first);
    }
  }

  double install_ns = 0, bytes_per_pair = 0;

  // Bytes of a pair, of what is known of them.
  uint32_t key_table_bytes() const { return 2 * outbound().protection.key.bytes(); }
  uint32_t window_bytes() const { return sad_.find(spis_[0])->window.bytes(); }
  static uint32_t sa_bytes() {
    return sizeof(sad::InboundSa) + sizeof(sad::OutboundSa) + sizeof(sad::OuterHeader);
  }

 private:
  void install(uint32_t t) {
    uint8_t key[20] = {};
    base::store_be32(key, t);
    sad::SaParameters p;
    p.inbound_spi = p.outbound_spi = sad_.allocate_spi();
    p.local = v4(0xc0000201);
    p.remote = v4(0xc0000202);
    p.inbound_key = p.outbound_key = key;
    p.local_selectors = {{v4(kTen), v4(kTen | 0xffffff)}};
    p.remote_selectors = {{v4(kTen + t), v4(kTen + t)}};
    spd_.attach("hosts", sad_.install(p), p.local_selectors, p.remote_selectors);
    spis_.push_back(p.inbound_spi);
  }

  const sad::OutboundSa& outbound() const { return *sad_.outbound(spis_[0]); }

  uint8_t* frame(uint32_t f) { return umem_.at(uint64_t{f} * kChunkBytes); }

  void begin(uint32_t first) {
    batch_.size = kBatch;
    batch_.chunk_bytes = kChunkBytes;
    for (uint32_t i = 0; i < kBatch; i++) {
      batch_.data[i] = start_[first + i];
      batch_.length[i] = length_[first + i];
      batch_.verdict[i] = Verdict::kPending;
    }
  }
  void end(uint32_t first) {
    for (uint32_t i = 0; i < kBatch; i++) {
      if (batch_.verdict[i] != Verdict::kPending) {
        throw std::runtime_error(std::string("a packet of the benchmark ended as ") +
                                 packet::kVerdicts[static_cast<uint32_t>(batch_.verdict[i])].name);
      }
      start_[first + i] = batch_.data[i];
      length_[first + i] = batch_.length[i];
    }
  }

  base::Epoch epoch_;
  sad::Sad sad_;
  spd::Spd spd_;
  std::vector<uint32_t> spis_;
  port::Umem umem_{kFrames, kChunkBytes};
  std::mt19937 random_{4301};
  const uint32_t now_s_ = base::monotonic_s();
  uint8_t* start_[kFrames];
  uint32_t length_[kFrames];
  Batch batch_;
};

/// benchSad(pairs, milliseconds)
Napi::Value bench_sad(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto pairs =
      static_cast<uint32_t>(to_integer(info[0], "pairs", 1, sad::Sad::kMostPairs));
  const auto milliseconds = static_cast<uint64_t>(to_integer(info[1], "milliseconds", 1, 60'000));
  return guarded(env, [&] {
    ManySas sas(pairs);
    std::vector<double> outbound, inbound;
    const uint64_t until = base::monotonic_ns() + milliseconds * 1'000'000;
    do {
      sas.fill();
      sas.seal(outbound);
      sas.open(inbound);
    } while (base::monotonic_ns() < until);
    auto o = Napi::Object::New(env);
    o.Set("outboundTicks", median(outbound));
    o.Set("inboundTicks", median(inbound));
    o.Set("installNanoseconds", sas.install_ns);
    o.Set("bytesPerPair", sas.bytes_per_pair);
    o.Set("keyTableBytes", sas.key_table_bytes());
    o.Set("windowBytes", sas.window_bytes());
    o.Set("saBytes", sas.sa_bytes());
    o.Set("removeNanoseconds", sas.remove_all());
    return o;
  });
}

/// benchPolicies(policies, milliseconds): disjoint networks, a third with ports, in order of
/// their addresses; packets to all of them alike.
Napi::Value bench_policies(const Napi::CallbackInfo& info) {
  const auto env = info.Env();
  const auto policies = static_cast<uint32_t>(to_integer(info[0], "policies", 1, 100'000));
  const auto milliseconds = static_cast<uint64_t>(to_integer(info[1], "milliseconds", 1, 60'000));
  base::Epoch epoch;
  spd::Spd spd(epoch);
  std::vector<spd::Entry> entries;
  for (uint32_t i = 0; i < policies; i++) {
    Selector local{v4(kTen), v4(kTen | 0xffffff)};
    Selector remote{v4(0x14000000 + i * 256), v4(0x14000000 + i * 256 + 255)};
    if (i % 3 == 0) {
      local.protocol = remote.protocol = packet::kTcp;
      remote.start_port = 80;
      remote.end_port = 443;
    }
    entries.push_back({i % 10 == 9 ? spd::Action::kDiscard : spd::Action::kProtect,
                       spd::Direction::kOutbound, std::to_string(i), {local}, {remote}});
  }
  const uint64_t built_from = base::monotonic_ns();
  spd.set(entries);
  const double build_ms = static_cast<double>(base::monotonic_ns() - built_from) / 1e6;

  std::mt19937 random(4301);
  std::vector<packet::IpHeader> packets(4096);
  for (auto& h : packets) {
    h.source = v4(kTen + static_cast<uint32_t>(random() & 0xffff));
    h.destination = v4(0x14000000 + static_cast<uint32_t>(random() % (policies * 256)));
    h.family = packet::Family::kV4;
    h.protocol = random() % 2 ? packet::kTcp : packet::kUdp;
    h.source_port = 1024;
    h.destination_port = random() % 2 ? 80 : 1024;
    h.has_ports = true;
  }
  std::vector<double> samples;
  uint64_t found = 0;
  const uint64_t until = base::monotonic_ns() + milliseconds * 1'000'000;
  for (size_t first = 0; base::monotonic_ns() < until; first = (first + kBatch) % packets.size()) {
    const uint64_t from = base::ticks();
    for (size_t i = first; i < first + kBatch; i++)
      found += spd.lookup_outbound(packets[i]).policy != nullptr;
    samples.push_back(static_cast<double>(base::ticks() - from) * 1000 / kBatch /
                      base::ticks_per_microsecond());
  }
  if (found == 0) throw Napi::Error::New(env, "the benchmark's packets match no policy");
  auto o = Napi::Object::New(env);
  o.Set("lookupNanoseconds", median(samples));
  o.Set("bestLookupNanoseconds", *std::min_element(samples.begin(), samples.end()));
  o.Set("buildMilliseconds", build_ms);
  return o;
}

}  // namespace

void export_sad_bench(Napi::Env env, Napi::Object exports) {
  exports.Set("benchSad", Napi::Function::New(env, bench_sad));
  exports.Set("benchPolicies", Napi::Function::New(env, bench_policies));
}

}  // namespace esplane::addon
