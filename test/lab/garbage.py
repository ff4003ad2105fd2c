#!/usr/bin/env python3
"""Attacks the two gateways of the lab from the wire between them.

Runs in the wire's namespace. Overhears what the gateways say to each other until it knows enough,
then sends each of them, in the other's name or in somebody else's, mutated and repeated IKE (UDP
500), IKE and ESP in UDP (4500) and ESP (protocol 50), each COUNT times in all. Packets leave by
the bridge's ports, below its IP stack. The last line of output is what was sent, as JSON.

    garbage.py COUNT PACKETS_PER_SECOND SEED to-a to-b
"""
import json
import random
import select
import socket
import struct
import sys
import time

IKE, NAT_T, ESP = "udp 500", "udp 4500", "esp"
OUTGOING = 4  # PACKET_OUTGOING
BURST = 32


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Wire:
    """What was overheard on one bridge port: the Ethernet and IP addresses, and payloads."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((device, 0))
        self.ethernet = None
        self.source = self.destination = None
        self.heard = {IKE: [], ESP: []}

    def overhear(self):
        frame, (_, _, kind, _, _) = self.socket.recvfrom(65535)
        if kind == OUTGOING or frame[12:14] != b"\x08\x00" or frame[14] != 0x45:
            return
        total = struct.unpack("!H", frame[16:18])[0]
        packet = frame[14:14 + total]
        if packet[9] == 50:
            self.remember(ESP, frame, packet, packet[20:])
        elif packet[9] == 17:
            port, payload = struct.unpack("!H", packet[22:24])[0], packet[28:]
            if port == 500:
                self.remember(IKE, frame, packet, payload)
            elif port == 4500 and payload[:4] == b"\0\0\0\0":
                self.remember(IKE, frame, packet, payload[4:])

    def remember(self, kind, frame, packet, payload):
        self.ethernet, self.source, self.destination = frame[:14], packet[12:16], packet[16:20]
        self.heard[kind].append(payload)
        del self.heard[kind][:-64]

    def knows_enough(self):
        return len(self.heard[ESP]) >= 20 and len(self.heard[IKE]) >= 2


def mutate(data, dice):
    data = bytearray(data)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 5))):
        what = dice.randrange(6)
        at = dice.randrange(len(data)) if data else 0
        if what == 0 and data:
            data[at] ^= 1 << dice.randrange(8)
        elif what == 1 and data:
            data[at] = dice.randrange(256)
        elif what == 2:
            del data[at:]
        elif what == 3:
            data[at:at] = dice.randbytes(dice.randrange(1, 40))
        elif what == 4:
            del data[at:at + dice.randrange(1, 40)]
        elif data:
            # SPIs, message IDs, sequence numbers and lengths are near the front.
            at = dice.randrange(min(28, len(data)))
            data[at:at + 4] = dice.randbytes(4)
    return bytes(data[:1400])


def payload_for(kind, heard, dice):
    if kind == NAT_T:
        inner = dice.choice((IKE, ESP))
        data = mutate(dice.choice(heard[inner]), dice)
        return (b"\0\0\0\0" if inner == IKE else b"") + data if dice.randrange(20) else b"\xff"
    data = mutate(dice.choice(heard[kind]), dice)
    if kind == IKE and len(data) >= 28 and dice.randrange(4):
        data = data[:24] + struct.pack("!I", len(data)) + data[28:]
    return data


def frame_for(kind, wire, dice):
    """A frame to the other gateway, as if from the one behind this port, or from anywhere."""
    payload = payload_for(kind, wire.heard, dice)
    source = wire.source if dice.randrange(3) else bytes((198, 51, 100, dice.randrange(256)))
    if kind != ESP:
        port = 500 if kind == IKE else 4500
        payload = struct.pack("!HHHH", port, port, 8 + len(payload), 0) + payload
    flags = dice.choice((0x2000, 0x0003, 0x1FFF)) if dice.randrange(50) == 0 else 0
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), dice.randrange(65536), flags,
                         64, 50 if kind == ESP else 17, 0) + source + wire.destination
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return wire.ethernet + header + payload


def main():
    count, rate, seed = (int(text) for text in sys.argv[1:4])
    a, b = (Wire(device) for device in sys.argv[4:6])
    dice = random.Random(seed)
    print("listening", flush=True)
    deadline = time.monotonic() + 60
    while not (a.knows_enough() and b.knows_enough()):
        for ready in select.select([a.socket, b.socket], [], [], 1)[0]:
            (a if ready is a.socket else b).overhear()
        if time.monotonic() > deadline:
            sys.exit("nothing to overhear")
    sent = {IKE: 0, NAT_T: 0, ESP: 0}
    refused = 0
    started = time.monotonic()
    for n in range(3 * count):
        kind = (IKE, NAT_T, ESP)[n % 3]
        # What gateway a has said leaves by the port of gateway b, and the other way round.
        wire, out = (a, b) if dice.randrange(2) else (b, a)
        try:
            out.socket.send(frame_for(kind, wire, dice))
            sent[kind] += 1
        except OSError:
            refused += 1
        if n % BURST == 0:
            ahead = (n + 1) / rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
    seconds = time.monotonic() - started
    print(json.dumps({"sent": sent, "refused": refused, "seconds": round(seconds, 1)}), flush=True)


main()
