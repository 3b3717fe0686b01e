package record

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hardware is what a drive, and the kernel of it, say about it. Nothing in it is checked against anything: a drive can
// lie. Texts are of the form that [DeviceText] gives. All sizes in sectors are in the drive's own sectors, HiddenAreas.SectorBytes.
type Hardware struct {
	Bus          Fact[string] `json:"bus"`          // how the kernel reaches it, one of Buses
	Card         Fact[Card]   `json:"card"`         // of an SD card or eMMC
	DiskSequence Fact[int64]  `json:"diskSequence"` // the kernel's count of attachments; tells a swap while it runs, never identity
	EUI64        Fact[string] `json:"eui64"`        // 16 hex digits
	Firmware     Fact[string] `json:"firmware"`
	Health       Health       `json:"health"`
	HiddenAreas  HiddenAreas  `json:"hiddenAreas"`
	Make         Fact[string] `json:"make"`  // the vendor, where the drive has a field for it: ATA and NVMe have none
	Model        Fact[string] `json:"model"` // of ATA all 40 characters, where they could be had
	NGUID        Fact[string] `json:"nguid"` // 32 hex digits
	NVMe         Fact[NVMe]   `json:"nvme"`
	Removable    Fact[bool]   `json:"removable"`  // the medium can be taken out of the drive
	Rotational   Fact[bool]   `json:"rotational"` // as the drive says, not the kernel's guess
	Serial       Fact[string] `json:"serial"`     // of the disk, not of a USB bridge
	Trim         Trim         `json:"trim"`
	USB          Fact[USB]    `json:"usb"`          // the device on the bus: a stick, or the bridge before a disk
	WriteProtect Fact[bool]   `json:"writeProtect"` // the drive's own bit, in the answer to MODE SENSE
	WWN          Fact[string] `json:"wwn"`          // 16 or 32 hex digits
}

// Buses are the words that Hardware.Bus may take in version 1. "ata" is one of "pata" and "sata", and it is not known which.
var Buses = []string{"ata", "device-mapper", "firewire", "loop", "md", "memory", "mmc", "nbd", "nvme", "other", "pata", "sas",
	"sata", "scsi", "usb", "virtio"}

// HiddenAreas are the sizes that a disk gives at different depths, and whether it has the means to make them differ.
type HiddenAreas struct {
	AMACFeature       Fact[bool]  `json:"amacFeature"`       // the disk has Accessible Max Address Configuration
	AMACNativeSectors Fact[int64] `json:"amacNativeSectors"` // GET NATIVE MAX ADDRESS EXT and one
	DCOFeature        Fact[bool]  `json:"dcoFeature"`        // the disk has the Device Configuration Overlay
	DCOSectors        Fact[int64] `json:"dcoSectors"`        // what DEVICE CONFIGURATION IDENTIFY gives, and one
	HPAFeature        Fact[bool]  `json:"hpaFeature"`        // the disk has the Host Protected Area
	KernelBytes       Fact[int64] `json:"kernelBytes"`       // what the kernel offers of the whole device
	KernelLiftsHPA    Fact[bool]  `json:"kernelLiftsHpa"`    // libata was told to open a Host Protected Area by itself (ignore_hpa)
	NativeMaxSectors  Fact[int64] `json:"nativeMaxSectors"`  // READ NATIVE MAX ADDRESS and one
	SectorBytes       Fact[int64] `json:"sectorBytes"`       // of a logical sector, as IDENTIFY says
	UserSectors       Fact[int64] `json:"userSectors"`       // what IDENTIFY offers
}

// NVMe is what a controller says of its capacity and namespaces.
type NVMe struct {
	ActiveNamespace  Fact[int64]       `json:"activeNamespace"`     // the identifier of the one that is this block device
	Inactive         Fact[[]int64]     `json:"inactiveNamespaces"`  // allocated, and attached to no block device of this controller; sorted
	Managed          Fact[bool]        `json:"namespaceManagement"` // the controller can make and delete namespaces
	Namespaces       Fact[[]Namespace] `json:"namespaces"`          // every active one; sorted by identifier
	TotalBytes       Fact[int64]       `json:"totalBytes"`
	UnallocatedBytes Fact[int64]       `json:"unallocatedBytes"` // in no namespace
}

