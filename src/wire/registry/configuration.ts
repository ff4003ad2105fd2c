/** Traffic selector types and the Configuration payload (RFC 7296 §3.13, §3.15). */
import type { Registry } from './registry.js';

/** IKEv2 Traffic Selector Types (RFC 7296 §3.13.1). */
export const TS_TYPE = {
  TS_IPV4_ADDR_RANGE: 7,
  TS_IPV6_ADDR_RANGE: 8,
  TS_FC_ADDR_RANGE: 9, // RFC 4595
  TS_SECLABEL: 10, // RFC 9478
} as const satisfies Registry;

/** IP protocols that selectors are written with; the registry itself is much longer. */
export const IP_PROTOCOL = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  ospf: 89,
  l2tp: 115,
  sctp: 132,
  'mobility-header': 135,
} as const satisfies Registry;

/** IKEv2 Configuration Payload CFG Types (RFC 7296 §3.15). */
export const CFG_TYPE = {
  CFG_REQUEST: 1,
  CFG_REPLY: 2,
  CFG_SET: 3,
  CFG_ACK: 4,
} as const satisfies Registry;

/** IKEv2 Configuration Payload Attribute Types (RFC 7296 §3.15.1). */
export const CFG_ATTRIBUTE = {
  INTERNAL_IP4_ADDRESS: 1,
  INTERNAL_IP4_NETMASK: 2,
  INTERNAL_IP4_DNS: 3,
  INTERNAL_IP4_NBNS: 4,
  INTERNAL_IP4_DHCP: 6,
  APPLICATION_VERSION: 7,
  INTERNAL_IP6_ADDRESS: 8,
  INTERNAL_IP6_DNS: 10,
  INTERNAL_IP6_DHCP: 12,
  INTERNAL_IP4_SUBNET: 13,
  SUPPORTED_ATTRIBUTES: 14,
  INTERNAL_IP6_SUBNET: 15,
  MIP6_HOME_PREFIX: 16, // RFC 5026
  INTERNAL_IP6_LINK: 17, // RFC 5739
  INTERNAL_IP6_PREFIX: 18, // RFC 5739
  HOME_AGENT_ADDRESS: 19, // 3GPP TS 24.302
  P_CSCF_IP4_ADDRESS: 20, // RFC 7651
  P_CSCF_IP6_ADDRESS: 21, // RFC 7651
  FTT_KAT: 22, // 3GPP TS 24.302
  EXTERNAL_SOURCE_IP4_NAT_INFO: 23, // 3GPP TS 29.139
  TIMEOUT_PERIOD_FOR_LIVENESS_CHECK: 24, // 3GPP TS 24.302
  INTERNAL_DNS_DOMAIN: 25, // RFC 8598
  INTERNAL_DNSSEC_TA: 26, // RFC 8598
  ENCDNS_IP4: 27, // RFC 9464
  ENCDNS_IP6: 28, // RFC 9464
  ENCDNS_DIGEST_INFO: 29, // RFC 9464
} as const satisfies Registry;
