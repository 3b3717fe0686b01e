package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// The data structures that Identify gives (NVMe 1.4, 5.15), and a log page (5.14).
const (
	cnsNamespace  = 0x00
	cnsController = 0x01
	cnsActive     = 0x02
	cnsAllocated  = 0x10 // what "namespace management" brings with it

	logHealth = 0x02

	identifyPage = 4096
	healthPage   = 512
	allNamespace = 0xffffffff
)

// nvme asks an NVMe controller for itself, its namespaces and its health.
func (a *asker) nvme(h *record.Hardware, b sysfs.Block) {
	p, err := a.admin("Identify Controller", NVMeCommand{nvmeIdentify, 0, cnsController}, identifyPage)
	var c controller
	if err == nil {
		c, err = parseController(p)
	}
	if err != nil {
		h.NVMe = unknown[record.NVMe](err)
		h.Trim.DLFEAT = unknown[int64](err)
		h.Health = a.nvmeHealth()
		return
	}
	const blank = "the drive's field is blank"
	h.Model, h.Serial, h.Firmware = text(c.model, blank), text(c.serial, blank), text(c.firmware, blank)
	h.Trim.Supported = record.Known(c.deallocates)
	for _, f := range []*record.Fact[bool]{&h.Trim.DRAT, &h.Trim.RZAT, &h.Trim.LBPRZ} {
		*f = record.Unknown[bool]("an NVMe drive: DLFEAT tells it")
	}
	n := record.NVMe{ActiveNamespace: number(b, "nsid"), Managed: record.Known(c.manages),
		TotalBytes: c.total, UnallocatedBytes: c.unallocated}
	active, err := a.list("the active namespaces", cnsActive)
	if err != nil {
		n.Namespaces = unknown[[]record.Namespace](err)
	}
	n.Inactive = a.inactive(c, active, err)
	here, _ := n.ActiveNamespace.Get()
	var all []record.Namespace
	if err != nil && here > 0 { // an old controller without lists has a namespace all the same
		ns, err := a.namespace(here)
		ns.describe(h, err)
	}
	for _, id := range active {
		ns, err := a.namespace(id)
		all = append(all, ns.facts(id, err))
		if id == here {
			ns.describe(h, err)
		}
	}
	if err == nil {
		n.Namespaces = record.Known(all)
	}
	h.NVMe = record.Known(n)
	h.Health = a.nvmeHealth()
}

// inactive are the allocated namespaces that are not among the active ones.
func (a *asker) inactive(c controller, active []int64, err error) record.Fact[[]int64] {
	if !c.manages {
		return record.Unknown[[]int64]("the controller has no namespace management")
	}
	var allocated []int64
	if err == nil {
		allocated, err = a.list("the allocated namespaces", cnsAllocated)
	}
	if err != nil {
		return unknown[[]int64](err)
	}
	return record.Known(slices.DeleteFunc(allocated, func(id int64) bool { return slices.Contains(active, id) }))
}

func (a *asker) list(what string, cns uint32) ([]int64, error) {
	p, err := a.admin("Identify, list of "+what, NVMeCommand{nvmeIdentify, 0, cns}, identifyPage)
	if err != nil {
		return nil, err
	}
	return parseList(p)
}