// Namespace is an active namespace of an NVMe controller.
type Namespace struct {
	ID            int64       `json:"id"`
	LBABytes      Fact[int64] `json:"lbaBytes"`
	MetadataBytes Fact[int64] `json:"metadataBytes"` // beside each block; an image does not hold them
	SizeBytes     Fact[int64] `json:"sizeBytes"`
}

// Trim says what a read of trimmed sectors gives, and whether there is such a thing.
type Trim struct {
	DLFEAT    Fact[int64] `json:"dlfeat"`    // NVMe: bits 2 to 0; 0 not reported, 1 zeros, 2 ones
	DRAT      Fact[bool]  `json:"drat"`      // ATA: the same bytes at each read
	LBPRZ     Fact[bool]  `json:"lbprz"`     // SCSI: zeros
	RZAT      Fact[bool]  `json:"rzat"`      // ATA: zeros
	Supported Fact[bool]  `json:"supported"` // the drive takes a trim, deallocate or unmap command
}

// USB is a device on the Universal Serial Bus. Of a disk in a case it is the bridge, whose serial is not the disk's.
type USB struct {
	Manufacturer  Fact[string] `json:"manufacturer"`
	Product       Fact[string] `json:"product"`
	ProductID     Fact[string] `json:"productId"` // 4 hex digits
	Serial        Fact[string] `json:"serial"`
	SpeedKilobits Fact[int64]  `json:"speedKilobits"` // a second, as it was negotiated
	VendorID      Fact[string] `json:"vendorId"`      // 4 hex digits
}

// Card is an SD card or eMMC.
type Card struct {
	CID          Fact[string] `json:"cid"` // the card identification register, 32 hex digits
	CSD          Fact[string] `json:"csd"` // the card-specific data register, 32 hex digits
	Date         Fact[string] `json:"date"`
	Manufacturer Fact[string] `json:"manufacturer"` // its number and OEM, as the kernel gives them
	Type         Fact[string] `json:"type"`         // "SD", "MMC" or "SDIO"
}

// Health is what the drive says of its own state at one moment.
type Health struct {
	CriticalWarning Fact[int64]  `json:"criticalWarning"`    // NVMe: the bits
	Failing         Fact[bool]   `json:"failing"`            // the drive itself predicts that it fails
	MediaErrors     Fact[int64]  `json:"mediaErrors"`        // NVMe: media errors; ATA: attribute 187
	Page            Fact[string] `json:"page"`               // the page that all this was read from, as it came; hex
	Pending         Fact[int64]  `json:"pendingSectors"`     // ATA: attribute 197
	PercentageUsed  Fact[int64]  `json:"percentageUsed"`     // NVMe: of the expected life; may exceed 100
	PowerOnHours    Fact[int64]  `json:"powerOnHours"`       // ATA: attribute 9, which some makers count otherwise
	Reallocated     Fact[int64]  `json:"reallocatedSectors"` // ATA: attribute 5
	Temperature     Fact[int64]  `json:"temperatureCelsius"`
}

// The bounds of Hardware.
const (
	maxDeviceText = 1024  // bytes of one text, escapes included
	maxNamespaces = 1024  // as many as one answer can list
	maxPage       = 16384 // hex digits of a health page
)

// UnknownHardware is Hardware of which nothing is known, for the one reason given.
func UnknownHardware(reason string) Hardware {
	text, count, flag := Unknown[string](reason), Unknown[int64](reason), Unknown[bool](reason)
	return Hardware{
		Bus: text, Card: Unknown[Card](reason), DiskSequence: count, EUI64: text, Firmware: text, Health: UnknownHealth(reason),
		HiddenAreas: HiddenAreas{flag, count, flag, count, flag, count, flag, count, count, count},
		Make:        text, Model: text, NGUID: text, NVMe: Unknown[NVMe](reason), Removable: flag, Rotational: flag, Serial: text,
		Trim: Trim{count, flag, flag, flag, flag}, USB: Unknown[USB](reason), WriteProtect: flag, WWN: text,
	}
}

// UnknownHealth is Health of which nothing is known, for the one reason given.
func UnknownHealth(reason string) Health {
	n := Unknown[int64](reason)
	return Health{n, Unknown[bool](reason), n, Unknown[string](reason), n, n, n, n, n}
}

