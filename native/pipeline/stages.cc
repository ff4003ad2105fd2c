#include "pipeline/stages.h"

#include "packet/checksum.h"

namespace esplane::pipeline {

using packet::Batch;
using packet::Verdict;

namespace {

void append(Burst& burst, uint8_t* data, uint32_t length) {
  const uint32_t n = burst.batch.size++;
  burst.batch.data[n] = data;
  burst.batch.length[n] = length;
  burst.batch.verdict[n] = Verdict::kPending;
  burst.batch.outbound[n] = nullptr;
}

}  // namespace

void Stages::from_port(Burst& burst, port::Role role) {
  burst.origin = Origin::kReceived;
  core_.counters.rx_packets.add(burst.batch.size);
  if (core_.shared.plain_forwarding) {
    core_.read_headers(burst);
    deliver(burst);
  } else if (role == port::Role::kLan) {
    outbound_from_port(burst);
  } else {
    inbound_from_port(burst);
  }
  send_own();
}

void Stages::hand_to_kernel(Burst& burst, uint32_t i) {
  packet::complete_checksum(burst.batch.data[i], burst.headers[i]);
  core_.egress.reinject(burst.batch.data[i], burst.batch.length[i], burst.origin);
  burst.gone(i);
}

void Stages::resume(net::NextHopCache::Entry& entry) {
  HoldQueue::Packet packet;
  while (core_.held.release(entry, packet)) {
    resumed_.batch.clear();
    resumed_.batch.chunk_bytes = core_.shared.chunk_bytes;
    resumed_.port = packet.port;
    resumed_.origin = packet.origin;
    append(resumed_, packet.data, packet.length);
    core_.read_again(resumed_);
    if (packet.resume == Resume::kOutbound) {
      outbound(resumed_);
    } else {
      deliver(resumed_);
    }
  }
  send_own();
}

void Stages::send_own() {
  // Errors about errors are never made (Origin::kOurs), so this list does not grow meanwhile.
  for (const auto& error : core_.own) {
    resumed_.batch.clear();
    resumed_.batch.chunk_bytes = core_.shared.chunk_bytes;
    resumed_.port = error.port;
    resumed_.origin = Origin::kOurs;
    append(resumed_, error.data, error.length);
    core_.read_again(resumed_);
    if (error.resume == Resume::kOutbound) {
      outbound(resumed_);
    } else {
      deliver(resumed_);
    }
  }
  core_.own.clear();
}

}  // namespace esplane::pipeline
