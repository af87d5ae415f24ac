#!/bin/busybox sh
# The first process of the guest whose watchdog is measured. Its disk is in memory, so the notes also go to the console,
# each line once, after @@. The shell reads them itself. With a process for each read the last notes would reach the
# console too late, and the host would seem to have ended before its watchdog expired.

export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
hostname n1.lab

insmod /modules/watchdog.ko
insmod /modules/i6300esb.ko nowayout=1 heartbeat=4

# An instance runs: the host is not reset.
mkdir -p /run/ganeti/fake-hypervisor
: >/run/ganeti/fake-hypervisor/web
gnt-ha self-fence measure start --confirm
rm /run/ganeti/fake-hypervisor/web
gnt-ha self-fence measure start
echo "== state $(cat /sys/class/watchdog/watchdog0/state)"

gnt-ha self-fence measure start --confirm &
notes=/var/lib/gnt-ha/watchdog-measurement
until [ -s "$notes" ]; do sleep 0.05; done
exec 3<"$notes"
while :; do
    while read -r note <&3; do echo "@@ $note"; done
    sleep 0.02
done