// DeviceText makes what a device says fit for a record: blanks and zero bytes at both ends go, every byte that is not part
// of a printable character is written as \xNN, and a backslash is doubled, so that no two texts look alike. It is cut at
// 1000 bytes, which is said in the text. Empty means that the device gave nothing.
func DeviceText(raw []byte) string {
	s := strings.Trim(string(raw), " \x00\t\r\n")
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		piece := s[:n]
		if r == '\\' {
			piece = `\\`
		} else if !unicode.IsPrint(r) || r == utf8.RuneError && n == 1 {
			piece = ""
			for _, c := range []byte(s[:n]) {
				piece += fmt.Sprintf(`\x%02x`, c)
			}
		}
		if b.Len()+len(piece) > 1000 {
			b.WriteString(" [cut]")
			break
		}
		b.WriteString(piece)
		s = s[n:]
	}
	return b.String()
}

// Hidden says whether the drive holds places that an image of the block device lacks. False means that none of the known
// means is in use: flash that a controller keeps for itself is never seen. Unknown carries the reasons.
func (h *Hardware) Hidden() Fact[bool] {
	if n, ok := h.NVMe.Get(); ok {
		return n.hidden()
	}
	return h.HiddenAreas.hidden()
}

// HiddenBytes says how much Hidden is about: 0 where it is false.
func (h *Hardware) HiddenBytes() Fact[int64] {
	hidden := h.Hidden()
	if yes, ok := hidden.Get(); !ok {
		return Unknown[int64](hidden.Reason())
	} else if !yes {
		return Known(int64(0))
	}
	if n, ok := h.NVMe.Get(); ok {
		if inactive, ok := n.Inactive.Get(); !ok || len(inactive) > 0 {
			return Unknown[int64]("the sizes of namespaces that are not active were not asked for")
		}
		return n.UnallocatedBytes
	}
	most, _ := h.HiddenAreas.deepest()
	sector, ok := h.HiddenAreas.SectorBytes.Get()
	if !ok || sector < 1 || most > MaxInteger/sector {
		return Unknown[int64]("the size of the drive's sectors is not known")
	}
	offered := most * sector
	if user, ok := h.HiddenAreas.UserSectors.Get(); ok {
		offered = min(offered, user*sector)
	}
	if kernel, ok := h.HiddenAreas.KernelBytes.Get(); ok {
		offered = min(offered, kernel)
	}
	return Known(most*sector - offered)
}

// deepest is the largest size that the disk gave anywhere.
func (a *HiddenAreas) deepest() (sectors int64, known bool) {
	for _, f := range []Fact[int64]{a.UserSectors, a.NativeMaxSectors, a.DCOSectors, a.AMACNativeSectors} {
		if n, ok := f.Get(); ok {
			sectors, known = max(sectors, n), true
		}
	}
	return sectors, known
}

func (a *HiddenAreas) hidden() Fact[bool] {
	var open []string
	user, ok := a.UserSectors.Get()
	if !ok {
		return Unknown[bool]("userSectors: " + a.UserSectors.Reason())
	}
	if most, _ := a.deepest(); most > user {
		return Known(true)
	}
	// A USB bridge may offer less than its disk has.
	kernel, known := a.KernelBytes.Get()
	sector, knownSector := a.SectorBytes.Get()
	switch {
	case !known:
		open = append(open, "kernelBytes: "+a.KernelBytes.Reason())
	case !knownSector || sector < 1:
		open = append(open, "sectorBytes: "+a.SectorBytes.Reason())
	case kernel/sector < user:
		return Known(true)
	}
	for _, m := range []struct {
		name    string
		feature Fact[bool]
		size    Fact[int64]
	}{{"nativeMaxSectors", a.HPAFeature, a.NativeMaxSectors}, {"dcoSectors", a.DCOFeature, a.DCOSectors},
		{"amacNativeSectors", a.AMACFeature, a.AMACNativeSectors}} {
		has, known := m.feature.Get()
		if _, answered := m.size.Get(); !answered && (has || !known) {
			open = append(open, m.name+": "+m.size.Reason())
		}
	}
	if len(open) > 0 {
		return Unknown[bool](strings.Join(open, "; "))
	}
	return Known(false)
}

