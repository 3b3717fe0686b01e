package main

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/acquire/medium/probe"
	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// recordedDevices is the /sys and /proc of a machine with its system on sda1, a mounted USB stick whose name would clear a
// terminal, an empty card reader, a RAID member, and a loop device.
func recordedDevices() sysfs.Root {
	sys := fstest.MapFS{}
	disk := func(folder string, files map[string]string) {
		name := folder[strings.LastIndex(folder, "/")+1:]
		sys["block/"+name] = &fstest.MapFile{Data: []byte("../" + folder), Mode: fs.ModeSymlink | 0o777}
		sys["class/block/"+name] = &fstest.MapFile{Data: []byte("../../" + folder), Mode: fs.ModeSymlink | 0o777}
		sys[folder+"/device"] = &fstest.MapFile{Data: []byte("../../dev-" + name), Mode: fs.ModeSymlink | 0o777}
		for f, v := range files {
			f = strings.Replace(folder+"/"+f, "block/"+name+"/device/", "dev-"+name+"/", 1)
			sys[f] = &fstest.MapFile{Data: []byte(v + "\n")}
		}
	}
	disk("devices/pci0/ata1/host0/t/0:0:0:0/block/sda", map[string]string{"dev": "8:0", "size": "1953525168", "ro": "0", "device/vendor": "ATA", "device/model": "WDC WD10EZEX-08W",
		"device/type": "0", "device/rev": "1A01", "sda1/partition": "1", "sda1/start": "2048", "sda1/size": "1048576", "sda1/dev": "8:1"})
	sys["class/block/sda1"] = &fstest.MapFile{Data: []byte("../../devices/pci0/ata1/host0/t/0:0:0:0/block/sda/sda1"), Mode: fs.ModeSymlink | 0o777}
	usb := "devices/pci0/usb2/2-1"
	disk(usb+"/2-1:1.0/host6/t/6:0:0:0/block/sdb", map[string]string{"dev": "8:16", "size": "15728640", "ro": "1", "removable": "1", "device/vendor": "Evil\x1b[2J", "device/model": "Stick",
		"device/type": "0", "sdb1/partition": "1", "sdb1/start": "63", "sdb1/size": "900", "sdb1/dev": "8:17"})
	for f, v := range map[string]string{"idVendor": "0781", "idProduct": "5567", "serial": "4C5300012\n3"} {
		sys[usb+"/"+f] = &fstest.MapFile{Data: []byte(v)}
	}
	disk("devices/pci0/usb3/3-1/3-1:1.0/host7/t/7:0:0:0/block/sdc", map[string]string{"dev": "8:32", "size": "0", "device/vendor": "Generic", "device/model": "Card Reader"})
	disk("devices/pci0/nvme/nvme0/block/nvme0n1", map[string]string{"dev": "259:0", "size": "8000", "device/model": "Example NVMe with a model of more than forty characters", "holders/md0/x": "",
		"nsid": "1", "device/serial": "S4ELNF2M000001"})
	disk("devices/virtual/block/loop3", map[string]string{"dev": "7:3", "size": "16", "loop/backing_file": "/images/a\nb.img"})
	mounts := "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n28 26 8:17 / /media/a\\040b rw - vfat /dev/sdb1 rw\n"
	return sysfs.Root{Sys: sys, Proc: fstest.MapFS{"self/mountinfo": {Data: []byte(mounts)}}}
}

// runRecorded runs the command on the recorded machine. Of its drives only sda hides something.
func runRecorded(t *testing.T, name string, ask, asJSON bool) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	u := newUI(nil, &out, &errs)
	u.json = asJSON
	opts := devicesOptions{name: name, probe: ask, root: recordedDevices(), ask: func(b sysfs.Block) (record.Hardware, error) {
		h := probe.Passive(b)
		switch b.Name {
		case "sda":
			n := func(v int64) record.Fact[int64] { return record.Known(v) }
			h.HiddenAreas.UserSectors, h.HiddenAreas.SectorBytes, h.HiddenAreas.NativeMaxSectors = n(1953525168), n(512), n(1953525168+2048)
			h.Health.Temperature, h.Health.Pending, h.Health.Failing = n(31), n(8), record.Known(true)
		case "sdb":
			return h, &fs.PathError{Op: "open", Path: "/dev/sdb", Err: fs.ErrPermission}
		case "loop3":
			t.Error("a loop device was asked")
		}
		return h, nil
	}}
	code = u.finish(runDevices(context.Background(), u, opts))
	return out.String(), errs.String(), code
}

