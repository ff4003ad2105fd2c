"""ESP by scapy (python3-scapy) on Python's cryptography: a peer that shares no line with ours.

Reads one JSON object from standard input and answers with one on standard output.
  sa:    {spi, key, esn, udp, source, destination}     key | salt, in hexadecimal
  open:  outer packets that the gateway sent           -> inner packets, or the refusal
  seal:  [{inner, sequence}]                           -> outer packets to the gateway
"""
import json
import sys

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation


def header(source, destination):
    kind = IPv6 if ":" in source else IP
    return kind(src=source, dst=destination)


def association(sa, sequence=1):
    return SecurityAssociation(
        ESP,
        spi=sa["spi"],
        seq_num=sequence & 0xFFFFFFFF,
        crypt_algo="AES-GCM",
        crypt_key=bytes.fromhex(sa["key"]),
        tunnel_header=header(sa["source"], sa["destination"]),
        nat_t_header=UDP(sport=4500, dport=4500) if sa["udp"] else None,
        esn_en=sa["esn"],
        esn=sequence >> 32,
    )


def parse(hexadecimal):
    data = bytes.fromhex(hexadecimal)
    return (IP if data[0] >> 4 == 4 else IPv6)(data)


def opened(sa, hexadecimal):
    try:
        return bytes(association(sa).decrypt(parse(hexadecimal))).hex()
    except Exception as error:  # the test shows what scapy says
        return f"{type(error).__name__}: {error}"


def sealed(sa, item):
    packet = association(sa, item["sequence"]).encrypt(parse(item["inner"]))
    if sa["udp"]:
        del packet[UDP].len  # scapy 2.5 fixes it before there is a payload
    return bytes(packet).hex()


request = json.load(sys.stdin)
sa = request["sa"]
json.dump(
    {
        "opened": [opened(sa, p) for p in request.get("open", [])],
        "sealed": [sealed(sa, item) for item in request.get("seal", [])],
    },
    sys.stdout,
)
