"""Numbered UDP packets between two hosts.

numbered.py send ADDRESS COUNT PER_SECOND   sends COUNT packets, numbered from 0
numbered.py receive COUNT                   counts them until SIGTERM

Both print a line when they are ready, and one of JSON at their end.
"""
import json
import signal
import socket
import struct
import sys
import time

PORT = 9000
PADDING = bytes(96)
RECEIVE_BUFFER = 1 << 25
SO_RCVBUFFORCE = 33


def send(address, count, per_second):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((address, PORT))
    print("sending", flush=True)
    began = time.monotonic()
    number = 0
    while number < count:
        # What is due by now, but never a burst that overruns a ring.
        due = min(count, int((time.monotonic() - began) * per_second) + 1, number + 64)
        while number < due:
            out.send(struct.pack("!I", number) + PADDING)
            number += 1
        time.sleep(0.0005)
    print(json.dumps({"sent": count, "seconds": time.monotonic() - began}), flush=True)


def receive(count):
    inbound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbound.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    inbound.bind(("0.0.0.0", PORT))
    times = bytearray(count)

    def report(*_):
        lost = [number for number in range(count) if times[number] == 0]
        print(json.dumps({
            "received": count - len(lost),
            "duplicates": sum(times) - (count - len(lost)),
            "lost": lost[:20],
        }), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, report)
    print("receiving", flush=True)
    while True:
        number = struct.unpack_from("!I", inbound.recv(2048))[0]
        times[number] = min(255, times[number] + 1)


if sys.argv[1] == "send":
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    receive(int(sys.argv[2]))
