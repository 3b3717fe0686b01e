#!/bin/busybox sh
# PID 1 of the virtual machine: makes the devices that only a kernel can, runs exhibit on all of them, and switches off.
# Everything that is to be seen afterwards goes to /r, which is a folder of the host. Lines "VMBENCH word" on the console
# ask the host for something.
/bin/busybox mkdir -p /proc /sys /dev /r /tmp /sbin /usr/bin /usr/sbin
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/sbin HOME=/tmp EXHIBIT_HOME=/tmp/home TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=85% tmp /tmp
modprobe -a ahci sd_mod nvme xhci_pci usb_storage uas dm_mod 9p 9pnet_virtio virtio_pci
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 r /r || poweroff -f
modprobe scsi_debug dev_size_mb=16 opts=2 medium_error_start=3000 medium_error_count=8 delay=0
exec >/r/guest.log 2>&1
set -x
tell() { echo "VMBENCH $1" >/dev/ttyS0; }

# find_medium FILE WORD waits for the medium whose sysfs file holds the word, and prints its name.
find_medium() {
  i=0
  while [ $i -lt 100 ]; do
    for d in /sys/block/sd* /sys/block/nvme*; do
      [ -e "$d" ] && grep -qs "$2" "$d/device/$1" "$d/$1" && { echo "/dev/${d##*/}"; return 0; }
    done
    i=$((i + 1))
    sleep 0.1
  done
  return 1
}
await() { # a command, for a minute at most
  i=0
  until "$@"; do
    i=$((i + 1))
    [ $i -lt 600 ] || return 1
    sleep 0.1
  done
}

debug=$(find_medium model scsi_debug)
under=$(find_medium model DMUNDER)
await test -e /dev/nvme0n1
export DM_DISABLE_UDEV=1
size=$(blockdev --getsz "$under")
printf '0 2000 linear %s 0\n2000 3 error\n2003 %d linear %s 2003\n' "$under" $((size - 2003)) "$under" | dmsetup create bad
dmsetup mknodes

uname -a >/r/uname
exhibit devices --probe --json >/r/devices.json 2>/r/devices.err
echo "devices $?" >>/r/exits
exhibit devices --probe >/r/devices.txt 2>&1

cd /tmp
echo bench >/tmp/pass
exhibit key create person --kind person --passphrase-file /tmp/pass || exit 1
for kind in station log; do exhibit key create $kind --kind $kind --tpm || exit 1; done # in the machine's TPM
exhibit key status >/r/tpm.txt 2>&1
exhibit case create case --number 1 --agency Bench --key person --station station --log-key log --passphrase-file /tmp/pass

# acquire NAME MEDIUM [FLAGS]: the image, its map and its record go to the host.
acquire() {
  name=$1
  shift
  exhibit acquire "$@" --case case --exhibit "$name" --passphrase-file /tmp/pass --json >"/r/$name.json" 2>"/r/$name.err"
  echo "$name $?" >>/r/exits
}
# in_tpm requires of the case, while it is whole, that the station's and the log's keys and the counter are in the TPM.
in_tpm() {
  exhibit trust add genesis "$(exhibit case show case --json | sed -n 's/.*"fingerprint": "\(.*\)",/\1/p')" --name bench
  exhibit verify case --json >/r/verify.json 2>/r/verify.err
  grep -q '"assurance": "tpm-unverified"' /r/verify.json && grep -q 'counter in the TPM went up by one with each of 2;' /r/verify.json
  echo "tpm $?" >>/r/exits
}
keep() {
  for f in case/exhibits/"$1"/*/; do cp -r "$f" "/r/$1.d"; done
  rm -rf "case/exhibits/$1"
}

for name in hdd ssd nvme usb uas usbwp; do
  acquire $name "serial:$(echo $name | tr a-z A-Z)0001"
  [ $name != hdd ] || in_tpm
  keep $name
done
acquire scsidebug "$debug"
keep scsidebug
acquire held "$under" # dm holds it: must be refused
acquire dmerror /dev/mapper/bad
keep dmerror

# A stick that is pulled out at work, and comes back.
acquire plug serial:PLUG0001 &
await sh -c 'test "$(stat -c %b /tmp/case/exhibits/plug/*/plug.raw 2>/dev/null || echo 0)" -gt 8192'
tell unplug
wait
cat /proc/partitions >/r/partitions.unplugged
tell plug
await sh -c 'exhibit devices | grep -q PLUG0001'
exhibit acquire serial:PLUG0001 --resume case/exhibits/plug/*.partial --passphrase-file /tmp/pass --json >/r/plug-resume.json 2>/r/plug-resume.err
echo "plug-resume $?" >>/r/exits
keep plug

dmesg >/r/dmesg
sync
poweroff -f
