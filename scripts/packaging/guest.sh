#!/bin/bash
# Runs as root in a virtual machine whose PID 1 is systemd (scripts/deb-test.mjs): the Debian
# package through its life, from installation to purge, beside a peer in a network namespace. Each
# line of output is one thing that was seen, "ok" or "FAILED" first; the last is how many failed.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
failures=0
began=$(date +%s%N)

seconds() { printf '%3d s' $((($(date +%s%N) - began) / 1000000000)); }

# check WHAT COMMAND...: it has to succeed; what it says is shown where it does not.
check() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "ok      $(seconds)  $what"
  else
    failures=$((failures + 1))
    echo "FAILED  $(seconds)  $what"
    sed 's/^/        /' <<<"$output" | tail -n 25
  fi
}

# within SECONDS COMMAND...: succeeds as soon as the command does.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}

unit() { systemctl show -P "$1" esplane.service; }
unit_is() { [ "$(unit "$1")" = "$2" ] || { echo "$1 is $(unit "$1")" && false; }; }
# same NAME VALUE EXPECTED
same() { [ "$2" = "$3" ] || { echo "$1 is '$2', not '$3'" && false; }; }
main_status() { sed -n "s/^$1:\s*//p" "/proc/$(unit MainPID)/status"; }
passes() { ip netns exec host-a ping -c 1 -W 1 10.2.0.2 >/dev/null; }
guarded() { nft list tables | grep -q 'inet esplane_main'; }

# CAP_SYS_RESOURCE (24), which some containers' root does not have.
may_raise_limits() { (((0x$(sed -n 's/^CapBnd:\s*//p' /proc/1/status) >> 24) & 1)); }

# host-a -- lan0 [this machine] wan0 ==== wan0 [peer, with 10.2.0.2 behind it]
network() {
  ip netns add peer && ip netns add host-a
  ip link add wan0 type veth peer name wan0 netns peer
  ip link add lan0 type veth peer name eth0 netns host-a
  ip link add inside type veth peer name lan0 netns peer
  ip link set inside netns peer
  ip addr add 192.0.2.1/24 dev wan0 && ip addr add 10.1.0.1/16 dev lan0
  ip link set wan0 up && ip link set lan0 up
  ip -n peer addr add 192.0.2.2/24 dev wan0 && ip -n peer addr add 10.2.0.2/16 dev inside
  for one in lo wan0 lan0 inside; do ip -n peer link set $one up; done
  ip -n host-a addr add 10.1.0.2/16 dev eth0 && ip -n host-a link set eth0 up
  ip -n host-a route add default via 10.1.0.1
  ip -n peer route add 10.1.0.0/16 via 192.0.2.1 dev wan0
}

installation() {
  check 'dpkg -i installs the package' dpkg -i /root/esplane.deb
  check 'it has made a user without a shell' \
    same shell "$(getent passwd esplane | cut -d: -f7)" /usr/sbin/nologin
  check 'which reads the configuration and does not write it' \
    same 'owner and mode' "$(stat -c '%U:%G %a' /etc/esplane)" 'root:esplane 750'
  check 'keys are for root alone' same 'owner and mode' "$(stat -c '%U:%G %a' /etc/esplane/psk)" 'root:root 700'
  check 'nothing was started without a configuration' unit_is ActiveState inactive
  check 'its manual is there' test -e /usr/share/man/man1/esplane.1
}

# As src/DEPLOYMENT.md has it.
first_start() {
  cp /usr/share/doc/esplane/gateway.toml /etc/esplane/
  (umask 077; head -c 32 /dev/random | base64 >/etc/esplane/psk/office)
  check 'esplane check, before the start' esplane check
  check 'systemctl enable --now returns when the gateway runs (Type=notify)' \
    systemctl enable --now esplane
  check 'it says so' unit_is StatusText 'gateway main runs, 1 connection'
  if may_raise_limits; then
    check 'the ports are AF_XDP' sh -c 'esplane | grep "wan wan0: xdp-native"'
  else
    check 'the ports are packet sockets: systemd cannot raise RLIMIT_MEMLOCK here' \
      sh -c 'esplane | grep "wan wan0: packet"'
  fi
}

peer() {
  mkdir -m 700 /root/peer
  sed -e 's/^\[gateway\]/&\nname = "peer"/' -e 's/^local  =/LOCAL/; s/^remote =/local  =/; s/^LOCAL/remote =/' \
    -e 's/^psk_credential.*/psk_file = "psk"/' /usr/share/doc/esplane/gateway.toml >/root/peer/gateway.toml
  cp /etc/esplane/psk/office /root/peer/psk
  ip netns exec peer esplane run -c /root/peer >/root/peer/log 2>&1 &
  check 'a tunnel comes up and carries a ping' within 40 passes
}

