"""A TUN interface of a namespace: its packets go out on stdout and come in on stdin, each behind its
length in two octets."""
import fcntl, os, struct, sys, threading

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH', sys.argv[1].encode(), IFF_TUN | IFF_NO_PI))
sys.stderr.write('ready\n')
sys.stderr.flush()


def outward():
    while True:
        packet = os.read(tun, 65535)
        sys.stdout.buffer.write(struct.pack('!H', len(packet)) + packet)
        sys.stdout.buffer.flush()


threading.Thread(target=outward, daemon=True).start()
while header := sys.stdin.buffer.read(2):
    os.write(tun, sys.stdin.buffer.read(struct.unpack('!H', header)[0]))
