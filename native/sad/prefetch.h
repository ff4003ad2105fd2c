// Of very many SAs nothing of the next packet's is in a cache. A burst asks for all that it will
// touch at once: lines of SAs, then what they point at, their key tables first. Otherwise each
// packet waits for memory several times in a row.
//
// Where packets of one SA follow each other nothing is done: it is there. Nor with few SAs, which a
// core's second cache holds: asking costs more instructions than such a packet waits.
#pragma once

#include <cstdint>

#include "packet/batch.h"
#include "sad/sad.h"

namespace esplane::sad {

/// For the pending packets of a batch whose outbound SA is set.
void prefetch_outbound(const Sad& sad, const packet::Batch& batch);

/// For packets that will be looked up in the SAD. Workers only, between two quiescent().
/// @param spi    of each; 0: none
/// @param bytes  of each packet
void prefetch_inbound(const Sad& sad, const uint32_t* spi, const uint32_t* bytes, uint32_t count);

}  // namespace esplane::sad
