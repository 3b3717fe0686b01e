package probe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// show writes a fact for comparison: its value, or "?" and the reason.
func show[T any](f record.Fact[T]) string {
	if v, ok := f.Get(); ok {
		return fmt.Sprint(v)
	}
	return "? " + f.Reason()
}

// fits compares a fact with what is expected of it; of an unknown one, the beginning of "? reason" is enough.
func fits(got, expected string) bool {
	return got == expected || strings.HasPrefix(expected, "?") && strings.HasPrefix(got, expected)
}

// want compares facts by name.
func want(t *testing.T, got, expected map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		g, e := got[name], expected[name]
		if !fits(g, e) {
			t.Errorf("%s: got %q, want %q", name, g, e)
		}
	}
}

func facts(h record.Hardware) map[string]string {
	a, t, s := h.HiddenAreas, h.Trim, h.Health
	out := map[string]string{
		"bus": show(h.Bus), "make": show(h.Make), "model": show(h.Model), "firmware": show(h.Firmware), "serial": show(h.Serial), "wwn": show(h.WWN),
		"eui64": show(h.EUI64), "nguid": show(h.NGUID), "rotational": show(h.Rotational), "removable": show(h.Removable), "protect": show(h.WriteProtect),
		"user": show(a.UserSectors), "native": show(a.NativeMaxSectors), "dco": show(a.DCOSectors), "amac": show(a.AMACNativeSectors),
		"hpaFeature": show(a.HPAFeature), "dcoFeature": show(a.DCOFeature), "amacFeature": show(a.AMACFeature), "sector": show(a.SectorBytes),
		"kernel": show(a.KernelBytes), "lifts": show(a.KernelLiftsHPA), "hidden": show(h.Hidden()), "hiddenBytes": show(h.HiddenBytes()),
		"drat": show(t.DRAT), "rzat": show(t.RZAT), "lbprz": show(t.LBPRZ), "dlfeat": show(t.DLFEAT), "trim": show(t.Supported),
		"failing": show(s.Failing), "temperature": show(s.Temperature), "reallocated": show(s.Reallocated), "pending": show(s.Pending),
		"hours": show(s.PowerOnHours), "errors": show(s.MediaErrors), "used": show(s.PercentageUsed), "warning": show(s.CriticalWarning),
		"diskseq": show(h.DiskSequence),
	}
	if u, ok := h.USB.Get(); ok {
		out["usb"] = strings.Join([]string{show(u.VendorID), show(u.ProductID), show(u.Serial), show(u.Manufacturer), show(u.Product), show(u.SpeedKilobits)}, "|")
	}
	if n, ok := h.NVMe.Get(); ok {
		out["active"], out["inactive"], out["managed"] = show(n.ActiveNamespace), show(n.Inactive), show(n.Managed)
		out["total"], out["unallocated"] = show(n.TotalBytes), show(n.UnallocatedBytes)
		all, _ := n.Namespaces.Get()
		for _, ns := range all {
			out[fmt.Sprint("ns", ns.ID)] = show(ns.SizeBytes) + "|" + show(ns.LBABytes) + "|" + show(ns.MetadataBytes)
		}
	}
	return out
}

func TestATA(t *testing.T) {
	d := ata(t, ssd())
	h := valid(t, Device(d, sataBlock(t)))
	want(t, facts(h), map[string]string{
		"bus": "sata", "make": "? an ATA drive has no field", "model": "Example SSD 870 with a long name, 4TB", "firmware": "SVQ02B6Q", "serial": "S5AB1234567",
		"wwn": "5002538f1234abcd", "eui64": "?", "nguid": "?", "rotational": "false", "removable": "false", "protect": "false", "diskseq": "9",
		"user": "7814037168", "native": "7814037168", "dco": "7814037168", "amac": "? the drive does not have the feature set",
		"hpaFeature": "true", "dcoFeature": "true", "amacFeature": "false", "sector": "512", "kernel": fmt.Sprint(int64(userSectors) * 512), "lifts": "false",
		"hidden": "false", "hiddenBytes": "0", "drat": "true", "rzat": "true", "trim": "true", "lbprz": "?", "dlfeat": "?",
		"failing": "false", "temperature": "29", "reallocated": "8", "pending": "2", "hours": "1379", "errors": "3", "used": "?", "warning": "?",
	})
	if page, ok := h.Health.Page.Get(); !ok || len(page) != 1024 {
		t.Errorf("the page has %d digits, want 1024", len(page))
	}
	if again := Health(d, sataBlock(t)); show(again.Page) != show(h.Health.Page) {
		t.Errorf("the health is another when asked again: %+v", again)
	}
}

