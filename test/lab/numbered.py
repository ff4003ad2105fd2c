"""Numbered UDP packets between two hosts.

numbered.py send ADDRESS COUNT PER_SECOND [FLOWS]   sends COUNT packets, numbered from 0, on FLOWS
                                                    sockets in turn
numbered.py receive COUNT                           counts them until SIGTERM

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


def sent(out, packet):
    """Whether the host took it; the first refusal may be an ICMP error about an earlier one."""
    for _ in range(2):
        try:
            out.send(packet)
            return True
        except OSError:
            pass
    return False


def send(address, count, per_second, flows=1):
    out = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    for one in out:
        one.connect((address, PORT))
    print("sending", flush=True)
    began = time.monotonic()
    times = []  # [number, seconds of CLOCK_MONOTONIC] of the first packet of each tenth of a second
    number = refused = 0
    stopped = False

    def stop(*_):  # between two packets: one that is being sent is counted
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    while number < count and not stopped:
        now = time.monotonic()
        if not times or now - times[-1][1] >= 0.1:
            times.append([number, now])
        # What is due by now, but never a burst that overruns a ring.
        due = min(count, int((now - began) * per_second) + 1, number + 64)
        while number < due:
            refused += not sent(out[number % flows], struct.pack("!I", number) + PADDING)
            number += 1
        time.sleep(0.0005)
    print(json.dumps({
        "sent": number,
        "refused": refused,
        "seconds": time.monotonic() - began,
        "times": times,
    }), flush=True)


def receive(count):
    inbound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inbound.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    inbound.bind(("0.0.0.0", PORT))
    times = bytearray(count)

    def report(*_):
        lost = []  # [first, last] of each run of numbers that did not come
        first = times.find(0)
        while first != -1:
            last = first
            while last + 1 < count and times[last + 1] == 0:
                last += 1
            lost.append([first, last])
            first = times.find(0, last + 1)
        received = count - times.count(0)
        print(json.dumps({
            "received": received,
            "duplicates": sum(times) - received,
            "lost": lost,
        }), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, report)
    print("receiving", flush=True)
    while True:
        number = struct.unpack_from("!I", inbound.recv(2048))[0]
        times[number] = min(255, times[number] + 1)


if sys.argv[1] == "send":
    send(sys.argv[2], *map(int, sys.argv[3:]))
else:
    receive(int(sys.argv[2]))
