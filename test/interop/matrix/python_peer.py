"""The matrix' peer for transforms that Linux lacks: it shares no line with ours.

ESP with implicit IVs (RFC 8750) and AH with GMAC (RFC 4543), by Python's cryptography. Answers
ICMP echo requests that arrive through an SA. Messages on standard input and output are a length of
four bytes, a letter, and that many bytes: S sets up SAs (JSON), F is an Ethernet frame, R asks for
and brings a report (JSON).
"""
import ipaddress
import json
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

ICMP, IPV4_IN_IP, UDP, IPV6_IN_IP, ESP, AH, ICMPV6 = 1, 4, 17, 41, 50, 51, 58
CCM_8_IIV, GCM_16_IIV, CHACHA_IIV = 29, 30, 31
GMAC_ICV_BYTES = 16
OUR_MAC, GATEWAY_MAC = bytes.fromhex("0200000000fe"), bytes.fromhex("020000000001")


class Refused(Exception):
    pass


def checksum(data, initial=0):
    if len(data) % 2:
        data += b"\0"
    total = initial + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_header(source, destination, protocol, length):
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 6:
        fixed = struct.pack(">IHBB", 6 << 28, length, protocol, 64)
        return fixed + source.packed + destination.packed
    fixed = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0)
    header = fixed + source.packed + destination.packed
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def split_ip(packet):
    """Header, protocol, payload."""
    if packet[0] >> 4 == 4:
        bytes_ = (packet[0] & 15) * 4
        return packet[:bytes_], packet[9], packet[bytes_ : struct.unpack(">H", packet[2:4])[0]]
    return packet[:40], packet[6], packet[40 : 40 + struct.unpack(">H", packet[4:6])[0]]


def with_protocol(header, protocol, length):
    """An IP header with another protocol and payload length."""
    if header[0] >> 4 == 6:
        return header[:4] + struct.pack(">HB", length, protocol) + header[7:]
    out = header[:2] + struct.pack(">H", len(header) + length) + header[4:9]
    out += struct.pack(">BH", protocol, 0) + header[12:]
    return out[:10] + struct.pack(">H", checksum(out)) + out[12:]


def echo_reply(packet):
    """The answer of a host to a request; its checksum is computed anew."""
    header, protocol, message = split_ip(packet)
    v6 = header[0] >> 4 == 6
    size, at = (16, 8) if v6 else (4, 12)
    source, destination = header[at : at + size], header[at + size : at + 2 * size]
    if (protocol, message[0]) != ((ICMPV6, 128) if v6 else (ICMP, 8)):
        raise Refused("no echo request inside")
    pseudo = sum(struct.unpack(">16H", source + destination)) + len(message) + ICMPV6 if v6 else 0
    if checksum(message, pseudo) != 0:
        raise Refused("checksum of the echo request")
    body = bytes([129 if v6 else 0, 0, 0, 0]) + message[4:]
    body = body[:2] + struct.pack(">H", checksum(body, pseudo)) + body[4:]
    text = [str(ipaddress.ip_address(a)) for a in (destination, source)]
    return ip_header(*text, protocol, len(body)) + body


def immutable(header):
    """RFC 4302 3.3.3.1: an IP header, without options, whose mutable fields are zero."""
    if header[0] >> 4 == 6:
        return struct.pack(">I", 6 << 28) + header[4:7] + b"\0" + header[8:]
    return header[:1] + b"\0" + header[2:6] + b"\0\0\0" + header[9:10] + b"\0\0" + header[12:]