func (n *NVMe) hidden() Fact[bool] {
	unallocated, known1 := n.UnallocatedBytes.Get()
	inactive, known2 := n.Inactive.Get()
	if unallocated > 0 || len(inactive) > 0 {
		return Known(true)
	}
	// Without the commands to make namespaces there is nothing that could be left out of them.
	managed, known3 := n.Managed.Get()
	if known3 && !managed || known1 && known2 {
		return Known(false)
	}
	if !known1 {
		return Unknown[bool]("unallocatedBytes: " + n.UnallocatedBytes.Reason())
	}
	return Unknown[bool]("inactiveNamespaces: " + n.Inactive.Reason())
}

var (
	hex4  = regexp.MustCompile(`^[0-9a-f]{4}$`)
	hex16 = regexp.MustCompile(`^[0-9a-f]{16}$`)
	hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)
	wwn   = regexp.MustCompile(`^[0-9a-f]{16}([0-9a-f]{16})?$`)
	page  = regexp.MustCompile(`^([0-9a-f]{2})+$`)
)

// Validate reports the first thing wrong with h, wrapping ErrMalformed or ErrNewer.
func (h *Hardware) Validate() error {
	c := &factCheck{}
	a, t := &h.HiddenAreas, &h.Trim
	c.counts("", []named[int64]{{"diskSequence", h.DiskSequence}, {"amacNativeSectors", a.AMACNativeSectors}, {"dcoSectors", a.DCOSectors},
		{"kernelBytes", a.KernelBytes}, {"nativeMaxSectors", a.NativeMaxSectors}, {"userSectors", a.UserSectors}, {"dlfeat", t.DLFEAT}})
	c.counts("", []named[int64]{{"sectorBytes", a.SectorBytes}})
	c.flags([]named[bool]{{"amacFeature", a.AMACFeature}, {"dcoFeature", a.DCOFeature}, {"hpaFeature", a.HPAFeature},
		{"kernelLiftsHpa", a.KernelLiftsHPA}, {"removable", h.Removable}, {"rotational", h.Rotational}, {"drat", t.DRAT},
		{"lbprz", t.LBPRZ}, {"rzat", t.RZAT}, {"supported", t.Supported}, {"writeProtect", h.WriteProtect}})
	c.texts([]named[string]{{"bus", h.Bus}, {"firmware", h.Firmware}, {"make", h.Make}, {"model", h.Model}, {"serial", h.Serial}})
	c.form("eui64", h.EUI64, hex16)
	c.form("nguid", h.NGUID, hex32)
	c.form("wwn", h.WWN, wwn)
	c.sector("sectorBytes", a.SectorBytes)
	if n, ok := a.UserSectors.Get(); ok {
		sector, _ := a.SectorBytes.Get()
		if sector > 0 && n > MaxInteger/sector {
			c.fail("userSectors", "more than an integer holds in bytes")
		}
	}
	checkFact(c, "card", h.Card, (*factCheck).card)
	checkFact(c, "nvme", h.NVMe, (*factCheck).nvme)
	checkFact(c, "usb", h.USB, (*factCheck).usb)
	if c.err != nil {
		return c.err
	}
	if b, ok := h.Bus.Get(); ok && !slices.Contains(Buses, b) {
		return fmt.Errorf("bus %.40q is %w", b, ErrNewer)
	}
	return h.Health.Validate()
}

// Validate reports the first thing wrong with h, wrapping ErrMalformed.
func (h *Health) Validate() error {
	c := &factCheck{}
	c.counts("health ", []named[int64]{{"criticalWarning", h.CriticalWarning}, {"mediaErrors", h.MediaErrors},
		{"pendingSectors", h.Pending}, {"percentageUsed", h.PercentageUsed}, {"powerOnHours", h.PowerOnHours},
		{"reallocatedSectors", h.Reallocated}})
	c.flags([]named[bool]{{"failing", h.Failing}})
	c.form("page", h.Page, page)
	checkFact(c, "temperatureCelsius", h.Temperature, func(c *factCheck, t int64) {
		if t < -300 || t > 70000 { // what two bytes of kelvin can say
			c.fail("temperatureCelsius", "impossible")
		}
	})
	return c.err
}

