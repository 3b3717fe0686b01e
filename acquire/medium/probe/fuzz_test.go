package probe

import (
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// cutter gives each command the next piece of hostile bytes.
type cutter struct{ rest []byte }

func (c *cutter) take(n int) []byte {
	n = min(n, len(c.rest))
	p := c.rest[:n]
	c.rest = c.rest[n:]
	return p
}

func (c *cutter) byte() byte {
	if p := c.take(1); len(p) == 1 {
		return p[0]
	}
	return 0
}

func (c *cutter) SCSI(_, data []byte) (Answer, error) {
	control := c.byte()
	if control&0x70 == 0x70 {
		return Answer{}, ErrNoAnswer
	}
	n := copy(data, c.take(len(data)))
	return Answer{Status: control & 0x0a, Sense: c.take(int(control)), Bytes: n + int(int8(control))}, nil
}

func (c *cutter) NVMeAdmin(_ NVMeCommand, data []byte) (uint16, error) {
	copy(data, c.take(len(data)))
	return uint16(c.byte() & 1), nil
}

// FuzzDevice: whatever a drive answers to whichever command, the result fits a record.
func FuzzDevice(f *testing.F) {
	seed := []byte{0}
	seed = append(append(seed, words(ssd())...), descriptor(true, 0x50, userSectors, 0x40).Sense...)
	f.Add(uint8(0), seed)
	f.Add(uint8(1), []byte{2})
	f.Add(uint8(2), append(controllerPage(nil), 0))
	f.Fuzz(func(t *testing.T, kind uint8, answers []byte) {
		blocks := []sysfs.Block{sataBlock(t), usbBlock(t, "0"), nvmeBlock(t), {Name: "sdx", Bus: "scsi"}}
		b := blocks[int(kind)%len(blocks)]
		valid(t, Device(&cutter{answers}, b))
		h := Health(&cutter{answers}, b)
		if err := h.Validate(); err != nil {
			t.Errorf("the health is not fit for a record: %v", err)
		}
	})
}

// FuzzATA: IDENTIFY, DCO and SMART data of any content.
func FuzzATA(f *testing.F) {
	f.Add(words(ssd()))
	f.Add(dco(userSectors))
	f.Add(smartPage(map[byte]uint64{5: 1, 194: 30}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		// What the fuzzer makes would seldom have a checksum that holds.
		if len(p) == identifyBytes {
			p[511] -= sum(p)
		}
		h := record.UnknownHardware("not asked")
		if id, err := parseIdentify(p); err == nil {
			id.describe(&h)
			if _, ok := h.HiddenAreas.HPAFeature.Get(); ok != id.marked(83) {
				t.Error("the feature sets were told by a word that is not in use")
			}
		}
		if last, err := parseDCO(p); err == nil && (last == 0 || last >= 1<<48) {
			t.Errorf("the overlay has the last address %d", last)
		}
		h.Health = parseSMART(p)
		valid(t, h)
	})
}

// FuzzSCSI: sense data, pages, and the answers to MODE SENSE and READ CAPACITY.
func FuzzSCSI(f *testing.F) {
	f.Add(descriptor(true, 0x50, userSectors, 0x40).Sense, true)
	f.Add(fixed(5, 0, 0x60).Sense, false)
	f.Add([]byte("\x00\x83\x00\x0c\x01\x03\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x44"), false)
	f.Add([]byte("\x00\x80\x00\x04Z1Z2"), false)
	f.Fuzz(func(t *testing.T, p []byte, extended bool) {
		h := record.UnknownHardware("not asked")
		h.Serial = serialPage(p)
		h.WWN, h.EUI64 = identityPage(p)
		h.Rotational = rotationPage(p)
		h.WriteProtect = modeWriteProtect(p)
		h.Trim.Supported, h.Trim.LBPRZ = capacityProvisioning(p)
		valid(t, h)
		r, err := parseRegisters(p, extended)
		if limit := uint64(1) << 28; err == nil && (r.lba >= 1<<48 || !extended && r.lba >= limit) {
			t.Errorf("the address %x", r.lba)
		}
		if err != nil && r != (registers{}) {
			t.Errorf("with the error %v came registers", err)
		}
		if err := (Answer{Status: 2, Sense: p}).refusal(); err != nil {
			h.Make = unknown[string](err)
			valid(t, h)
		}
	})
}

// FuzzNVMe: the structures of Identify, and the log page of health.
func FuzzNVMe(f *testing.F) {
	f.Add(controllerPage(nil))
	f.Add(namespacePage(userSectors, nil))
	f.Add(listPage(1, 2, 9))
	f.Add(healthLog(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		h := record.UnknownHardware("not asked")
		n := record.NVMe{ActiveNamespace: record.Known(int64(1)), Managed: record.Known(true), Namespaces: record.Unknown[[]record.Namespace]("none"),
			TotalBytes: record.Unknown[int64]("none"), UnallocatedBytes: record.Unknown[int64]("none"), Inactive: record.Unknown[[]int64]("none")}
		if c, err := parseController(p); err == nil {
			n.TotalBytes, n.UnallocatedBytes = c.total, c.unallocated
			h.Serial, h.Model = text(c.serial, "blank"), text(c.model, "blank")
		}
		if ns, err := parseNamespace(p); err == nil {
			n.Namespaces = record.Known([]record.Namespace{ns.facts(1, nil)})
			ns.describe(&h, nil)
		}
		if ids, err := parseList(p); err == nil {
			n.Inactive = record.Known(ids)
		}
		h.NVMe, h.Health = record.Known(n), parseHealth(p)
		valid(t, h)
	})
}
