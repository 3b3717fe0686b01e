package medium

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func page80(serial string) string {
	return "\x00\x80\x00" + string(rune(len(serial))) + serial
}

// A medium is found by what its drive is; two that fit are one too many.
func TestResolve(t *testing.T) {
	h := tree(t, map[string]string{
		"sys/block/sda/device/vpd_pg80": page80("   WD-123  "), "sys/block/sda/device/wwid": "naa.50014ee2b1a2b3c4\n",
		"sys/block/nvme0n1/device/serial": "S4EWNX0R     \n", "sys/block/nvme0n1/wwid": "eui.0025385b91b0a1b2\n",
		"sys/block/nvme0n1/nguid":         "00000000-0000-0010-0025-385b91b0a1b2\n",
		"sys/block/mmcblk0/device/serial": "0x1a2b3c4d\n",
		"sys/block/cciss!c0d0/serial":     "OLD 1\n",
		"sys/block/sdc":                   "->sys/devices/usb1/1-2/1-2:1.0/host6/block/sdc", "sys/devices/usb1/1-2/1-2:1.0/host6/block/sdc/dev": "8:32\n",
		"sys/block/sdd": "->sys/devices/usb1/1-2/1-2:1.0/host6/block/sdd", "sys/devices/usb1/1-2/1-2:1.0/host6/block/sdd/dev": "8:48\n",
		"sys/devices/usb1/1-2/idVendor": "0951\n", "sys/devices/usb1/1-2/serial": "CARDS\n",
		"sys/devices/usb1/idVendor": "1d6b\n", "sys/devices/usb1/serial": "the root hub\n",
		"sys/block/sde/device/vpd_pg80": page80("TWICE"), "sys/block/sdf/device/vpd_pg80": page80("TWICE"),
		"sys/block/sdg/device/vpd_pg80": "\x00\x83\x00\x04ABCD", "sys/block/sdh/device/vpd_pg80": "\x00\x80\xff\xffSHORT", "sys/block/sdi/device/vpd_pg80": "\x00\x80",
		"sys/block/loop0/size": "0\n",
	})
	for name, want := range map[string]string{
		"/dev/sdz": "/dev/sdz", "image.raw": "image.raw", "./serial:x": "./serial:x",
		"serial:WD-123": "/dev/sda", "wwn:50014ee2b1a2b3c4": "/dev/sda", "wwn:0x50014EE2B1A2B3C4": "/dev/sda", "wwn:naa.50014ee2b1a2b3c4": "/dev/sda",
		"serial:S4EWNX0R": "/dev/nvme0n1", "wwn:eui.0025385b91b0a1b2": "/dev/nvme0n1", "wwn:00000000000000100025385b91b0a1b2": "/dev/nvme0n1",
		"serial:0x1a2b3c4d": "/dev/mmcblk0", "serial:OLD 1": "/dev/cciss/c0d0", "serial:SHORT": "/dev/sdh",
	} {
		if got, err := h.resolve(name); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{"serial:TWICE": `"/dev/sde" "/dev/sdf"`, "serial:CARDS": `"/dev/sdc" "/dev/sdd"`} {
		if got, err := h.resolve(name); got != "" || !errors.Is(err, ErrAmbiguous) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %q, %v, want ErrAmbiguous and %s", name, got, err, want)
		}
	}
	for _, name := range []string{"serial:", "wwn:", "wwn:0x", "wwn:naa.", "serial:wd-123", "serial:WD-12", "serial:ABCD", "serial:the root hub", "wwn:WD-123"} {
		got, err := h.resolve(name)
		hint, ok := errors.AsType[*HintError](err)
		if got != "" || !errors.Is(err, fs.ErrNotExist) || !ok || !strings.Contains(hint.Hint(), `"/dev/sda" (serial:WD-123)`) {
			t.Errorf("%q is %q, %v, want fs.ErrNotExist and the disks there are", name, got, err)
		}
	}
}

// Whatever a drive gives as its serial, no byte is read that is not in the page.
func FuzzSerialPage(f *testing.F) {
	f.Add([]byte(page80("WD-123")))
	f.Add([]byte("\x00\x80\xff\xffSHORT"))
	f.Add([]byte("\x00\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := serialText(b)
		if len(got) > len(b) || got != "" && (b[1] != 0x80 || !bytes.HasPrefix(b[4:], []byte(got)) || len(got) > int(b[2])<<8+int(b[3])) {
			t.Errorf("%q has the serial %q", b, got)
		}
	})
}