func (c *factCheck) card(v Card) {
	c.texts([]named[string]{{"date", v.Date}, {"manufacturer", v.Manufacturer}, {"type", v.Type}})
	c.form("cid", v.CID, hex32)
	c.form("csd", v.CSD, hex32)
}

func (c *factCheck) usb(v USB) {
	c.texts([]named[string]{{"usb manufacturer", v.Manufacturer}, {"usb product", v.Product}, {"usb serial", v.Serial}})
	c.form("productId", v.ProductID, hex4)
	c.form("vendorId", v.VendorID, hex4)
	c.counts("", []named[int64]{{"speedKilobits", v.SpeedKilobits}})
}

func (c *factCheck) nvme(v NVMe) {
	c.counts("", []named[int64]{{"activeNamespace", v.ActiveNamespace}, {"totalBytes", v.TotalBytes}, {"unallocatedBytes", v.UnallocatedBytes}})
	c.flags([]named[bool]{{"namespaceManagement", v.Managed}})
	checkFact(c, "inactiveNamespaces", v.Inactive, func(c *factCheck, ids []int64) { c.ids("inactiveNamespaces", ids) })
	checkFact(c, "namespaces", v.Namespaces, func(c *factCheck, all []Namespace) {
		var ids []int64
		for _, n := range all[:min(len(all), maxNamespaces+1)] {
			ids = append(ids, n.ID)
			c.counts("namespace ", []named[int64]{{"metadataBytes", n.MetadataBytes}, {"sizeBytes", n.SizeBytes}})
			c.sector("lbaBytes", n.LBABytes)
		}
		c.ids("namespaces", ids)
	})
}

// named is a fact with its name for messages.
type named[T any] struct {
	name string
	fact Fact[T]
}

// factCheck keeps the first thing wrong.
type factCheck struct{ err error }

func (c *factCheck) fail(field, what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", ErrMalformed, field, what)
	}
}

// checkFact requires a reason of an unknown fact, and lets value look at a known one.
func checkFact[T any](c *factCheck, field string, f Fact[T], value func(*factCheck, T)) {
	if v, ok := f.Get(); ok {
		value(c, v)
		return
	}
	c.text(field+", unknown", f.Reason())
}

func (c *factCheck) text(field, s string) {
	if len(s) > maxText {
		c.fail(field, "too long")
	} else if err := checkLine(field, s); err != nil && c.err == nil {
		c.err = err
	}
}

func (c *factCheck) texts(facts []named[string]) {
	for _, f := range facts {
		checkFact(c, f.name, f.fact, func(c *factCheck, s string) {
			if len(s) > maxDeviceText {
				c.fail(f.name, "longer than 1024 bytes")
			}
			c.text(f.name, s)
		})
	}
}

func (c *factCheck) counts(prefix string, facts []named[int64]) {
	for _, f := range facts {
		checkFact(c, prefix+f.name, f.fact, func(c *factCheck, n int64) {
			if err := checkCount(prefix+f.name, n); err != nil && c.err == nil {
				c.err = err
			}
		})
	}
}

func (c *factCheck) flags(facts []named[bool]) {
	for _, f := range facts {
		checkFact(c, f.name, f.fact, func(*factCheck, bool) {})
	}
}

func (c *factCheck) form(field string, f Fact[string], form *regexp.Regexp) {
	checkFact(c, field, f, func(c *factCheck, s string) {
		if len(s) > maxPage || !form.MatchString(s) {
			c.fail(field, "not of its form")
		}
	})
}

func (c *factCheck) sector(field string, f Fact[int64]) {
	checkFact(c, field, f, func(c *factCheck, n int64) {
		if n < 1 || n > 1<<24 {
			c.fail(field, fmt.Sprintf("%d bytes", n))
		}
	})
}

// ids requires namespace identifiers in ascending order.
func (c *factCheck) ids(field string, ids []int64) {
	if len(ids) > maxNamespaces {
		c.fail(field, fmt.Sprintf("more than %d", maxNamespaces))
		return
	}
	last := int64(0)
	for _, id := range ids {
		if id <= last || id > 1<<32-2 {
			c.fail(field, "not sorted, doubled or out of range")
		}
		last = id
	}
}