// The hidden areas, each by itself, and each way to be refused one.
func TestHiddenAreas(t *testing.T) {
	amac := func(w map[int]uint16) { w[119] |= 1 << 8 }
	old := func(w map[int]uint16) { w[83] &^= 1 << 10; w[60], w[61] = 0x5678, 0x0234 } // 28 bits: 0x2345678 sectors
	for name, test := range map[string]struct {
		identify func(map[int]uint16)
		answers  map[string]reply
		want     map[string]string
	}{
		"HPA": {nil, map[string]reply{"ata/27/0000": {answer: descriptor(true, 0x50, userSectors+999, 0x40)}},
			map[string]string{"native": "7814038168", "hidden": "true", "hiddenBytes": "512000"}},
		"HPA beyond 32 bits": {nil, map[string]reply{"ata/27/0000": {answer: descriptor(true, 0x50, 0x123456789abc, 0x40)}},
			map[string]string{"native": fmt.Sprint(int64(0x123456789abc) + 1), "hidden": "true"}},
		"HPA, 28 bits": {old, map[string]reply{"ata/f8/0000": {answer: descriptor(false, 0x50, 0x3456788, 0x43)}},
			map[string]string{"user": fmt.Sprint(0x02345678), "native": fmt.Sprint(0x3456789), "hidden": "true"}},
		"HPA, 28 bits, fixed format": {old, map[string]reply{"ata/f8/0000": {answer: fixed(0x3456788, 0x43, 0)}},
			map[string]string{"native": fmt.Sprint(0x3456789), "hidden": "true"}},
		"HPA, a descriptor before it": {nil, map[string]reply{"ata/27/0000": {answer: Answer{Status: 2, Sense: slices.Concat(
			[]byte{0x72, 1, 0, 0x1d, 0, 0, 0, 26, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, descriptor(true, 0x50, userSectors, 0x40).Sense[8:])}}},
			map[string]string{"native": "7814037169", "hidden": "true"}},
		"DCO": {nil, map[string]reply{"ata/b1/00c2": {data: dco(userSectors + 9)}}, map[string]string{"dco": "7814037178", "hidden": "true", "hiddenBytes": "5120"}},
		"AMAC": {amac, map[string]reply{"ata/78/0000": {answer: descriptor(true, 0x50, userSectors, 0)}},
			map[string]string{"amac": "7814037169", "amacFeature": "true", "hidden": "true", "hiddenBytes": "512"}},
		"AMAC refused": {amac, map[string]reply{"ata/78/0000": {answer: descriptor(true, 0x51, 0, 0)}},
			map[string]string{"amac": "? GET NATIVE MAX ADDRESS EXT: the drive refuses it: status 51h, error 00h", "hidden": "? amacNativeSectors"}},
		"DCO frozen": {nil, map[string]reply{"ata/b1/00c2": {answer: Answer{Status: 2, Sense: []byte{0x72, 0x0b, 0, 0, 0, 0, 0, 0}}}},
			map[string]string{"dco": "? DEVICE CONFIGURATION IDENTIFY: the drive refuses it: aborted command (sense 0b/00/00)", "hidden": "? dcoSectors"}},
		"DCO damaged": {nil, map[string]reply{"ata/b1/00c2": {data: append(dco(userSectors - 1)[:511], 0)}},
			map[string]string{"dco": "? DEVICE CONFIGURATION IDENTIFY: the answer fails its checksum", "hidden": "?"}},
		"DCO of zeros": {nil, map[string]reply{"ata/b1/00c2": {data: make([]byte, 512)}}, map[string]string{"dco": "?", "hidden": "?"}},
		"DCO cut off":  {nil, map[string]reply{"ata/b1/00c2": {data: dco(userSectors)[:100]}}, map[string]string{"dco": "?", "hidden": "?"}},
		"native max refused by the bridge": {nil, map[string]reply{"ata/27/0000": {answer: refusal}},
			map[string]string{"native": "? READ NATIVE MAX ADDRESS EXT: the drive refuses it: illegal request (sense 05/20/00)", "hidden": "? nativeMaxSectors"}},
		"no registers": {nil, map[string]reply{"ata/27/0000": {}}, map[string]string{"native": "? READ NATIVE MAX ADDRESS EXT: the drive's registers did not come back", "hidden": "?"}},
		"upper half lost": {nil, map[string]reply{"ata/27/0000": {answer: fixed(userSectors-1, 0x40, 0x20)}},
			map[string]string{"native": "? READ NATIVE MAX ADDRESS EXT: the upper half", "hidden": "?"}},
		"upper half not said": {nil, map[string]reply{"ata/27/0000": {answer: descriptor(false, 0x50, userSectors-1, 0x40)}},
			map[string]string{"native": "? READ NATIVE MAX ADDRESS EXT: the upper half", "hidden": "?"}},
		"fewer than offered": {nil, map[string]reply{"ata/27/0000": {answer: descriptor(true, 0x50, 5, 0x40)}},
			map[string]string{"native": "? the drive gives 6 sectors", "hidden": "?"}},
		"a bridge that offers less": {func(w map[int]uint16) { put64(w, 100, userSectors+8) }, map[string]reply{
			"ata/27/0000": {answer: descriptor(true, 0x50, userSectors+7, 0x40)}, "ata/b1/00c2": {data: dco(userSectors + 7)}},
			map[string]string{"user": "7814037176", "hidden": "true", "hiddenBytes": "4096"}},
		"feature sets not told": {func(w map[int]uint16) { w[83] = 0 }, nil,
			map[string]string{"hpaFeature": "?", "native": "? IDENTIFY does not tell the feature sets", "hidden": "?"}},
		"no feature sets": {func(w map[int]uint16) { w[82] &^= 1 << 10; w[83] &^= 1 << 11 }, nil,
			map[string]string{"hpaFeature": "false", "dcoFeature": "false", "native": "?", "dco": "?", "hidden": "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := ssd()
			if test.identify != nil {
				test.identify(w)
			}
			d := ata(t, w)
			maps.Copy(d.answers, test.answers)
			want(t, facts(valid(t, Device(d, sataBlock(t)))), test.want)
		})
	}
}

func TestIdentify(t *testing.T) {
	for name, test := range map[string]struct {
		change func(map[int]uint16)
		want   map[string]string
	}{
		"HDD":             {func(w map[int]uint16) { w[217] = 7200 }, map[string]string{"rotational": "true"}},
		"rate not told":   {func(w map[int]uint16) { w[217] = 0 }, map[string]string{"rotational": "? the drive does not tell its rotation rate"}},
		"no trim":         {func(w map[int]uint16) { w[169] = 0 }, map[string]string{"trim": "false"}},
		"old words":       {func(w map[int]uint16) { w[169], w[69] = 0xffff, 0xffff }, map[string]string{"trim": "false", "drat": "false", "rzat": "false"}},
		"parallel":        {func(w map[int]uint16) { w[222], w[76] = 0x00ff, 0 }, map[string]string{"bus": "pata"}},
		"transport":       {func(w map[int]uint16) { w[222], w[76] = 0, 0 }, map[string]string{"bus": "ata"}},
		"no WWN":          {func(w map[int]uint16) { w[84] &^= 1 << 8; w[87] &^= 1 << 8 }, map[string]string{"wwn": "? the drive has none"}},
		"WWN of zeros":    {func(w map[int]uint16) { w[108], w[109], w[110], w[111] = 0, 0, 0, 0 }, map[string]string{"wwn": "?"}},
		"blank serial":    {func(w map[int]uint16) { putText(w, 10, 10, "") }, map[string]string{"serial": "? the drive's field is blank"}},
		"hostile model":   {func(w map[int]uint16) { putText(w, 27, 20, "A\x1b]0;owned\x07\xff\\") }, map[string]string{"model": `A\x1b]0;owned\x07\xff\\`}},
		"4Kn":             {func(w map[int]uint16) { w[106], w[117] = 0x5000, 2048 }, map[string]string{"sector": "4096"}},
		"bad sector size": {func(w map[int]uint16) { w[106], w[118] = 0x5000, 0xffff }, map[string]string{"sector": "?"}},
		"64 bits": {func(w map[int]uint16) { w[69] |= 8; put64(w, 230, userSectors+1) },
			map[string]string{"user": "7814037169", "hidden": "true"}},
		"too large to be true": {func(w map[int]uint16) { w[69] |= 8; put64(w, 230, 1<<63) }, map[string]string{"user": "? the number"}},
		"too large in bytes":   {func(w map[int]uint16) { w[69] |= 8; put64(w, 230, 1<<50) }, map[string]string{"user": "? IDENTIFY gives a size"}},
		"no address":           {func(w map[int]uint16) { w[83] &^= 1 << 10; w[49] = 0 }, map[string]string{"user": "? the drive has no linear addresses"}},
		"size of zero":         {func(w map[int]uint16) { put64(w, 100, 0) }, map[string]string{"user": "? IDENTIFY gives a size of 0"}},
		"CompactFlash":         {func(w map[int]uint16) { w[0] = 0x848a }, map[string]string{"user": "7814037168"}},
		"SMART off":            {func(w map[int]uint16) { w[85] &^= 1 }, map[string]string{"failing": "? SMART is switched off", "temperature": "? SMART is switched off"}},
		"no SMART":             {func(w map[int]uint16) { w[82] &^= 1 }, map[string]string{"failing": "? the drive has no SMART"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := ssd()
			test.change(w)
			want(t, facts(valid(t, Device(ata(t, w), sataBlock(t)))), test.want)
		})
	}
	damaged := words(ssd())
	damaged[120]++
	for name, p := range map[string][]byte{
		"checksum": damaged, "zeros": make([]byte, 512), "short": words(ssd())[:511], "none": nil,
		"packet device": words(map[int]uint16{0: 0x8580, 27: 0x4141}),
	} {
		if id, err := parseIdentify(p); err == nil {
			t.Errorf("%s: accepted, model %q", name, id.text(27, 20))
		}
	}
}

func TestSMART(t *testing.T) {
	good := smartPage(map[byte]uint64{5: 1, 190: 0x24})
	bad := slices.Clone(good)
	bad[9]++
	for name, test := range map[string]struct {
		answers map[string]reply
		want    map[string]string
	}{
		"airflow":    {map[string]reply{"ata/b0/00d0": {data: good}}, map[string]string{"temperature": "36", "reallocated": "1", "pending": "? the drive has no attribute 197"}},
		"below zero": {map[string]reply{"ata/b0/00d0": {data: smartPage(map[byte]uint64{194: 0xf6})}}, map[string]string{"temperature": "-10"}},
		"furnace":    {map[string]reply{"ata/b0/00d0": {data: smartPage(map[byte]uint64{194: 0x7f})}}, map[string]string{"temperature": "? the drive gives 127"}},
		"checksum":   {map[string]reply{"ata/b0/00d0": {data: bad}}, map[string]string{"reallocated": "? SMART READ DATA: the answer fails its checksum"}},
		"largest":    {map[string]reply{"ata/b0/00d0": {data: smartPage(map[byte]uint64{197: 1<<48 - 1})}}, map[string]string{"pending": fmt.Sprint(int64(1)<<48 - 1)}},
		"short":      {map[string]reply{"ata/b0/00d0": {data: good[:300]}}, map[string]string{"reallocated": "? SMART READ DATA: the answer has only 300 bytes", "failing": "false"}},
		"failing":    {map[string]reply{"ata/b0/00da": {answer: descriptor(false, 0x50, smartBad, 0)}}, map[string]string{"failing": "true", "reallocated": "8"}},
		"neither":    {map[string]reply{"ata/b0/00da": {answer: descriptor(false, 0x50, 0x123400, 0)}}, map[string]string{"failing": "? SMART RETURN STATUS: 1234h is neither"}},
		"refused":    {map[string]reply{"ata/b0/00da": {answer: refusal}}, map[string]string{"failing": "? SMART RETURN STATUS: the drive refuses it"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := ata(t, ssd())
			maps.Copy(d.answers, test.answers)
			h := valid(t, Device(d, sataBlock(t)))
			want(t, facts(h), test.want)
			if _, kept := h.Health.Page.Get(); kept == (name == "short") {
				t.Errorf("the page is kept: %t", kept)
			}
		})
	}
}

// Which drives are asked what: a USB stick that would hang is never asked for pages or by ATA commands.
func TestWhoIsAsked(t *testing.T) {
	sas := func(vendor string) sysfs.Block {
		return block(t, "devices/pci0/host1/port-1:0/end_device-1:0/target1:0:0/1:0:0:0/block/sdd", map[string]string{"removable": "0\n",
			"device/vendor": vendor + "\n", "device/model": "ST4000NM0023\n", "device/rev": "0004\n", "device/type": "0\n"})
	}
	dvd := block(t, "devices/pci0/ata2/host1/target1:0:0/1:0:0:0/block/sr0", map[string]string{"removable": "1\n", "device/vendor": "HL-DT-ST\n",
		"device/model": "DVDRAM\n", "device/rev": "A1\n", "device/type": "5\n"})
	loop := block(t, "devices/virtual/block/loop0", nil)
	for name, test := range map[string]struct {
		block sysfs.Block
		asked []string // besides SMART and sizes
		never []string
		want  map[string]string
	}{
		"USB stick": {usbBlock(t, "1"), []string{"1a"}, []string{"ata", "inquiry", "9e"}, map[string]string{"bus": "usb", "make": "JMicron", "model": `Generic\x1b[31m`,
			"serial": "? not asked: cheap USB", "user": "? not asked: USB sticks", "hidden": "?", "usb": "152d|0578|DD5641988|JMicron|? the device has no such text|5000000"}},
		"USB disk": {usbBlock(t, "0"), []string{"ata/ec/0000", "ata/27/0000"}, []string{"inquiry", "9e"}, map[string]string{"bus": "usb", "make": "?",
			"model": "Example SSD 870 with a long name, 4TB", "serial": "S5AB1234567", "hidden": "false"}},
		"SAS":         {sas("SEAGATE"), []string{"inquiry/1/80", "inquiry/1/83", "inquiry/1/b1", "9e/10"}, []string{"ata"}, map[string]string{"bus": "sas", "make": "SEAGATE", "hidden": "? userSectors: not an ATA drive"}},
		"SATA on SAS": {sas("ATA"), []string{"ata/ec/0000"}, nil, map[string]string{"bus": "sas", "model": "Example SSD 870 with a long name, 4TB"}},
		"DVD":         {dvd, nil, []string{"ata", "1a"}, map[string]string{"bus": "ata", "user": "? not a disk", "protect": "?"}},
		"loop":        {loop, nil, []string{"ata", "inquiry", "1a", "9e", "nvme"}, map[string]string{"bus": "loop", "serial": "? a loop device has no drive", "hidden": "?"}},
		"unlisted":    {sysfs.Block{Name: "sdx", Bus: "scsi"}, []string{"inquiry/0/00"}, []string{"ata"}, map[string]string{"make": "VENDOR", "model": "PRODUCT", "firmware": "R1"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := ata(t, ssd())
			d.answers["inquiry/0/00"] = reply{data: []byte("\x00\x00\x06\x02\x1f\x00\x00\x00VENDOR  PRODUCT         R1  ")}
			h := valid(t, Device(d, test.block))
			want(t, facts(h), test.want)
			for _, c := range test.asked {
				if !slices.Contains(d.sent, c) {
					t.Errorf("%s was not sent, but %v", c, d.sent)
				}
			}
			for _, c := range d.sent {
				for _, n := range test.never {
					if strings.HasPrefix(c, n) {
						t.Errorf("%s was sent", c)
					}
				}
			}
			health := Health(ata(t, ssd()), test.block)
			if err := health.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without asking, the kernel's copy of IDENTIFY gives the whole model; without that copy sysfs' 16 characters remain.
func TestPassive(t *testing.T) {
	b := sataBlock(t)
	want(t, facts(valid(t, Passive(b))), map[string]string{"bus": "ata", "make": "?", "model": "Example SSD 870", "serial": "S5AB1234567", "wwn": "5002538f1234abcd",
		"user": "? the drive was not asked", "hidden": "?", "failing": "? the drive was not asked", "protect": "? the drive was not asked"})
	page := append(make([]byte, 60), words(ssd())...)
	b = block(t, "devices/pci0/ata1/host0/target0:0:0/0:0:0:0/block/sda", map[string]string{"removable": "0\n", "device/vendor": "ATA\n",
		"device/model": "Example SSD 870\n", "device/type": "0\n", "device/vpd_pg89": string(page), "device/vpd_pgb1": "\x00\xb1\x00\x02\x1c\x20"})
	want(t, facts(valid(t, Passive(b))), map[string]string{"bus": "sata", "model": "Example SSD 870 with a long name, 4TB", "rotational": "false",
		"user": "7814037168", "native": "? the drive was not asked", "hidden": "? nativeMaxSectors"})
	// A drive that is no ATA one may have another's page.
	other := block(t, "devices/pci0/host0/target0:0:0/0:0:0:0/block/sda", map[string]string{"device/vendor": "Linux\n", "device/model": "scsi_debug\n",
		"device/type": "0\n", "device/vpd_pg89": string(page)})
	want(t, facts(valid(t, Passive(other))), map[string]string{"bus": "scsi", "make": "Linux", "model": "scsi_debug", "user": "?", "hidden": "?"})
	// What was known passively stays when the drive then refuses everything.
	want(t, facts(valid(t, Device(&fakeDrive{t: t}, b))), map[string]string{"model": "Example SSD 870 with a long name, 4TB", "user": "7814037168",
		"native": "? IDENTIFY DEVICE: the drive refuses it", "rotational": "false", "hidden": "?", "failing": "?"})
	card := block(t, "devices/platform/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0", map[string]string{"device/cid": "035344534c3136478032a4f1c9012a00\n",
		"device/csd": "400e00325b590000767f7f800a400000\n", "device/name": "SL16G\n", "device/manfid": "0x000003\n", "device/oemid": "0x5344\n",
		"device/serial": "0x32a4f1c9\n", "device/date": "10/2018\n", "device/type": "SD\n"})
	h := valid(t, Device(&fakeDrive{t: t}, card))
	c, ok := h.Card.Get()
	if !ok || show(c.CID) != "035344534c3136478032a4f1c9012a00" || show(c.Manufacturer) != "0x000003 0x5344" || show(c.Type) != "SD" || show(c.Date) != "10/2018" {
		t.Errorf("the card is %+v", h.Card)
	}
	want(t, facts(h), map[string]string{"bus": "mmc", "model": "SL16G", "serial": "32a4f1c9", "failing": "? a card is not asked"})
}

// After a command without an answer no other is sent, and each fact says so.
func TestNoAnswer(t *testing.T) {
	for silent := range map[string]bool{"1a": true, "ata/ec/0000": true, "ata/27/0000": true, "ata/b1/00c2": true, "ata/b0/00d0": true} {
		d := ata(t, ssd())
		d.answers[silent] = reply{err: fmt.Errorf("%w within 30s", ErrNoAnswer)}
		h := valid(t, Device(d, sataBlock(t)))
		if last := d.sent[len(d.sent)-1]; last != silent {
			t.Errorf("after %s came %s", silent, last)
		}
		if r := h.Health.Failing.Reason(); !strings.Contains(r, "the drive does not answer") {
			t.Errorf("%s: the health is unknown because of %q", silent, r)
		}
	}
	d := &fakeDrive{t: t, answers: map[string]reply{"nvme/06/01": {err: ErrNoAnswer}}}
	h := valid(t, Device(d, nvmeBlock(t)))
	if len(d.sent) != 1 || !strings.Contains(h.Health.Failing.Reason(), "was not sent") {
		t.Errorf("sent: %v; %q", d.sent, h.Health.Failing.Reason())
	}
	// An error of one command alone does not stop the others.
	d = ata(t, ssd())
	d.answers["1a"] = reply{err: errors.New("the host adapter fails with status 07h")}
	want(t, facts(valid(t, Device(d, sataBlock(t)))), map[string]string{"protect": "? MODE SENSE: the host adapter fails with status 07h", "hidden": "false"})
}
