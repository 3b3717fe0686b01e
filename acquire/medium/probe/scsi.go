package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// disk asks a drive that takes SCSI commands: a SCSI or SAS drive, or an ATA one behind a translation.
func (a *asker) disk(h *record.Hardware, b sysfs.Block) {
	if b.Text("device/vendor") == "" {
		a.inquiry(h)
	}
	if isDisk(b) {
		h.WriteProtect = a.writeProtect()
	}
	id, err := a.identify(b)
	if err != nil {
		a.plain(h, b, err)
		return
	}
	id.describe(h)
	h.Trim.LBPRZ = record.Unknown[bool]("an ATA drive: DRAT and RZAT tell it")
	a.hidden(h, id)
	h.Health = a.smart(id)
}

// isDisk reports whether the device has one of the types of SCSI that are disks, in decimal: direct access, its reduced
// form, zoned. Nothing is known of a device that the kernel does not describe.
func isDisk(b sysfs.Block) bool {
	return slices.Contains([]string{"", "0", "14", "20"}, b.Text("device/type"))
}

// plain asks a drive that is not an ATA one, or not to be reached as such for the reason given.
func (a *asker) plain(h *record.Hardware, b sysfs.Block, why error) {
	kernel, lifts := h.HiddenAreas.KernelBytes, h.HiddenAreas.KernelLiftsHPA
	if _, ok := h.HiddenAreas.UserSectors.Get(); !ok { // else the kernel's copy of IDENTIFY tells it
		h.HiddenAreas = record.UnknownHardware(reason(why)).HiddenAreas
		h.HiddenAreas.KernelBytes, h.HiddenAreas.KernelLiftsHPA = kernel, lifts
	}
	h.HiddenAreas.NativeMaxSectors = unknown[int64](why)
	h.HiddenAreas.DCOSectors = unknown[int64](why)
	h.HiddenAreas.AMACNativeSectors = unknown[int64](why)
	h.Health = record.UnknownHealth(reason(why))
	if _, ok := h.Trim.DRAT.Get(); !ok {
		h.Trim.DRAT, h.Trim.RZAT = unknown[bool](why), unknown[bool](why)
	}
	// The kernel asks devices on USB for these only if they are known to bear it; so the same is done here.
	_, asked := b.Attribute("device/vpd_pg83")
	if b.Bus == "usb" && !asked {
		const cheap = "not asked: cheap USB devices hang on the question"
		h.Trim.LBPRZ, h.Trim.Supported = record.Unknown[bool](cheap), record.Unknown[bool](cheap)
		if _, ok := h.Serial.Get(); !ok {
			h.Serial = record.Unknown[string](cheap)
		}
		h.WWN, h.EUI64, h.Rotational = record.Unknown[string](cheap), record.Unknown[string](cheap), record.Unknown[bool](cheap)
		return
	}
	h.Trim.Supported, h.Trim.LBPRZ = a.provisioning()
	a.pages(h, b)
}

// pages asks for the pages of vital product data that the kernel did not keep.
func (a *asker) pages(h *record.Hardware, b sysfs.Block) {
	if _, known := h.Serial.Get(); !known {
		h.Serial = page(a, 0x80, serialPage)
	}
	if _, asked := b.Attribute("device/vpd_pg83"); !asked {
		if p, err := a.vital(0x83); err != nil {
			h.WWN, h.EUI64 = unknown[string](err), unknown[string](err)
		} else {
			h.WWN, h.EUI64 = identityPage(p)
		}
	}
	if _, known := h.Rotational.Get(); !known {
		h.Rotational = page(a, 0xb1, rotationPage)
	}
}

func page[T any](a *asker, number byte, parse func([]byte) record.Fact[T]) record.Fact[T] {
	p, err := a.vital(number)
	if err != nil {
		return unknown[T](err)
	}
	return parse(p)
}

// vital asks for a page of vital product data (SPC-4, 7.8).
func (a *asker) vital(number byte) ([]byte, error) {
	const size = 252 // a size that fits one byte: old devices look at no other
	return a.read(fmt.Sprintf("INQUIRY page %02Xh", number), []byte{opInquiry, 1, number, 0, size, 0}, size)
}

// inquiry reads the first 36 bytes, which every device has and more than which some hang on.
func (a *asker) inquiry(h *record.Hardware) {
	p, err := a.read("INQUIRY", []byte{opInquiry, 0, 0, 0, 36, 0}, 36)
	if err == nil && len(p) < 36 {
		err = fmt.Errorf("INQUIRY: the answer has only %d bytes", len(p))
	}
	if err != nil {
		h.Make, h.Model, h.Firmware = unknown[string](err), unknown[string](err), unknown[string](err)
		return
	}
	const blank = "the drive's field is blank"
	h.Make, h.Model, h.Firmware = text(string(p[8:16]), blank), text(string(p[16:32]), blank), text(string(p[32:36]), blank)
}

// writeProtect reads the bit WP by MODE SENSE (6). Of all pages, with 192 bytes: what Windows does, every device bears.
func (a *asker) writeProtect() record.Fact[bool] {
	const size = 192
	p, err := a.read("MODE SENSE", []byte{opModeSense, 0, 0x3f, 0, size, 0}, size)
	if err != nil {
		return unknown[bool](err)
	}
	return modeWriteProtect(p)
}

