#!/usr/bin/python3
"""Writes scapy_packets.h: ESP packets that scapy makes (Debian: python3-scapy, 2.5.0).

scapy builds the tunnel, the padding and the AES-GCM on its own and on Python's cryptography, so
its bytes tell whether ours are right. What RFC 4301 5.1.2 derives from the inner header (DSCP,
ECN, DF) is set by hand here, and the IPv4 ID to the low half of the sequence number.

    ./make_scapy_packets.py > scapy_packets.h
"""
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

SALT = bytes.fromhex("a1b2c3d4")


def key(bits):
    return bytes((7 * i + bits) % 256 for i in range(bits // 8))


INNER4 = IP(src="10.1.0.5", dst="10.2.0.9", ttl=63, id=0x1234, flags="DF", tos=0xB9)
INNER4_PLAIN = IP(src="10.1.0.5", dst="10.2.0.9", ttl=63, id=0x4321)
INNER6 = IPv6(src="fd01::5", dst="fd02::9", hlim=63, tc=0x2A, fl=0x12345)
OUTER4 = dict(src="192.0.2.1", dst="198.51.100.2", ttl=64)
OUTER6 = dict(src="2001:db8:1::1", dst="2001:db8:2::2", hlim=64)

# name, key bits, sequence, ESN, UDP, inner packet, outer header
CASES = [
    ("IPv4 in IPv4", 128, 1, False, False, INNER4 / ICMP(id=7, seq=1) / Raw(b"esplane!"),
     IP(**OUTER4, id=1, flags="DF", tos=0xB9)),
    ("IPv4 in IPv4, DF clear, one byte of data", 256, 0x10002, False, False,
     INNER4_PLAIN / UDP(sport=1000, dport=53) / Raw(b"x"), IP(**OUTER4, id=2)),
    ("IPv6 in IPv4", 192, 0xFFFFFFFF, False, False, INNER6 / ICMPv6EchoRequest(id=3, data=b"abc"),
     IP(**OUTER4, id=0xFFFF, flags="DF", tos=0x2A)),
    ("IPv4 in IPv6", 128, 77, False, False, INNER4 / TCP(sport=4242, dport=80, flags="S"),
     IPv6(**OUTER6, tc=0xB9)),
    ("IPv6 in IPv6", 256, 78, False, False, INNER6 / UDP(sport=9, dport=9) / Raw(bytes(200)),
     IPv6(**OUTER6, tc=0x2A)),
    ("IPv4 in UDP over IPv4", 128, 5, False, True, INNER4 / ICMP(id=7, seq=2) / Raw(b"nat"),
     IP(**OUTER4, id=5, flags="DF", tos=0xB9)),
    ("IPv4 in UDP over IPv6", 128, 6, False, True, INNER4 / ICMP(id=7, seq=3) / Raw(b"nat64"),
     IPv6(**OUTER6, tc=0xB9)),
    ("IPv4 in IPv4 with ESN", 128, 0x500000007, True, False,
     INNER4 / ICMP(id=7, seq=4) / Raw(bytes(range(64))), IP(**OUTER4, id=7, flags="DF", tos=0xB9)),
    ("IPv6 in UDP over IPv4 with ESN", 256, 0x1FFFFFFFF, True, True, INNER6 / TCP(dport=443),
     IP(**OUTER4, id=0xFFFF, flags="DF", tos=0x2A)),
]


def seal(bits, sequence, esn, udp, inner, outer):
    sa = SecurityAssociation(ESP, spi=0xC0FFEE01, crypt_algo="AES-GCM", crypt_key=key(bits) + SALT,
                             tunnel_header=outer)
    sealed = sa.encrypt(inner, seq_num=sequence & 0xFFFFFFFF, iv=sequence.to_bytes(8, "big"),
                        esn_en=esn, esn=sequence >> 32)
    if not udp:
        return bytes(sealed)
    # scapy's own nat_t_header leaves the UDP length at 8, so UDP goes around the ESP here. Over
    # IPv6 it computes the checksum.
    chksum = None if outer.version == 6 else 0
    around = UDP(sport=4500, dport=4500, chksum=chksum) / Raw(bytes(sealed[ESP]))
    return bytes(outer.copy() / around)


def literal(data):
    text = data.hex()
    rows = [text[i:i + 88] for i in range(0, len(text), 88)]
    return "\n".join(f'     "{row}"' for row in rows)


print("// ESP packets made by scapy 2.5.0: written by make_scapy_packets.py, not by hand.")
print("#pragma once\n\n#include <cstdint>\n\nnamespace esplane::test {\n")
print("struct ScapyPacket {\n  const char* name;\n  uint64_t sequence;\n  bool esn;")
print("  bool udp_encapsulation;\n  const char* key;    ///< key | salt")
print("  const char* inner;  ///< IP packet\n  const char* outer;  ///< IP packet\n};\n")
print("inline constexpr uint32_t kScapySpi = 0xc0ffee01;\n")
print("inline constexpr ScapyPacket kScapyPackets[] = {")
for name, bits, sequence, esn, udp, inner, outer in CASES:
    inner_bytes = bytes(inner)
    sealed = seal(bits, sequence, esn, udp, type(inner)(inner_bytes), outer)
    flags = f"{str(esn).lower()}, {str(udp).lower()}"
    print(f'    {{"{name}", {sequence:#x}, {flags},')
    print(f"{literal(key(bits) + SALT)},\n{literal(inner_bytes)},\n{literal(sealed)}}},")
print("};\n\n}  // namespace esplane::test")
