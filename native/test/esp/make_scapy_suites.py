#!/usr/bin/python3
"""Writes scapy_suites.h: ESP and AH packets that scapy makes (Debian: python3-scapy, 2.5.0), one or
more for every algorithm that it has, in tunnel and transport mode.

What RFC 4301 5.1.2 derives from the inner header is set by hand, and the IPv4 ID to the low half of
the sequence number. Counter modes have the sequence number as IV. scapy leaves the high half of an
extended sequence number out of ESP's HMACs, so ESN is here with AEADs and AH only; it has no GMAC.
In AH it turns a routing header that has no segments left, and forgets the destination of an IPv4
source route: neither is here.

    ./make_scapy_suites.py > scapy_suites.h
"""
from scapy.layers.inet import (IP, TCP, UDP, IPOption_NOP, IPOption_RR, IPOption_Router_Alert,
                               IPOption_Timestamp)
from scapy.layers.inet6 import (HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting, PadN, RouterAlert)
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import Raw

# IANA numbers: encryption and the length of its salt, integrity and its key.
CRYPT = {"NULL": (11, 0), "AES-CBC": (12, 0), "AES-CTR": (13, 4), "AES-CCM": (16, 3),
         "AES-GCM": (20, 4), "CHACHA20-POLY1305": (28, 4)}
AUTH = {"NULL": (0, 0), "HMAC-SHA1-96": (2, 20), "AES-CMAC-96": (8, 16), "SHA2-256-128": (12, 32),
        "SHA2-384-192": (13, 48), "SHA2-512-256": (14, 64)}
HMACS = [name for name in AUTH if name != "NULL"]

A4, B4, A6, B6 = "10.1.0.5", "10.2.0.9", "fd01::5", "fd02::9"
OUTER4 = dict(src="192.0.2.1", dst="198.51.100.2", ttl=64)
OUTER6 = dict(src="2001:db8:1::1", dst="2001:db8:2::2", hlim=64)
V4 = IP(src=A4, dst=B4, ttl=63, id=0x1234, flags="DF", tos=0xB9)
V6 = IPv6(src=A6, dst=B6, hlim=63, tc=0x2A, fl=0x12345)
DATA = UDP(sport=1000, dport=53) / Raw(b"every suite")
SYN = TCP(sport=4242, dport=80, flags="S")

HOP = IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
CHANGING = IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0x3E, optdata=b"abcd")])
DESTINATION = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E, optdata=b"wxyz")])
ROUTED = IPv6ExtHdrRouting(type=0, segleft=2, addresses=["fd03::1", "fd04::1"])
OPTIONS = [IPOption_Router_Alert(), IPOption_RR(routers=["10.9.9.9", "0.0.0.0"]), IPOption_NOP(),
           IPOption_Timestamp(timestamp=7)]


def key(length, seed):
    return bytes((7 * i + seed) % 256 for i in range(length))


def cases():
    """(name, protocol, cipher, key bits, integrity, sequence, ESN, inner, outer or None)"""
    tunnel4 = IP(**OUTER4, id=9, flags="DF", tos=0xB9)
    for name, bits in [("AES-CCM", 128), ("AES-CCM", 192), ("AES-CCM", 256),
                       ("CHACHA20-POLY1305", 256), ("AES-GCM", 128)]:
        for esn in (False, True):
            yield (f"{name}-{bits}{' with ESN' if esn else ''}", ESP, name, bits, "NULL",
                   0x300000009 if esn else 9, esn, V4 / DATA, tunnel4)
    for name in ("AES-CBC", "AES-CTR"):
        for bits in (128, 192, 256):
            yield (f"{name}-{bits} with SHA2-256", ESP, name, bits, "SHA2-256-128", 9, False,
                   V4 / DATA, tunnel4)
    for auth in HMACS:
        yield f"NULL with {auth}", ESP, "NULL", 0, auth, 9, False, V4 / DATA, tunnel4
        yield f"AES-CBC-128 with {auth}", ESP, "AES-CBC", 128, auth, 9, False, V4 / DATA, tunnel4
    for name, bits, auth in [("AES-GCM", 128, "NULL"), ("AES-CBC", 256, "SHA2-512-256"),
                             ("AES-CTR", 128, "SHA2-256-128"), ("NULL", 0, "HMAC-SHA1-96")]:
        for what, inner in transported():
            yield (f"transport, {name}-{bits}, {what}", ESP, name, bits, auth, 9, False, inner,
                   None)
    for auth in HMACS:
        yield f"AH, {auth}, tunnel", AH, "NULL", 0, auth, 9, False, V4 / DATA, tunnel4
        yield (f"AH, {auth}, tunnel over IPv6 with ESN", AH, "NULL", 0, auth, 0x300000009, True,
               V6 / DATA, IPv6(**OUTER6, tc=0x2A))
    for what, inner in transported() + ah_only():
        yield f"AH, transport, {what}", AH, "NULL", 0, "SHA2-256-128", 9, False, inner, None
        yield f"AH, transport with ESN, {what}", AH, "NULL", 0, "SHA2-512-256", 0x300000009, True, \
            inner, None