confinement() {
  check 'it runs as its user' same Uid "$(main_status Uid | cut -f1)" "$(id -u esplane)"
  check 'no new privileges, system calls filtered' \
    same 'NoNewPrivs and Seccomp' "$(main_status NoNewPrivs) $(main_status Seccomp)" '1 2'
  # CAP_NET_BIND_SERVICE (10), CAP_NET_ADMIN (12), CAP_BPF (39), as src/DEPLOYMENT.md has it.
  check 'capabilities after the start are those of the table' \
    same CapEff "$(main_status CapEff)" 0000008000001400
  check 'the key is a credential that no other user reads' \
    same 'what others may' "$(stat -c '%a' /run/credentials/esplane.service/psk_office | cut -c3)" 0
  check 'V8 compiles under the hardening (an executable page of its own)' \
    grep -qE '^[0-9a-f-]+ r.xp 00000000 00:00 0' "/proc/$(unit MainPID)/maps"
  local exposure
  exposure=$(systemd-analyze security esplane.service --no-pager | sed -n 's/.*exposure level for esplane.service: \([0-9.]*\).*/\1/p')
  check "systemd-analyze security: $exposure, at most 3.0" awk "BEGIN { exit !($exposure <= 3.0) }"
}

changes() {
  cat >/etc/esplane/conf.d/second.toml <<'TOML'
[connection.second]
local  = { address = "192.0.2.1", id = "a.example", networks = ["10.1.0.0/16"] }
remote = { address = "192.0.2.3", id = "c.example", networks = ["10.3.0.0/16"] }
psk_credential = "psk_office"
start = "wait"
TOML
  local pid
  pid=$(unit MainPID)
  check 'systemctl reload' systemctl reload esplane
  check 'has brought a connection of conf.d' within 10 sh -c 'esplane -n main | grep -q "connection: second"'
  check 'the tunnel went on' passes
  echo 'psk_credental = "psk_office"' >>/etc/esplane/conf.d/second.toml
  systemctl reload esplane
  check 'a mistake is told in the status and changes nothing' \
    within 10 unit_is StatusText 'the configuration cannot be used, the one before is in force'
  check 'and in the journal with its place' \
    within 10 sh -c 'journalctl -u esplane | grep -q "second.toml:6:1"'
  check 'by the same process, with its tunnel' same MainPID "$(unit MainPID)" "$pid"
  check 'a ping passes' passes
  rm /etc/esplane/conf.d/second.toml
  systemctl reload esplane
  check 'the configuration is whole again' \
    within 10 unit_is StatusText 'the configuration is read again'
}

back() { unit_is ActiveState active && [ "$(unit MainPID)" != "$1" ] && passes; }

accidents() {
  local pid
  pid=$(unit MainPID)
  kill -KILL "$pid"
  check 'after kill -9 it is started again, and the tunnel is back' within 30 back "$pid"
  pid=$(unit MainPID)
  kill -STOP "$pid"
  check 'one that hangs is ended by the watchdog, and the tunnel is back' within 75 back "$pid"
  check 'systemd names the watchdog' sh -c 'journalctl -u esplane | grep -qi "watchdog timeout"'
  pid=$(unit MainPID)
  sleep 25
  check 'one that does not hang is left alone for longer than WatchdogSec' \
    same MainPID "$(unit MainPID)" "$pid"
}

removal() {
  local pid
  pid=$(unit MainPID)
  check 'dpkg -i of an update starts it anew' dpkg -i /root/esplane.deb
  check 'with its tunnel' within 30 back "$pid"
  check 'systemctl stop' systemctl stop esplane
  check 'is an orderly end' unit_is Result success
  check 'and the guard stays' guarded
  check 'systemctl start' systemctl start esplane
  check 'dpkg -r stops it' dpkg -r esplane
  check 'and takes the guard away' sh -c '! nft list tables | grep esplane'
  check 'the unit is gone' sh -c '! systemctl cat esplane.service'
  check 'the configuration is not' test -e /etc/esplane/gateway.toml
  check 'dpkg -P' dpkg -P esplane
  check 'takes configuration and keys' test ! -e /etc/esplane
  check 'nothing of it is left running' sh -c '! pgrep -u esplane'
}

network
installation
first_start
if [ $failures = 0 ]; then
  peer
  confinement
  changes
  accidents
  removal
fi
[ $failures = 0 ] || journalctl -u esplane --no-pager -o cat | tail -n 40 | sed 's/^/        /'
echo "$failures failed"
