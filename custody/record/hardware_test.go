package record

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func exampleHardware() Hardware {
	h := UnknownHardware("not asked")
	h.Bus, h.Model, h.Serial, h.WWN = Known("sata"), Known("WDC WD10EZEX-08WN4A0"), Known("WD-WCC6Y1"), Known("50014ee2b1c0ffee")
	h.HiddenAreas = HiddenAreas{
		AMACFeature: Known(false), AMACNativeSectors: Unknown[int64]("not in the drive"), DCOFeature: Known(true), DCOSectors: Known(int64(1000)),
		HPAFeature: Known(true), KernelBytes: Known(int64(512000)), KernelLiftsHPA: Known(false), NativeMaxSectors: Known(int64(1000)),
		SectorBytes: Known(int64(512)), UserSectors: Known(int64(1000)),
	}
	h.USB = Known(USB{Known("Maker"), Known("Bridge"), Known("0578"), Unknown[string]("none"), Known(int64(5000000)), Known("152d")})
	h.Card = Known(Card{Known(strings.Repeat("0a", 16)), Known(strings.Repeat("0b", 16)), Known("03/2020"), Known("3 SD"), Known("SD")})
	h.NVMe = Unknown[NVMe]("not an NVMe device")
	h.Health.Page, h.Health.Temperature = Known("00ff"), Known(int64(-5))
	return h
}

func exampleNVMe() NVMe {
	return NVMe{Known(int64(1)), Known([]int64{}), Known(true), Known([]Namespace{
		{1, Known(int64(512)), Known(int64(0)), Known(int64(1 << 30))},
		{2, Known(int64(4096)), Known(int64(8)), Unknown[int64]("no answer")},
	}), Known(int64(1 << 31)), Known(int64(0))}
}

func TestHardwareRoundTrip(t *testing.T) {
	full := exampleHardware()
	full.NVMe = Known(exampleNVMe())
	for name, h := range map[string]Hardware{"sata": exampleHardware(), "nvme": full, "nothing": UnknownHardware("no drive")} {
		if err := h.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b, err := EncodeJSON(h)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got Hardware
		if err := DecodeJSON(b, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, h) {
			t.Errorf("%s: got %+v, want %+v", name, got, h)
		}
	}
}

// Every fact of Hardware has to be said; the zero value says nothing and is refused.
func TestHardwareZero(t *testing.T) {
	if _, err := EncodeJSON(Hardware{}); err == nil {
		t.Error("a Hardware without facts was encoded")
	}
	var h Hardware
	if err := h.Validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a Hardware without facts: %v, want ErrMalformed", err)
	}
	forgetEach(t, reflect.ValueOf(exampleHardware()), nil)
}

// forgetEach sets each field to zero in turn, and requires that Validate notices.
func forgetEach(t *testing.T, v reflect.Value, path []int) {
	for i := range v.NumField() {
		at := append(path[:len(path):len(path)], i)
		if _, isFact := v.Field(i).Type().MethodByName("Reason"); !isFact {
			forgetEach(t, v.Field(i), at)
			continue
		}
		h := exampleHardware()
		field := reflect.ValueOf(&h).Elem().FieldByIndex(at)
		field.SetZero()
		if err := h.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("without %s: %v, want ErrMalformed", reflect.TypeFor[Hardware]().FieldByIndex(at).Name, err)
		}
	}
}

