#!/bin/busybox sh
# The first process of the guest. Each line that begins with @@ is for the test: a word, the time since boot, and the
# report of self-fencing on itself.

say() {
    read -r up _ </proc/uptime
    status=$(cat /run/gnt-ha/self-fence-status.json 2>/dev/null)
    echo "@@ $1 $up ${status:-null}"
}

# Prints the report for $2 seconds.
watch() {
    n=0
    while [ "$n" -lt "$2" ]; do
        sleep 1
        say "$1"
        n=$((n + 1))
    done
}

start() {
    gnt-ha self-fence run >>/run/self-fence.log 2>&1 &
    self_fence=$!
}

again() {
    kill "$self_fence"
    wait "$self_fence"
    start
}

# Starts the candidates at the other arguments, which answer by the protocol in the first one.
candidates() {
    way=$1
    shift
    candidates-confd "$way" /var/lib/ganeti/hmac.key "$@" &
}

# Arming succeeds only while signed answers and echoes of a majority arrive.
arm() {
    ip address add 192.0.2.2/32 dev lo
    ip address add 192.0.2.3/32 dev lo
    candidates confd 192.0.2.1 192.0.2.2 192.0.2.3
    confds=$!
    # If its own daemon and others answer already, they go on.
    candidates echo 192.0.2.1 192.0.2.2 192.0.2.3
    echoes=$!
    # The emulated machine may be slow. A failed attempt changes nothing, so it is repeated until it succeeds.
    until gnt-ha self-fence arm; do
        sleep 1
    done
    kill "$confds" "$echoes"
    wait "$confds" "$echoes"
}

export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run

hostname n1.lab
ip link set lo up
# Without a default route, no host reaches an address that was removed.
ip address del 127.0.0.1/8 dev lo
ip address add 192.0.2.1/32 dev lo

insmod /modules/watchdog.ko
insmod /modules/i6300esb.ko nowayout=1 heartbeat=4
arm >/run/self-fence.log 2>&1
ip address del 192.0.2.2/32 dev lo
ip address del 192.0.2.3/32 dev lo

# Its own answer alone is not a majority of three.
candidates confd 192.0.2.1
own=$!
start
watch waiting 3
echo "@@ state $(cat /sys/class/watchdog/watchdog0/state)"

ip address add 192.0.2.2/32 dev lo
ip address add 192.0.2.3/32 dev lo
candidates confd 192.0.2.2 192.0.2.3
others=$!
candidates echo 192.0.2.2 192.0.2.3
daemons=$!
watch leased 8
echo "@@ kernel $(cat /sys/class/watchdog/watchdog0/identity) $(cat /sys/class/watchdog/watchdog0/timeout)"

# All confds end; the self-fencing daemons of their hosts answer.
kill "$own" "$others"
watch echo 8

# For a moment Ganeti's file names no candidate, or cannot be read.
: >/var/lib/ganeti/ssconf_master_candidates_ips
watch alone 3
rm /var/lib/ganeti/ssconf_master_candidates_ips
watch unreadable 3

# Another process takes self-fencing over, with the candidates that were in force.
again
watch again 7

# It is disarmed, and others may still rely on it: the next process knows that.
gnt-ha self-fence disarm >/dev/null
again
watch disarming 6
printf '%s\n' 192.0.2.1 192.0.2.2 192.0.2.3 >/var/lib/ganeti/ssconf_master_candidates_ips
arm >/dev/null 2>&1
sleep 1
watch armed 2

echo "@@ log $(tr '\n' ' ' </run/self-fence.log)"
# One candidate is cut off. Of the other one only the kernel is left, which answers a ping: that is not a proof.
ip address del 192.0.2.2/32 dev lo
kill "$daemons"
say cut
while :; do
    sleep 0.2
    say lost
done