func TestDevicesTable(t *testing.T) {
	got, stderr, code := runRecorded(t, "", false, false)
	want := strings.TrimPrefix(`
NAME     SIZE       BUS   DEVICE                                      SERIAL                   STATE
loop3    8.0 KiB    loop  /images/a; b.img                            -                        free
nvme0n1  3.9 MiB    nvme  Example NVMe with a model of more than fo…  S4ELNF2M000001           held by md0
sda      931.5 GiB  ata   WDC WD10EZEX-08W                            -                        system disk
sdb      7.5 GiB    usb   Evil\x1b[2J Stick                           4C5300012\x0a3 (USB)     mounted at /media/a b, kernel read-only flag set
sdc      0 bytes    usb   Generic Card Reader                         -                        empty
`, "\n")
	// The columns are as wide as they must be; only their order and their text count here.
	if squeeze(got) != squeeze(want) || stderr != "" || code != codeDone {
		t.Errorf("exit %d, stderr %q, stdout\n%s\nwant\n%s", code, stderr, got, want)
	}
}

func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

func TestDevicesProbe(t *testing.T) {
	got, stderr, code := runRecorded(t, "", true, false)
	for _, line := range []string{"sda: HIDDEN AREA of 1.0 MiB (1048576 bytes); health: 31 °C, 8 pending; THE DRIVE PREDICTS THAT IT FAILS\n",
		"nvme0n1: hidden areas: unknown ("} {
		if !strings.Contains(got, line) {
			t.Errorf("lacks %q:\n%s", line, got)
		}
	}
	if strings.Contains(got, "sdb: ") || strings.Contains(got, "loop3: ") {
		t.Errorf("says something of drives that were not asked:\n%s", got)
	}
	if code != codeFailed || !strings.Contains(stderr, "exhibit: error: sdb was not asked: open /dev/sdb: permission denied\n") || !strings.Contains(stderr, "exhibit: hint: ") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestDevicesOne(t *testing.T) {
	got, _, code := runRecorded(t, "sda1", true, false)
	for _, line := range []string{"Device: /dev/sda, number 8:0", "State: system disk", "Partition: sda1, 512.0 MiB (536870912 bytes) at byte 1048576", "Use: sda1 mounted /",
		"Model: WDC WD10EZEX-08W", "Hidden areas: HIDDEN AREA of 1.0 MiB (1048576 bytes)", "Sectors offered: 1953525168 of 512 bytes", "Sectors, native (HPA): 1953527216",
		"Predicts its failure: yes"} {
		if !strings.Contains(squeeze(got), line+"\n") {
			t.Errorf("lacks %q:\n%s", line, got)
		}
	}
	if code != codeDone {
		t.Errorf("exit %d", code)
	}
	got, _, _ = runRecorded(t, "loop3", true, false)
	if !strings.Contains(got, "All else is unknown: a loop device has no drive.\n") || strings.Contains(got, "Serial") {
		t.Errorf("of a loop device:\n%s", got)
	}
	got, _, _ = runRecorded(t, "nvme0n1", false, false)
	if !strings.Contains(got, "the drive was not asked (--probe)") || !strings.Contains(squeeze(got), "Serial: S4ELNF2M000001\n") {
		t.Errorf("of a drive that was not asked:\n%s", got)
	}
	for _, name := range []string{"sdz", "/dev/null", "/", "/no/such/device"} {
		if _, stderr, code := runRecorded(t, name, false, false); code != codeFailed || !strings.Contains(stderr, "hint: see the devices with: exhibit devices") {
			t.Errorf("%s: exit %d, stderr %q", name, code, stderr)
		}
	}
}

func TestDevicesJSON(t *testing.T) {
	got, _, code := runRecorded(t, "", true, true)
	var doc devicesDocument
	if err := json.Unmarshal([]byte(got), &doc, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "exhibit-devices/v1" || len(doc.Devices) != 5 || code != codeFailed {
		t.Fatalf("exit %d, %d devices, schema %q", code, len(doc.Devices), doc.Schema)
	}
	for _, d := range doc.Devices {
		if err := d.Hardware.Validate(); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
	sda, sdb := doc.Devices[2], doc.Devices[3]
	if hidden, ok := sda.Hidden.Get(); !ok || !hidden || !sda.Probed || sda.State != "system" || sda.Partitions[0].SizeBytes != 512<<20 {
		t.Errorf("sda: %+v", sda)
	}
	if _, known := sdb.Hidden.Get(); known || sdb.Probed || sdb.ProbeError == "" || !sdb.ReadOnly || sdb.Uses[0].By != "/media/a b" {
		t.Errorf("sdb: %+v", sdb)
	}
	if strings.ContainsAny(got, "\x1b\r") {
		t.Error("the document holds a control character")
	}
}