def transported():
    return [("IPv4", V4 / DATA),
            ("IPv4, options", IP(src=A4, dst=B4, ttl=63, id=7, options=OPTIONS) / SYN),
            ("IPv6", V6 / SYN),
            ("IPv6, hop-by-hop options", V6 / HOP / DATA),
            ("IPv6, destination options behind", V6 / DESTINATION / DATA)]


def ah_only():
    return [("IPv6, options that change", V6 / CHANGING / SYN),
            ("IPv6, routing header", V6 / ROUTED / DATA)]


def seal(protocol, cipher, bits, auth, sequence, esn, inner, outer):
    salt = key(CRYPT[cipher][1], 3)
    crypt_key, auth_key = key(bits // 8, bits % 251) + salt, key(AUTH[auth][1], 99)
    sa = SecurityAssociation(
        protocol, spi=0xC0FFEE01, tunnel_header=outer,
        crypt_algo=cipher if protocol is ESP else None, crypt_key=crypt_key or None,
        auth_algo=auth, auth_key=auth_key or None)
    iv = {"NULL": b"", "AES-CBC": key(16, 200)}.get(cipher, sequence.to_bytes(8, "big"))
    more = dict(iv=iv) if protocol is ESP else {}
    sealed = sa.encrypt(inner, seq_num=sequence & 0xFFFFFFFF, esn_en=esn, esn=sequence >> 32,
                        **more)
    return crypt_key + auth_key, bytes(sealed)


def literal(data):
    text = data.hex()
    rows = [text[i:i + 88] for i in range(0, len(text), 88)]
    return "\n".join(f'     "{row}"' for row in rows) or '     ""'


print("""// ESP and AH packets made by scapy 2.5.0: written by make_scapy_suites.py, not by hand.
#pragma once

#include <cstdint>

namespace esplane::test {

struct ScapySuite {
  const char* name;
  bool ah, transport;
  uint16_t encryption, key_bits, integrity;
  uint64_t sequence;
  bool esn;
  const char* keymat;  ///< encryption key | salt | integrity key
  const char* inner;   ///< IP packet
  const char* outer;   ///< IP packet
};

inline constexpr ScapySuite kScapySuites[] = {""")
for name, protocol, cipher, bits, auth, sequence, esn, inner, outer in cases():
    raw = bytes(inner)
    keymat, sealed = seal(protocol, cipher, bits, auth, sequence, esn, type(inner)(raw), outer)
    encryption = CRYPT[cipher][0] if protocol is ESP else 0
    flags = f"{str(protocol is AH).lower()}, {str(outer is None).lower()}"
    print(f'    {{"{name}", {flags}, {encryption}, {bits}, {AUTH[auth][0]}, {sequence:#x}, '
          f"{str(esn).lower()},")
    print(f"{literal(keymat)},\n{literal(raw)},\n{literal(sealed)}}},")
print("};\n\n}  // namespace esplane::test")