class Association:
    def __init__(self, parameters):
        self.__dict__.update(parameters)
        self.sent = int(parameters["sequence"])
        self.highest = self.sent
        self.counters = {"received": 0, "sent": 0, "failures": 0}

    def cipher(self, keymat):
        if self.encryption == CCM_8_IIV:
            return AESCCM(keymat[:-3], tag_length=8), keymat[-3:]
        kind = ChaCha20Poly1305 if self.encryption == CHACHA_IIV else AESGCM
        return kind(keymat[:-4]), keymat[-4:]

    def associated(self, spi, sequence):
        return struct.pack(">IQ" if self.esn else ">II", spi, sequence)

    def whole(self, low):
        """RFC 4303 Appendix A, for numbers that are near: no replay check."""
        if not self.esn:
            return low
        number = (self.highest & ~0xFFFFFFFF) | low
        return number + (1 << 32) if number + (1 << 31) < self.highest else number

    # ESP (RFC 4303) with the sequence number as the IV (RFC 8750 section 4).

    def open_esp(self, esp):
        spi, low = struct.unpack(">II", esp[:8])
        sequence = self.whole(low)
        cipher, salt = self.cipher(bytes.fromhex(getattr(self, "in")["keymat"]))
        nonce = salt + struct.pack(">Q", sequence)
        text = cipher.decrypt(nonce, esp[8:], self.associated(spi, sequence))
        self.highest = max(self.highest, sequence)
        padding, next_header = text[-2], text[-1]
        end = len(text) - 2 - padding
        if text[end:-2] != bytes(range(1, padding + 1)) or padding > 3 or len(text) % 4:
            raise Refused("padding")
        return text[:end], next_header

    def seal_esp(self, payload, next_header):
        spi, keymat = self.out["spi"], bytes.fromhex(self.out["keymat"])
        padding = -(len(payload) + 2) % 4
        text = payload + bytes(range(1, padding + 1)) + bytes([padding, next_header])
        cipher, salt = self.cipher(keymat)
        nonce = salt + struct.pack(">Q", self.sent)
        sealed = cipher.encrypt(nonce, text, self.associated(spi, self.sent))
        return struct.pack(">II", spi, self.sent & 0xFFFFFFFF) + sealed

    # AH (RFC 4302). The ICV field is IV and tag, and over IPv6 four bytes of padding (RFC 4543
    # section 4 with erratum 3643).

    def tag(self, keymat, iv, header, ah, payload, sequence):
        data = immutable(header) + ah + payload
        if self.esn:
            data += struct.pack(">I", sequence >> 32)
        return AESGCM(keymat[:-4]).encrypt(keymat[-4:] + iv, b"", data)

    def open_ah(self, header, packet):
        next_header, words = packet[0], packet[1]
        ah_bytes = (words + 2) * 4
        if ah_bytes != (40 if header[0] >> 4 == 6 else 36):
            raise Refused(f"AH of {ah_bytes} bytes")
        ah, payload = packet[:ah_bytes], packet[ah_bytes:]
        sequence = self.whole(struct.unpack(">I", ah[8:12])[0])
        blank = ah[:20] + bytes(GMAC_ICV_BYTES) + ah[36:]
        keymat = bytes.fromhex(getattr(self, "in")["keymat"])
        if self.tag(keymat, ah[12:20], header, blank, payload, sequence) != ah[20:36]:
            raise InvalidTag
        self.highest = max(self.highest, sequence)
        return payload, next_header

    def seal_ah(self, header, payload, next_header):
        padding = bytes(4 if header[0] >> 4 == 6 else 0)
        iv = struct.pack(">Q", self.sent ^ 0x5A5A5A5A5A5A5A5A)  # the sender's choice, unique
        words = (12 + 8 + GMAC_ICV_BYTES + len(padding)) // 4 - 2
        start = struct.pack(">BBHII", next_header, words, 0, self.out["spi"], self.sent & 0xFFFFFFFF)
        blank = start + iv + bytes(GMAC_ICV_BYTES) + padding
        header = with_protocol(header, AH, len(blank) + len(payload))
        tag = self.tag(bytes.fromhex(self.out["keymat"]), iv, header, blank, payload, self.sent)
        return header + start + iv + tag + padding + payload

    def answer(self, header, body):
        """An outer packet for an outer packet."""
        if self.protocol == "esp":
            content, next_header = self.open_esp(body)
        else:
            content, next_header = self.open_ah(header, body)
        self.counters["received"] += 1
        if self.mode == "tunnel":
            if next_header != (IPV6_IN_IP if content[0] >> 4 == 6 else IPV4_IN_IP):
                raise Refused(f"next header {next_header} in a tunnel")
            reply, next_header = echo_reply(content), next_header
            outer = ip_header(self.here, self.there, 0, 0)
        else:
            inner = with_protocol(header, next_header, len(content)) + content
            outer, _, reply = split_ip(echo_reply(inner))
        self.sent += 1
        self.counters["sent"] += 1
        if self.protocol == "ah":
            return self.seal_ah(outer, reply, next_header)
        sealed = self.seal_esp(reply, next_header)
        if not self.udp:
            return with_protocol(outer, ESP, len(sealed)) + sealed
        return with_protocol(outer, UDP, 8 + len(sealed)) + self.datagram(outer, sealed)

    def datagram(self, outer, sealed):
        """RFC 3948: no checksum over IPv4, one over IPv6."""
        length = 8 + len(sealed)
        header = struct.pack(">HHHH", 4500, 4500, length, 0)
        if outer[0] >> 4 == 6:
            pseudo = sum(struct.unpack(">16H", outer[8:40])) + length + UDP
            header = header[:6] + struct.pack(">H", checksum(header + sealed, pseudo) or 0xFFFF)
        return header + sealed


associations, errors = {}, []


def answered(frame):
    header, protocol, body = split_ip(frame[14:])
    if protocol == UDP:
        body = body[8:]
    spi_at = 4 if protocol == AH else 0
    sa = associations.get(struct.unpack(">I", body[spi_at : spi_at + 4])[0])
    if sa is None:
        errors.append("a packet of no SA")
        return None
    try:
        packet = sa.answer(header, body)
    except Exception as error:  # a malformed packet is a failure like any other
        sa.counters["failures"] += 1
        errors.append(f"{sa.name}: {type(error).__name__} {error}")
        return None
    return GATEWAY_MAC + OUR_MAC + frame[12:14] + packet


def write(letter, payload):
    sys.stdout.buffer.write(struct.pack(">I", len(payload)) + letter + payload)
    sys.stdout.buffer.flush()


while head := sys.stdin.buffer.read(5):
    length, letter = struct.unpack(">I1s", head)
    message = sys.stdin.buffer.read(length)
    if letter == b"S":
        for parameters in json.loads(message):
            associations[parameters["in"]["spi"]] = Association(parameters)
    elif letter == b"F":
        if (reply := answered(message)) is not None:
            write(b"F", reply)
    else:
        counters = {spi: sa.counters for spi, sa in associations.items()}
        write(b"R", json.dumps({"counters": counters, "errors": errors}).encode())
