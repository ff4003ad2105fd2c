"""Sends IKE messages from forged source addresses and with forged SPIs, out of a bridge port.

    flood.py DEVICE ETHERNET_HEADER DESTINATION PER_SECOND SECONDS MESSAGE...

ETHERNET_HEADER and each MESSAGE are hexadecimal digits; the messages are sent in turn. The
initiator's SPI of each is made up, and the responder's where it is not zero. The last line of
output is what was sent, as JSON.
"""
import ctypes
import json
import os
import socket
import struct
import sys
import time

FRAMES = 8192
BURST = 64


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int),
    ]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint)]


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forged(message):
    responder = message[8:16] if message[8:16] == bytes(8) else os.urandom(8)
    return os.urandom(8) + responder + message[16:]


def frame(ethernet, source, destination, message):
    udp = struct.pack("!4H", 500, 500, 8 + len(message), 0) + message
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + destination
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ethernet + head + udp


device, ethernet, destination, per_second, seconds, *messages = sys.argv[1:]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((device, 0))
frames = [
    frame(
        bytes.fromhex(ethernet),
        socket.inet_aton("198.18.%d.%d" % (n >> 8, n & 255)),
        socket.inet_aton(destination),
        forged(bytes.fromhex(messages[n % len(messages)])),
    )
    for n in range(FRAMES)
]
vectors = (Iovec * FRAMES)(*(Iovec(data, len(data)) for data in frames))
headers = (Mmsghdr * FRAMES)()
for n in range(FRAMES):
    headers[n].hdr.iov = ctypes.pointer(vectors[n])
    headers[n].hdr.iovlen = 1
sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

print("ready", flush=True)
sent = 0
began = time.monotonic()
while (past := time.monotonic() - began) < float(seconds):
    if sent >= past * int(per_second):
        time.sleep(0.0003)
        continue
    at = sent % FRAMES
    sent += max(0, sendmmsg(out.fileno(), ctypes.byref(headers[at]), min(BURST, FRAMES - at), 0))
print(json.dumps({"sent": sent, "seconds": time.monotonic() - began}), flush=True)
