#!/bin/busybox sh
# The first process of the guest whose watchdog is measured. Its disk is memory, so what is noted goes to the console as well:
# each line that begins with @@ holds all notes so far, with a blank for each end of a line.

export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
hostname n1.lab

insmod /modules/watchdog.ko
insmod /modules/i6300esb.ko nowayout=1 heartbeat=4

# An instance runs: nothing is reset.
mkdir -p /run/ganeti/fake-hypervisor
: >/run/ganeti/fake-hypervisor/web
gnt-ha leash measure start --confirm
rm /run/ganeti/fake-hypervisor/web
gnt-ha leash measure start
echo "== state $(cat /sys/class/watchdog/watchdog0/state)"

gnt-ha leash measure start --confirm &
while :; do
    sleep 0.1
    echo "@@ $(tr '\n' ' ' </var/lib/gnt-ha/watchdog-measurement)"
done
