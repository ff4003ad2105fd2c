/** Exchange types, payload types and protocols (RFC 7296 §3.1, §3.2, §3.3.1). */
import type { Registry } from './registry.js';

/** IKEv2 Exchange Types. The IKEv1 ones, below 34, are not in this registry. */
export const EXCHANGE = {
  IKE_SA_INIT: 34,
  IKE_AUTH: 35,
  CREATE_CHILD_SA: 36,
  INFORMATIONAL: 37,
  IKE_SESSION_RESUME: 38, // RFC 5723
  GSA_AUTH: 39, // RFC 9838
  GSA_REGISTRATION: 40, // RFC 9838
  GSA_REKEY: 41, // RFC 9838
  GSA_INBAND_REKEY: 42, // RFC 9838
  IKE_INTERMEDIATE: 43, // RFC 9242
  IKE_FOLLOWUP_KE: 44, // RFC 9370
} as const satisfies Registry;

/** IKEv2 Payload Types, by the notation that RFC 7296 uses for them. 0 ends a chain. */
export const PAYLOAD = {
  SA: 33,
  KE: 34,
  IDi: 35,
  IDr: 36,
  CERT: 37,
  CERTREQ: 38,
  AUTH: 39,
  Nonce: 40,
  N: 41,
  D: 42,
  V: 43,
  TSi: 44,
  TSr: 45,
  SK: 46,
  CP: 47,
  EAP: 48,
  GSPM: 49, // RFC 6467
  IDg: 50, // RFC 9838
  GSA: 51, // RFC 9838
  KD: 52, // RFC 9838
  SKF: 53, // RFC 7383
  PS: 54, // RFC 8019
} as const satisfies Registry;

/** IKEv2 Security Protocol Identifiers (RFC 7296 §3.3.1). */
export const PROTOCOL = {
  IKE: 1,
  AH: 2,
  ESP: 3,
  FC_ESP_HEADER: 4, // RFC 4595
  FC_CT_AUTHENTICATION: 5, // RFC 4595
  GIKE_UPDATE: 6, // RFC 9838
} as const satisfies Registry;
