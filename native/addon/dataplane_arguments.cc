#include "addon/dataplane_arguments.h"

#include <utility>

namespace esplane::addon {
namespace {

port::Role to_role(const Fields& f) {
  const auto text = f.text("role");
  if (text != "lan" && text != "wan") f.refuse("role", "\"lan\" or \"wan\"");
  return text == "lan" ? port::Role::kLan : port::Role::kWan;
}

packet::IpAddress to_address(const Fields& f, const char* name) {
  const auto address = packet::IpAddress::parse(f.text(name).c_str());
  if (!address) f.refuse(name, "a numeric IP address");
  return *address;
}

packet::IpAddress to_raw_address(const Fields& f, const char* name, bool is_v4) {
  const auto raw = f.bytes(name);
  if (raw.size() != (is_v4 ? 4u : 16u)) f.refuse(name, is_v4 ? "4 bytes" : "16 bytes");
  return is_v4 ? packet::IpAddress::v4(raw.data()) : packet::IpAddress::v6(raw.data());
}

/// RFC 7296 §3.13.1
packet::Selector to_selector(const Napi::Value& v, const std::string& path) {
  const Fields f(v, path);
  const auto family = f.integer("family", 4, 6);
  if (family == 5) f.refuse("family", "4 or 6");
  return {.start = to_raw_address(f, "startAddress", family == 4),
          .end = to_raw_address(f, "endAddress", family == 4),
          .protocol = static_cast<uint8_t>(f.integer("protocol", 0, 255)),
          .start_port = static_cast<uint16_t>(f.integer("startPort", 0, 65535)),
          .end_port = static_cast<uint16_t>(f.integer("endPort", 0, 65535))};
}

std::vector<packet::Selector> to_selectors(const Fields& f, const char* name) {
  std::vector<packet::Selector> all;
  f.elements(name, [&](const Napi::Value& v, const std::string& path) {
    all.push_back(to_selector(v, path));
  });
  return all;
}

/// RFC 4301 §4.4.2.1
sad::LifetimeLimits to_lifetime(const Fields& f) {
  constexpr int64_t kMostExact = (int64_t{1} << 53) - 1;  // of a JavaScript number
  sad::LifetimeLimits limits;
  const auto amount = [&](const char* name, uint64_t& limit) {
    if (!f.has(name)) return;
    limit = f.value(name).IsNumber() ? static_cast<uint64_t>(f.integer(name, 0, kMostExact))
                                     : f.unsigned64(name);
  };
  const auto seconds = [&](const char* name, uint32_t& limit) {
    if (f.has(name)) limit = static_cast<uint32_t>(f.integer(name, 0, UINT32_MAX));
  };
  amount("softBytes", limits.soft_bytes);
  amount("hardBytes", limits.hard_bytes);
  amount("softPackets", limits.soft_packets);
  amount("hardPackets", limits.hard_packets);
  seconds("softSeconds", limits.soft_seconds);
  seconds("hardSeconds", limits.hard_seconds);
  return limits;
}

const char* name_of(sad::Lifetime::Cause cause) {
  switch (cause) {
    case sad::Lifetime::Cause::kBytes:
      return "bytes";
    case sad::Lifetime::Cause::kPackets:
      return "packets";
    case sad::Lifetime::Cause::kTime:
      return "time";
  }
  __builtin_unreachable();
}

sad::Protocol to_protocol(const Fields& f) {
  const auto text = f.text("protocol");
  if (text != "esp" && text != "ah") f.refuse("protocol", "\"esp\" or \"ah\"");
  return text == "esp" ? sad::Protocol::kEsp : sad::Protocol::kAh;
}

sad::Mode to_mode(const Fields& f) {
  const auto text = f.text("mode");
  if (text != "tunnel" && text != "transport") f.refuse("mode", "\"tunnel\" or \"transport\"");
  return text == "tunnel" ? sad::Mode::kTunnel : sad::Mode::kTransport;
}

/// RFC 4301 §5.1.2
sad::OuterPolicy to_outer_policy(const Fields& f) {
  using DontFragment = sad::OuterPolicy::DontFragment;
  sad::OuterPolicy policy;
  if (f.has("df")) {
    const auto df = f.text("df");
    if (df == "set") {
      policy.dont_fragment = DontFragment::kSet;
    } else if (df == "clear") {
      policy.dont_fragment = DontFragment::kClear;
    } else if (df != "copy") {
      f.refuse("df", "\"copy\", \"set\" or \"clear\"");
    }
  }
  if (f.value("dscp").IsString()) {
    if (f.text("dscp") != "copy") f.refuse("dscp", "\"copy\" or a number from 0 to 63");
  } else if (f.has("dscp")) {
    policy.dscp = static_cast<uint8_t>(f.integer("dscp", 0, 63));
  }
  if (f.has("flowLabel")) {
    policy.flow_label = static_cast<uint32_t>(f.integer("flowLabel", 0, 0xfffff));
  }
  if (f.has("ttl")) policy.ttl = static_cast<uint8_t>(f.integer("ttl", 1, 255));
  return policy;
}

/// RFC 4303 §2.7, §2.6
sad::Tfc to_tfc(const Fields& f) {
  sad::Tfc tfc;
  if (f.has("padTo")) tfc.pad_to_bytes = static_cast<uint16_t>(f.integer("padTo", 0, 65535));
  if (f.has("dummiesPerSecond")) {
    tfc.dummies_per_second = static_cast<uint32_t>(f.integer("dummiesPerSecond", 0, 100'000));
  }
  return tfc;
}

spd::Entry to_spd_entry(const Napi::Value& v, const std::string& path) {
  const Fields f(v, path);
  spd::Entry entry;
  const auto action = f.text("action");
  const auto direction = f.text("direction");
  if (action == "protect") {
    entry.action = spd::Action::kProtect;
    entry.policy = f.text("policy");
  } else if (action == "bypass") {
    entry.action = spd::Action::kBypass;
  } else if (action == "discard") {
    entry.action = spd::Action::kDiscard;
  } else {
    f.refuse("action", "\"protect\", \"bypass\" or \"discard\"");
  }
  if (direction != "outbound" && direction != "inbound")
    f.refuse("direction", "\"outbound\" or \"inbound\"");
  entry.direction = direction == "outbound" ? spd::Direction::kOutbound : spd::Direction::kInbound;
  if (f.has("scope")) entry.scope = static_cast<spd::Scope>(f.integer("scope", 0, spd::kLastScope));
  entry.local = to_selectors(f, "localSelectors");
  entry.remote = to_selectors(f, "remoteSelectors");
  return entry;
}

}  // namespace

pipeline::WorkerPlan to_worker_plan(const Fields& f) {
  pipeline::WorkerPlan plan;
  plan.workers = static_cast<uint32_t>(f.integer("workers", 1, pipeline::Dataplane::kMostWorkers));
  if (f.has("cpus")) {
    f.elements("cpus", [&](const Napi::Value& cpu, const std::string& path) {
      plan.cpus.push_back(static_cast<int>(to_integer(cpu, path, 0, CPU_SETSIZE - 1)));
    });
  }
  if (f.has("queueWorkers")) {
    f.elements("queueWorkers", [&](const Napi::Value& owner, const std::string& path) {
      plan.owners.push_back(static_cast<uint32_t>(to_integer(owner, path, 0, plan.workers - 1)));
    });
  }
  return plan;
}

pipeline::DataplaneOptions to_dataplane_options(const Napi::Value& v) {
  const Fields f(v, "options");
  pipeline::DataplaneOptions o;
  o.plan = to_worker_plan(f);
  if (f.has("queues")) o.queues = static_cast<uint32_t>(f.integer("queues", 0, 1024));
  o.max_child_sas = static_cast<uint32_t>(f.integer("maxChildSas", 1, sad::Sad::kMostPairs));
  o.frames_per_queue = static_cast<uint32_t>(f.integer("framesPerQueue", 256, 1 << 20));
  o.frame_bytes = static_cast<uint32_t>(f.integer("frameBytes", 2048, 4096));
  if (o.frame_bytes != 2048 && o.frame_bytes != 4096) f.refuse("frameBytes", "2048 or 4096");
  o.plain_forwarding = f.flag_or("plainForwarding", false);
  if (f.has("busyPollMicroseconds"))
    o.busy_poll_us = static_cast<uint32_t>(f.integer("busyPollMicroseconds", 0, 10'000));
  if (f.has("reinjectLink")) o.reinject_link = f.text("reinjectLink");
  if (f.has("tunName")) o.tun_name = f.text("tunName");
  return o;
}

port::PortOptions to_port_options(const Napi::Value& v) {
  const Fields f(v, "options");
  port::PortOptions o;
  o.name = f.text("name");
  o.role = to_role(f);
  const auto kind = f.text("kind");
  try {
    o.kind = port::parse_kind(kind);
  } catch (const std::invalid_argument&) {
    f.refuse("kind", "\"auto\", \"xdp\", \"packet\", \"memory\" or \"pcap\"");
  }
  o.device = f.text("device");
  o.queues = static_cast<uint32_t>(f.integer("queues", 0, 1024));
  if (f.has("link")) o.link = f.text("link");
  if (o.kind == port::Kind::kMemory && o.link.empty())
    f.refuse("link", "the name of the wire that a memory port is an end of");
  return o;
}

pipeline::StaticPort to_static_port(const Napi::Value& v) {
  const Fields f(v, "options");
  pipeline::StaticPort known;
  if (f.has("networks")) {
    f.elements("networks", [&](const Napi::Value& element, const std::string& path) {
      const auto prefix = net::Prefix::parse(to_text(element, path));
      if (!prefix) throw_type(element.Env(), path, "a numeric IP prefix");
      known.networks.push_back(*prefix);
    });
  }
  if (f.has("addresses")) {
    f.elements("addresses", [&](const Napi::Value& element, const std::string& path) {
      const auto address = packet::IpAddress::parse(to_text(element, path).c_str());
      if (!address) throw_type(element.Env(), path, "a numeric IP address");
      known.addresses.push_back(*address);
    });
  }
  return known;
}

std::vector<port::Prefix> to_prefixes(const Fields& fields, const char* name) {
  std::vector<port::Prefix> all;
  fields.elements(name, [&](const Napi::Value& v, const std::string& path) {
    const auto text = to_text(v, path);
    try {
      all.push_back(port::Prefix::parse(text));
    } catch (const std::invalid_argument& e) {
      throw Napi::TypeError::New(v.Env(), path + ": " + e.what());
    }
  });
  return all;
}

std::vector<spd::Entry> to_spd_entries(const Napi::Value& v) {
  const auto array = to_array(v, "entries");
  std::vector<spd::Entry> entries;
  for (uint32_t i = 0; i < array.Length(); i++)
    entries.push_back(to_spd_entry(array.Get(i), "entries[" + std::to_string(i) + "]"));
  return entries;
}

uint32_t to_spi(const Napi::Value& v, const std::string& field) {
  return static_cast<uint32_t>(to_integer(v, field, 256, UINT32_MAX));  // RFC 4303 §2.1
}

sad::Endpoint to_endpoint(const Napi::Value& v, const std::string& field) {
  const Fields f(v, field);
  return {to_address(f, "address"), static_cast<uint16_t>(f.integer("port", 0, 65535))};
}

spd::Part to_part(const Napi::Value& v, bool standby) {
  const Fields f(v, "sa");
  spd::Part part{.standby = standby};
  if (f.has("resource"))
    part.resource = static_cast<spd::Resource>(f.integer("resource", 0, spd::kAnyResource - 1));
  part.asks = f.flag_or("asks", false);
  return part;
}

sad::SaParameters to_sa_parameters(const Napi::Value& v) {
  const Fields f(v, "sa");
  const Fields local = f.object("local"), remote = f.object("remote");
  sad::SaParameters p;
  p.inbound_spi = to_spi(f.value("inboundSpi"), f.path("inboundSpi"));
  p.outbound_spi = to_spi(f.value("outboundSpi"), f.path("outboundSpi"));
  p.protocol = to_protocol(f);
  p.mode = to_mode(f);
  p.local = to_address(local, "address");
  p.remote = to_address(remote, "address");
  p.local_port = static_cast<uint16_t>(local.integer("port", 0, 65535));
  p.remote_port = static_cast<uint16_t>(remote.integer("port", 0, 65535));
  p.udp_encapsulation = f.flag("udpEncapsulation");
  p.encryption = static_cast<uint16_t>(f.integer("encryption", 0, 65535));
  p.key_bits = static_cast<uint16_t>(f.integer("keyBits", 0, 65535));
  p.integrity = static_cast<uint16_t>(f.integer("integrity", 0, 65535));
  p.inbound_key = f.bytes("inboundKey");
  p.outbound_key = f.bytes("outboundKey");
  p.esn = f.flag("esn");
  p.replay_window = static_cast<uint32_t>(f.integer("replayWindow", 0, replay::Window::kMostPackets));
  if (f.has("fragmentation")) {
    const auto text = f.text("fragmentation");
    if (text != "before" && text != "after") f.refuse("fragmentation", "\"before\" or \"after\"");
    p.fragment_after = text == "after";
  }
  if (f.has("tcpMss")) {
    const auto text = f.text("tcpMss");
    if (text != "clamp" && text != "keep") f.refuse("tcpMss", "\"clamp\" or \"keep\"");
    p.clamp_mss = text == "clamp";
  }
  if (f.has("outboundSequence")) p.outbound_sequence = f.unsigned64("outboundSequence");
  if (f.has("inboundSequence")) p.inbound_sequence = f.unsigned64("inboundSequence");
  if (f.has("lifetime")) p.lifetime = to_lifetime(f.object("lifetime"));
  p.local_selectors = to_selectors(f, "localSelectors");
  p.remote_selectors = to_selectors(f, "remoteSelectors");
  if (f.has("outer")) p.outer = to_outer_policy(f.object("outer"));
  if (f.has("tfc")) p.tfc = to_tfc(f.object("tfc"));
  return p;
}

static void set_packets(Napi::Object o, const port::QueueStats& stats) {
  const Napi::Env env = o.Env();
  o.Set("rxPackets", Napi::BigInt::New(env, stats.rx));
  o.Set("txPackets", Napi::BigInt::New(env, stats.tx));
  o.Set("rxDropped", Napi::BigInt::New(env, stats.rx_dropped + stats.rx_no_frame));
}

Napi::Object from_port_status(Napi::Env env, const pipeline::PortStatus& status) {
  auto o = Napi::Object::New(env);
  o.Set("number", status.number);
  o.Set("name", status.name);
  o.Set("role", status.role == port::Role::kLan ? "lan" : "wan");
  o.Set("device", status.device);
  o.Set("mode", status.mode);
  o.Set("note", status.note);
  o.Set("queues", status.queues);
  set_packets(o, status.stats);
  o.Set("txFull", Napi::BigInt::New(env, status.stats.tx_full));
  return o;
}

pipeline::InterfaceOptions to_interface_options(const Napi::Value& v) {
  const Fields f(v, "options");
  return {.name = f.text("name"), .link = f.has("link") ? f.text("link") : ""};
}

Napi::Object from_interface_status(Napi::Env env, const pipeline::InterfaceStatus& status) {
  auto o = Napi::Object::New(env);
  o.Set("name", status.name);
  o.Set("scope", status.scope);
  o.Set("mtu", status.mtu_bytes);
  set_packets(o, status.stats);
  o.Set("txRefused", Napi::BigInt::New(env, status.stats.tx_full));
  return o;
}

Napi::Object from_counters(Napi::Env env, const sad::PairCounters& c) {
  auto o = Napi::Object::New(env);
  o.Set("inPackets", Napi::BigInt::New(env, c.in_packets));
  o.Set("inBytes", Napi::BigInt::New(env, c.in_bytes));
  o.Set("outPackets", Napi::BigInt::New(env, c.out_packets));
  o.Set("outBytes", Napi::BigInt::New(env, c.out_bytes));
  o.Set("outSequence", Napi::BigInt::New(env, c.out_sequence));
  o.Set("inSequence", Napi::BigInt::New(env, c.in_sequence));
  o.Set("inLost", Napi::BigInt::New(env, c.in_lost));
  o.Set("pathMtu", c.path_mtu_bytes);
  o.Set("innerMtu", c.inner_mtu_bytes);
  auto drops = Napi::Object::New(env);
  for (uint32_t v = 0; v < packet::kVerdictCount; v++) {
    if (packet::kVerdicts[v].is_drop && c.refused[v] != 0)
      drops.Set(packet::kVerdicts[v].name, Napi::BigInt::New(env, c.refused[v]));
  }
  o.Set("inDrops", drops);
  return o;
}

Napi::Object from_event(Napi::Env env, const pipeline::Event& event) {
  using Kind = pipeline::Event::Kind;
  auto o = Napi::Object::New(env);
  switch (event.kind) {
    case Kind::kAcquire:
      o.Set("type", "acquire");
      o.Set("policy", static_cast<const char*>(event.policy));
      if (event.resource != spd::kAnyResource) o.Set("resource", event.resource);
      break;
    case Kind::kUnknownSpi:
      o.Set("type", "unknown-spi");
      o.Set("spi", event.spi);
      o.Set("remote", event.address.text());
      break;
    case Kind::kSequenceNearEnd:
      o.Set("type", "sequence-near-end");
      o.Set("inboundSpi", event.spi);
      break;
    case Kind::kExpire:
      o.Set("type", "expire");
      o.Set("inboundSpi", event.spi);
      o.Set("direction", event.inbound ? "inbound" : "outbound");
      o.Set("hard", event.hard);
      o.Set("cause", name_of(event.cause));
      break;
    case Kind::kNatMappingChanged:
      o.Set("type", "nat-mapping-changed");
      o.Set("inboundSpi", event.spi);
      o.Set("address", event.address.text());
      o.Set("port", event.port);
      break;
    case Kind::kAddressChanged:
      o.Set("type", "address-changed");
      o.Set("ifindex", event.ifindex);
      break;
    case Kind::kPathMtu:
      o.Set("type", "path-mtu");
      o.Set("inboundSpi", event.spi);
  }
  return o;
}

}  // namespace esplane::addon
