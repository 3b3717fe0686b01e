package restore

import (
	"fmt"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// CheckSources returns ErrSourceDrive if one of drives, those that would be written to, has the serial or WWN of one of
// media, those that the case's records describe. Letters may be large or small. What has neither cannot be compared.
//
// A USB bridge has a serial too, and that alone says nothing where several disks were in one dock: if it is all that is
// the same, and both drives have given serials of their own that differ, they are two.
func CheckSources(drives []medium.Identity, media []record.Medium) error {
	for _, m := range media {
		h, ok := m.Hardware.Get()
		if !ok {
			continue
		}
		for _, d := range drives {
			if what := sameDrive(d, h); what != "" {
				return fmt.Errorf("%q has the %s of a medium that was acquired: %w", d.Path, what, ErrSourceDrive)
			}
		}
	}
	return nil
}

// sameDrive says by what a drive is the one of the record, or nothing.
func sameDrive(d medium.Identity, h record.Hardware) string {
	usb, _ := h.USB.Get()
	serial, bridge := text(h.Serial), text(usb.Serial)
	for _, s := range append([]string{d.Asked}, d.Serials...) {
		if same(s, serial) {
			return fmt.Sprintf("serial %q", serial)
		}
	}
	for _, f := range []record.Fact[string]{h.WWN, h.EUI64, h.NGUID} {
		if wwn := text(f); wwn != "" && d.Is("wwn:"+wwn) {
			return fmt.Sprintf("WWN %q", wwn)
		}
	}
	if same(d.USBSerial, bridge) && serial != "" && d.Asked != "" && !same(serial, bridge) && !same(d.Asked, bridge) {
		return ""
	}
	for _, s := range append([]string{d.USBSerial, d.Asked}, d.Serials...) {
		if same(s, bridge) || same(s, serial) {
			return fmt.Sprintf("serial %q", s)
		}
	}
	return ""
}

func text(f record.Fact[string]) string {
	s, _ := f.Get()
	return strings.TrimSpace(s)
}

func same(a, b string) bool { return a != "" && strings.EqualFold(strings.TrimSpace(a), b) }
