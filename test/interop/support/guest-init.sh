#!/bin/bash
# Init of a User Mode Linux guest. Its root is the machine's own file system, read-only, below a
# tmpfs: every program is there, and nothing that the guest writes reaches the machine. Then it
# runs the scripts that come over the serial line: `ID BASE64`, answered by `ID CODE BASE64`.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

if [ "${1:-}" != inside ]; then
  mount -t proc proc /proc
  insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
  cd /mnt/root || exit 1
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t devtmpfs devtmpfs dev
  mount -t tmpfs tmpfs run
  mount -t tmpfs tmpfs tmp
  mkdir -p dev/net usr/lib/modules
  [ -c dev/net/tun ] || mknod dev/net/tun c 10 200
  mount --bind /usr/lib/uml/modules usr/lib/modules
  cp "$0" run/init
  exec chroot . /bin/bash /run/init inside
fi

ip link set lo up
modprobe -aq xfrm_user esp4 esp6 ah4 ah6 gcm ccm ctr cbc seqiv echainiv authenc authencesn tun
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
  net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
[ ! -e /sys/class/net/vec0 ] || ip link set vec0 up

exec 3<>/dev/ttyS0
stty -F /dev/ttyS0 raw -echo
echo ready >&3
while read -r -u 3 id script; do
  base64 -d <<<"$script" >/run/script
  bash /run/script >/run/output 2>&1 </dev/null 3>&-
  echo "$id $? $(base64 -w 0 /run/output)" >&3
done
