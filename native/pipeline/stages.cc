#include "pipeline/stages.h"

#include "packet/checksum.h"

namespace esplane::pipeline {

using packet::Batch;
using packet::Verdict;

void Stages::begin(Burst& burst, port::Role role) {
  burst.origin = Origin::kReceived;
  core_.counters->rx_packets.add(burst.batch.size);
  if (core_.shared.plain_forwarding) {
    burst.work = Burst::Work::kNone;
    Core::read_headers(burst);
  } else if (role == port::Role::kLan) {
    Core::read_headers(burst);
    refuse_unforwardable(burst);
    begin_gathered(burst);
  } else if (role == port::Role::kHost) {
    Core::read_host_headers(burst);
    consume_chatter(burst);
    begin_gathered(burst);
  } else {
    burst.work = Burst::Work::kOpen;  // all of it
  }
}

void Stages::work(const Shared& shared, Burst& burst) {
  switch (burst.work) {
    case Burst::Work::kNone:
    case Burst::Work::kGather:
    case Burst::Work::kCut:
      break;
    case Burst::Work::kSeal:
      burst.sealing.seal();
      break;
    case Burst::Work::kOpen:
      work_inbound(shared, burst);
  }
}

void Stages::finish(Burst& burst) {
  switch (burst.work) {
    case Burst::Work::kNone:
      deliver(burst);
      break;
    case Burst::Work::kSeal:
      finish_outbound(burst);
      break;
    case Burst::Work::kOpen:
      finish_inbound(burst);
      break;
    case Burst::Work::kGather:
      gather(burst);
      break;
    case Burst::Work::kCut:
      seal_in_pieces(burst);
  }
}

void Stages::from_port(Burst& burst, port::Role role) {
  begin(burst, role);
  work(core_.shared, burst);
  finish(burst);
  finish_turned();
  send_own();
}

void Stages::begin_turned(Burst& into) {
  into.restart(turned_, core_.shared.chunk_bytes);
  for (uint32_t i = 0; i < turned_.batch.size; i++)
    into.append(turned_.batch.data[i], turned_.batch.length[i], turned_.headers[i]);
  turned_.batch.clear();
  begin_gathered(into);
}

void Stages::finish_turned() {
  if (turned_any()) outbound(turned_);
}

void Stages::hand_to_kernel(Burst& burst, uint32_t i) {
  packet::complete_checksum(burst.batch.data[i], burst.headers[i]);
  hand_to_host(burst, i, spd::kHostScope);
}

void Stages::hand_to_host(Burst& burst, uint32_t i, spd::Scope scope) {
  core_.egress.reinject(burst.batch.data[i], burst.batch.length[i], burst.origin, scope);
  burst.gone(i);
}

void Stages::resume(net::NextHopCache::Entry& entry) {
  HoldQueue::Packet packet;
  while (core_.held.release(entry, packet)) {
    resumed_.batch.clear();
    resumed_.batch.chunk_bytes = core_.shared.chunk_bytes;
    resumed_.from = packet.from;
    resumed_.origin = packet.origin;
    resumed_.append(packet.data, packet.length);
    core_.read_again(resumed_);
    if (packet.resume == Resume::kOutbound) {
      outbound(resumed_);
    } else {
      deliver(resumed_);
      finish_turned();
    }
  }
  send_own();
}

void Stages::send_own() {
  // Errors about errors are never made (Origin::kOurs), so this list does not grow meanwhile.
  for (const auto& error : core_.own) {
    resumed_.batch.clear();
    resumed_.batch.chunk_bytes = core_.shared.chunk_bytes;
    resumed_.from = error.from;
    resumed_.origin = Origin::kOurs;
    resumed_.append(error.data, error.length);
    core_.read_again(resumed_);
    if (error.resume == Resume::kHost) {
      hand_to_host(resumed_, 0, error.from.scope);
    } else if (error.resume == Resume::kOutbound) {
      outbound(resumed_);
    } else {
      deliver(resumed_);
      finish_turned();
    }
  }
  core_.own.clear();
}

}  // namespace esplane::pipeline