func TestHardwareValidate(t *testing.T) {
	for name, change := range map[string]func(*Hardware){
		"line break":         func(h *Hardware) { h.Model = Known("a\nVERIFIED") },
		"empty":              func(h *Hardware) { h.Serial = Known("") },
		"long":               func(h *Hardware) { h.Serial = Known(strings.Repeat("x", maxDeviceText+1)) },
		"negative":           func(h *Hardware) { h.HiddenAreas.UserSectors = Known(int64(-1)) },
		"sector":             func(h *Hardware) { h.HiddenAreas.SectorBytes = Known(int64(0)) },
		"overflow":           func(h *Hardware) { h.HiddenAreas.UserSectors = Known(int64(1) << 50) },
		"wwn":                func(h *Hardware) { h.WWN = Known("naa.5") },
		"reason":             func(h *Hardware) { h.Make = Fact[string]{reason: "a\x1b[2J"} },
		"page":               func(h *Hardware) { h.Health.Page = Known("0") },
		"page too long":      func(h *Hardware) { h.Health.Page = Known(strings.Repeat("00", maxPage)) },
		"temperature":        func(h *Hardware) { h.Health.Temperature = Known(int64(-301)) },
		"vendor":             func(h *Hardware) { u, _ := h.USB.Get(); u.VendorID = Known("0x1"); h.USB = Known(u) },
		"cid":                func(h *Hardware) { c, _ := h.Card.Get(); c.CID = Known("00"); h.Card = Known(c) },
		"namespaces doubled": func(h *Hardware) { n := exampleNVMe(); n.Inactive = Known([]int64{2, 2}); h.NVMe = Known(n) },
		"namespace 0": func(h *Hardware) {
			n := exampleNVMe()
			n.Namespaces = Known([]Namespace{{0, Known(int64(512)), Known(int64(0)), Known(int64(0))}})
			h.NVMe = Known(n)
		},
		"too many": func(h *Hardware) {
			n := exampleNVMe()
			n.Inactive = Known(make([]int64, maxNamespaces+1))
			h.NVMe = Known(n)
		},
	} {
		h := exampleHardware()
		change(&h)
		if err := h.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	h := exampleHardware()
	h.Bus = Known("telepathy")
	if err := h.Validate(); !errors.Is(err, ErrNewer) {
		t.Errorf("an unknown bus: %v, want ErrNewer", err)
	}
}

// Each depth of a disk is compared with what the kernel offers; what could not be asked never becomes "no".
func TestHidden(t *testing.T) {
	n := func(v int64) Fact[int64] { return Known(v) }
	refused := Unknown[int64]("the drive refuses")
	for name, test := range map[string]struct {
		change func(*Hardware)
		want   string
		bytes  int64
	}{
		"nothing hidden":    {func(*Hardware) {}, "no", 0},
		"HPA":               {func(h *Hardware) { h.HiddenAreas.NativeMaxSectors = n(1100) }, "yes", 100 * 512},
		"DCO":               {func(h *Hardware) { h.HiddenAreas.DCOSectors = n(1300) }, "yes", 300 * 512},
		"HPA within DCO":    {func(h *Hardware) { h.HiddenAreas.NativeMaxSectors, h.HiddenAreas.DCOSectors = n(1100), n(1300) }, "yes", 300 * 512},
		"AMAC":              {func(h *Hardware) { h.HiddenAreas.AMACFeature, h.HiddenAreas.AMACNativeSectors = Known(true), n(1001) }, "yes", 512},
		"bridge":            {func(h *Hardware) { h.HiddenAreas.KernelBytes = n(512000 - 4096) }, "yes", 4096},
		"HPA, DCO refused":  {func(h *Hardware) { h.HiddenAreas.NativeMaxSectors, h.HiddenAreas.DCOSectors = n(1100), refused }, "yes", 100 * 512},
		"HPA refused":       {func(h *Hardware) { h.HiddenAreas.NativeMaxSectors = refused }, "unknown", 0},
		"DCO refused":       {func(h *Hardware) { h.HiddenAreas.DCOSectors = refused }, "unknown", 0},
		"no DCO":            {func(h *Hardware) { h.HiddenAreas.DCOSectors, h.HiddenAreas.DCOFeature = refused, Known(false) }, "no", 0},
		"features not told": {func(h *Hardware) { h.HiddenAreas.AMACFeature = Unknown[bool]("not told") }, "unknown", 0},
		"no IDENTIFY":       {func(h *Hardware) { h.HiddenAreas.UserSectors = refused }, "unknown", 0},
		"kernel not asked":  {func(h *Hardware) { h.HiddenAreas.KernelBytes = refused }, "unknown", 0},
		"NVMe":              {func(h *Hardware) { h.NVMe = Known(exampleNVMe()) }, "no", 0},
		"NVMe, unallocated": {func(h *Hardware) { v := exampleNVMe(); v.UnallocatedBytes = n(4096); h.NVMe = Known(v) }, "yes", 4096},
		"NVMe, inactive":    {func(h *Hardware) { v := exampleNVMe(); v.Inactive = Known([]int64{3}); h.NVMe = Known(v) }, "yes", -1},
		"NVMe, not told":    {func(h *Hardware) { v := exampleNVMe(); v.UnallocatedBytes = refused; h.NVMe = Known(v) }, "unknown", 0},
		"NVMe, no list":     {func(h *Hardware) { v := exampleNVMe(); v.Inactive = Unknown[[]int64]("no"); h.NVMe = Known(v) }, "unknown", 0},
		"NVMe, not managed": {func(h *Hardware) {
			v := exampleNVMe()
			v.UnallocatedBytes, v.Managed = refused, Known(false)
			h.NVMe = Known(v)
		}, "no", 0},
		"nothing was asked":  {func(h *Hardware) { *h = UnknownHardware("no drive") }, "unknown", 0},
		"sizes of a madman":  {func(h *Hardware) { h.HiddenAreas.NativeMaxSectors = n(1 << 52) }, "yes", -1},
		"a sector of 0 byte": {func(h *Hardware) { h.HiddenAreas.SectorBytes = n(0) }, "unknown", 0},
	} {
		h := exampleHardware()
		test.change(&h)
		hidden := h.Hidden()
		got := "unknown"
		if yes, ok := hidden.Get(); ok && yes {
			got = "yes"
		} else if ok {
			got = "no"
		} else if hidden.Reason() == "" {
			t.Errorf("%s: unknown without a reason", name)
		}
		if got != test.want {
			t.Errorf("%s: hidden: %s (%s), want %s", name, got, hidden.Reason(), test.want)
		}
		amount, known := h.HiddenBytes().Get()
		if known != (test.want != "unknown" && test.bytes >= 0) || known && amount != test.bytes {
			t.Errorf("%s: %d hidden bytes, known: %t; want %d", name, amount, known, test.bytes)
		}
	}
}

func TestDeviceText(t *testing.T) {
	for raw, want := range map[string]string{
		"  ST1000DM003-1CH162  ": "ST1000DM003-1CH162", "\x00\x00": "", "": "", "a\nb": `a\x0ab`, "a\xffb": `a\xffb`,
		`a\xffb`: `a\\xffb`, "\u202eabc": `\xe2\x80\xaeabc`, "Größe": "Größe", "a\x1b[31m": `a\x1b[31m`, "\ufffd": "\ufffd",
		"no\u00a0break": `no\xc2\xa0break`,
	} {
		if got := DeviceText([]byte(raw)); got != want {
			t.Errorf("DeviceText(%q) = %q, want %q", raw, got, want)
		}
	}
	if got := DeviceText(bytes.Repeat([]byte{1}, 1<<20)); len(got) > maxDeviceText || !strings.HasSuffix(got, " [cut]") {
		t.Errorf("a long text gives %d bytes, ending in %q", len(got), got[len(got)-10:])
	}
}

// FuzzDeviceText: whatever a device says fits a record, and two different texts never become one.
func FuzzDeviceText(f *testing.F) {
	for _, s := range []string{"", "ST1000", "a\x00b", "\\x00", "\xff\xfe", "\u202e", strings.Repeat("\x01", 400)} {
		f.Add([]byte(s), []byte("\x00"))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		x, y := DeviceText(a), DeviceText(b)
		if x != "" {
			h := UnknownHardware("no drive")
			h.Model = Known(x)
			if err := h.Validate(); err != nil {
				t.Errorf("DeviceText(%q) = %q: %v", a, x, err)
			}
		}
		trim := func(s []byte) string { return strings.Trim(string(s), " \x00\t\r\n") }
		if x == y && len(x) < 900 && trim(a) != trim(b) {
			t.Errorf("%q and %q both become %q", a, b, x)
		}
	})
}