func (a *asker) namespace(id int64) (namespace, error) {
	name := "Identify Namespace " + strconv.FormatInt(id, 10)
	p, err := a.admin(name, NVMeCommand{nvmeIdentify, uint32(id), cnsNamespace}, identifyPage)
	if err != nil {
		return namespace{}, err
	}
	n, err := parseNamespace(p)
	if err != nil {
		return namespace{}, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

func (a *asker) nvmeHealth() record.Health {
	cmd := NVMeCommand{nvmeGetLog, allNamespace, (healthPage/4-1)<<16 | logHealth}
	p, err := a.admin("Get Log Page, health", cmd, healthPage)
	if err != nil {
		return record.UnknownHealth(reason(err))
	}
	return parseHealth(p)
}

// controller is what is used of Identify Controller.
type controller struct {
	serial, model, firmware string
	manages, deallocates    bool
	total, unallocated      record.Fact[int64]
}

func parseController(p []byte) (controller, error) {
	if len(p) != identifyPage || bytes.Count(p, []byte{0}) == len(p) {
		return controller{}, errors.New("Identify Controller: the answer is empty") //nolint:staticcheck // the command's name
	}
	c := controller{
		serial: string(p[4:24]), model: string(p[24:64]), firmware: string(p[64:72]),
		manages:     binary.LittleEndian.Uint16(p[256:])>>3&1 != 0,
		deallocates: binary.LittleEndian.Uint16(p[520:])>>2&1 != 0,
		total:       wide(p[280:296]), unallocated: wide(p[296:312]),
	}
	if n, ok := c.total.Get(); ok && n == 0 {
		const silent = "the controller does not tell its capacity"
		c.total, c.unallocated = record.Unknown[int64](silent), record.Unknown[int64](silent)
	}
	return c, nil
}

// wide reads a number of 128 bits.
func wide(p []byte) record.Fact[int64] {
	if binary.LittleEndian.Uint64(p[8:]) != 0 {
		return record.Unknown[int64]("the drive gives a number that is too large to be true")
	}
	return count(binary.LittleEndian.Uint64(p))
}

// parseList reads identifiers of namespaces, which end with a zero or the page.
func parseList(p []byte) (ids []int64, err error) {
	last := int64(0)
	for ; len(p) >= 4; p = p[4:] {
		id := int64(binary.LittleEndian.Uint32(p))
		if id == 0 {
			return ids, nil
		}
		if id <= last || id >= allNamespace-1 {
			return nil, errors.New("the list of namespaces is not in order")
		}
		ids, last = append(ids, id), id
	}
	return nil, errors.New("the controller has more namespaces than one list holds")
}

// namespace is what is used of Identify Namespace.
type namespace struct {
	size, lba, metadata record.Fact[int64]
	deallocation        int64
	protected           bool
	nguid, eui64        record.Fact[string]
}

func parseNamespace(p []byte) (namespace, error) {
	if len(p) != identifyPage || bytes.Count(p, []byte{0}) == len(p) {
		return namespace{}, errors.New("the answer is empty")
	}
	// The number of the format in use has four bits, and two more in a controller with more than 16 formats.
	format := int(p[26] & 0x0f)
	if p[25] >= 16 {
		format |= int(p[26]) >> 5 & 3 << 4
	}
	lbaf := p[128+4*format:]
	metadata, shift := binary.LittleEndian.Uint16(lbaf), lbaf[2]
	if shift < 9 || shift > 24 || format > int(p[25]) {
		return namespace{}, fmt.Errorf("a block of 2 to the power of %d bytes (format %d) is impossible", shift, format)
	}
	n := namespace{
		lba: record.Known(int64(1) << shift), metadata: record.Known(int64(metadata)), deallocation: int64(p[33] & 7),
		protected: p[99]&1 != 0, nguid: hexBytes(p[104:120]), eui64: hexBytes(p[120:128]),
	}
	blocks := binary.LittleEndian.Uint64(p)
	if blocks > (1<<53-1)>>shift {
		n.size = record.Unknown[int64]("the drive gives a size that is too large to be true")
	} else {
		n.size = record.Known(int64(blocks) << shift)
	}
	return n, nil
}

// facts are those of the record, for the error that there may have been.
func (n namespace) facts(id int64, err error) record.Namespace {
	if err != nil {
		none := unknown[int64](err)
		return record.Namespace{ID: id, LBABytes: none, MetadataBytes: none, SizeBytes: none}
	}
	return record.Namespace{ID: id, LBABytes: n.lba, MetadataBytes: n.metadata, SizeBytes: n.size}
}

// describe fills in what belongs to the namespace that is the block device.
func (n namespace) describe(h *record.Hardware, err error) {
	if err != nil {
		h.Trim.DLFEAT, h.WriteProtect = unknown[int64](err), unknown[bool](err)
		return
	}
	h.EUI64, h.NGUID = n.eui64, n.nguid
	h.Trim.DLFEAT = record.Known(n.deallocation)
	h.WriteProtect = record.Known(n.protected)
}

// parseHealth reads the log page of health (5.14.1.2).
func parseHealth(p []byte) record.Health {
	if len(p) != healthPage || bytes.Count(p, []byte{0}) == len(p) {
		return record.UnknownHealth("Get Log Page, health: the answer is empty")
	}
	h := record.UnknownHealth("not an ATA drive")
	h.Page = record.Known(fmt.Sprintf("%x", p))
	h.CriticalWarning = record.Known(int64(p[0]))
	h.Failing = record.Known(p[0] != 0)
	h.Temperature = record.Unknown[int64]("the drive does not tell it")
	if kelvin := binary.LittleEndian.Uint16(p[1:]); kelvin != 0 {
		h.Temperature = celsius(int64(kelvin) - 273)
	}
	h.PercentageUsed = record.Known(int64(p[5]))
	h.PowerOnHours, h.MediaErrors = wide(p[128:144]), wide(p[160:176])
	return h
}

// nvmeStatus names the statuses that a drive refuses these commands with (NVMe 1.4, 4.6.1.2).
func nvmeStatus(status uint16) string {
	name := map[uint16]string{0x001: "invalid opcode", 0x002: "invalid field", 0x006: "internal error", 0x00b: "invalid namespace",
		0x109: "invalid log page"}[status&0x7ff]
	if name == "" {
		name = "error"
	}
	return fmt.Sprintf("%s (status %03xh)", name, status&0x7ff)
}
