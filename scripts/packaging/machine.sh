#!/bin/bash
# machine.sh ROOT [ARGUMENT...]: a machine made of namespaces, in which systemd of the file system
# ROOT is PID 1, until it powers itself off. It shares the kernel and nothing else: of /proc/sys
# only what belongs to its network can be written, as systemd-nspawn has it. Needs root and cgroup2.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

inside() {
  cd "$1"
  shift
  mount --bind . . && cd "$PWD"
  mount -t proc proc proc
  mount --bind proc/sys proc/sys
  mount --bind proc/sys/net proc/sys/net
  mount -o remount,bind,ro proc/sys
  [ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs dev
  for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
  done
  mkdir dev/net dev/pts dev/shm
  mknod -m 666 dev/net/tun c 10 200
  mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=1777 tmpfs tmp
  mkdir -p mnt/outside
  pivot_root . mnt/outside
  hostname gateway
  umount -l /mnt/outside
  mount --make-rshared / # credentials are mounted by a process of their own
  exec env -i container=esplane-test /lib/systemd/systemd "$@"
}

if [ "$1" = --inside ]; then
  shift
  inside "$@"
fi

above=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
group=$above/esplane-machine-$$
mkdir "$group"
trap 'find "$group" -depth -type d -exec rmdir {} +' EXIT
# In a subshell: this one stays outside, and takes the group away.
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child "$0" --inside "$@"
) || [ $? -ge 128 ] # systemd ends by reboot(2), which is a signal to who waits for it