// modeWriteProtect reads the header: bytes that follow, medium type, device-specific parameter (bit 7 WP), and so on.
func modeWriteProtect(p []byte) record.Fact[bool] {
	if len(p) < 4 || p[0] < 3 {
		return record.Unknown[bool]("MODE SENSE: the answer has no header")
	}
	return record.Known(p[2]&0x80 != 0)
}

// provisioning reads LBPME and LBPRZ by READ CAPACITY (16).
func (a *asker) provisioning() (unmap, zeros record.Fact[bool]) {
	const size = 32
	p, err := a.read("READ CAPACITY (16)", []byte{opServiceIn, readCapacity16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0, 0}, size)
	if err != nil {
		return unknown[bool](err), unknown[bool](err)
	}
	return capacityProvisioning(p)
}

func capacityProvisioning(p []byte) (unmap, zeros record.Fact[bool]) {
	if len(p) < 16 {
		short := record.Unknown[bool](fmt.Sprintf("READ CAPACITY (16): the answer has only %d bytes", len(p)))
		return short, short
	}
	if p[14]&0x80 == 0 {
		return record.Known(false), record.Unknown[bool]("the drive has no logical block provisioning")
	}
	return record.Known(true), record.Known(p[14]&0x40 != 0)
}

// vitalBody checks the header of a page of vital product data, and returns what follows it.
func vitalBody(p []byte, number byte) ([]byte, error) {
	if len(p) < 4 || p[1] != number {
		return nil, fmt.Errorf("INQUIRY page %02Xh: the answer is another page, or none", number)
	}
	body := p[4:]
	return body[:min(len(body), int(binary.BigEndian.Uint16(p[2:])))], nil
}

// serialPage reads page 80h, unit serial number.
func serialPage(p []byte) record.Fact[string] {
	body, err := vitalBody(p, 0x80)
	if err != nil {
		return unknown[string](err)
	}
	return text(string(body), "the drive's serial number is blank")
}

// identityPage reads page 83h, device identification: the NAA and EUI-64 designators of the logical unit.
func identityPage(p []byte) (wwn, eui64 record.Fact[string]) {
	body, err := vitalBody(p, 0x83)
	if err != nil {
		return unknown[string](err), unknown[string](err)
	}
	wwn = record.Unknown[string]("the drive gives no NAA designator")
	eui64 = record.Unknown[string]("the drive gives no EUI-64 designator")
	for len(body) >= 4 && len(body) >= 4+int(body[3]) {
		set, kind, unit := body[0]&0x0f, body[1]&0x0f, body[1]>>4&3
		value := body[4 : 4+int(body[3])]
		binaryUnit := set == 1 && unit == 0
		if _, have := wwn.Get(); !have && binaryUnit && kind == 3 && (len(value) == 8 || len(value) == 16) {
			wwn = hexBytes(value)
		}
		if _, have := eui64.Get(); !have && binaryUnit && kind == 2 && len(value) == 8 {
			eui64 = hexBytes(value)
		}
		body = body[4+len(value):]
	}
	return wwn, eui64
}

// rotationPage reads page B1h, block device characteristics.
func rotationPage(p []byte) record.Fact[bool] {
	body, err := vitalBody(p, 0xb1)
	if err != nil {
		return unknown[bool](err)
	}
	if len(body) < 2 {
		return record.Unknown[bool]("INQUIRY page B1h: the answer is cut off")
	}
	return rotation(binary.BigEndian.Uint16(body))
}

// rotation is the nominal rotation rate, which ATA and SCSI write alike: 1 does not rotate, from 401h on turns a minute.
func rotation(rate uint16) record.Fact[bool] {
	switch {
	case rate == 1:
		return record.Known(false)
	case rate >= 0x401 && rate < 0xffff:
		return record.Known(true)
	}
	return record.Unknown[bool]("the drive does not tell its rotation rate")
}

// sense is the part of sense data that says why.
type sense struct{ key, code, qualifier byte }

var senseKeys = []string{"no sense", "recovered error", "not ready", "medium error", "hardware error", "illegal request", "unit attention",
	"data protect", "blank check", "vendor specific", "copy aborted", "aborted command", "reserved", "volume overflow", "miscompare", "completed"}

func (s sense) String() string {
	return fmt.Sprintf("%s (sense %02x/%02x/%02x)", senseKeys[s.key&0x0f], s.key, s.code, s.qualifier)
}

// parseSense reads sense data of either format (SPC-4, 4.5).
func parseSense(b []byte) (sense, bool) {
	if len(b) < 3 {
		return sense{}, false
	}
	at := func(i int) byte {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	switch b[0] & 0x7f {
	case 0x70, 0x71:
		return sense{b[2] & 0x0f, at(12), at(13)}, true
	case 0x72, 0x73:
		return sense{b[1] & 0x0f, b[2], at(3)}, true
	}
	return sense{}, false
}

// refusal is nil if the command was done.
func (a Answer) refusal() error {
	if a.Status == 0 {
		return nil
	}
	s, ok := parseSense(a.Sense)
	switch {
	case a.Status != 2:
		return fmt.Errorf("the drive answers with status %02xh", a.Status)
	case !ok:
		return errors.New("the drive refuses it and does not say why")
	case s.key <= 1: // no sense, recovered error: done
		return nil
	}
	return fmt.Errorf("the drive refuses it: %v", s)
}
