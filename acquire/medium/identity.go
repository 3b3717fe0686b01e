package medium

import (
	"fmt"
	"slices"
	"strings"
)

// Media may be named by what the drive is, not by the place it is plugged into.
const (
	serialPrefix = "serial:"
	wwnPrefix    = "wwn:"
)

// Identity is what a drive is known by. It can be empty: a loop device has neither serial nor WWN.
type Identity struct {
	Path      string   // of the device file
	Serials   []string // of the drive
	USBSerial string   // of the nearest USB device above it: the stick, or the bridge
	WWNs      []string // and EUI-64, NGUID
	Asked     string   // the serial that the drive itself gave when it was asked; else empty
}

// Is reports whether "serial:..." or "wwn:..." names the drive, by the rule of Resolve.
func (id Identity) Is(name string) bool {
	if serial, ok := strings.CutPrefix(name, serialPrefix); ok {
		return serial != "" && (serial == id.USBSerial || slices.Contains(id.Serials, serial))
	}
	wwn, ok := strings.CutPrefix(name, wwnPrefix)
	wwn = plainWWN(wwn)
	return ok && wwn != "" && slices.ContainsFunc(id.WWNs, func(w string) bool { return plainWWN(w) == wwn })
}

// names are the words that Resolve takes for the drive, that of the drive itself before that of a bridge.
func (id Identity) names() (names []string) {
	for _, s := range id.Serials {
		names = append(names, serialPrefix+s)
	}
	if id.USBSerial != "" && !slices.Contains(id.Serials, id.USBSerial) {
		names = append(names, serialPrefix+id.USBSerial)
	}
	for _, w := range id.WWNs {
		names = append(names, wwnPrefix+w)
	}
	return names
}

func isNamed(name string) bool {
	return strings.HasPrefix(name, serialPrefix) || strings.HasPrefix(name, wwnPrefix)
}

// addText adds what a drive says of itself, without the padding around it.
func addText(to *[]string, text string) {
	if text = trimText(text); text != "" && !slices.Contains(*to, text) {
		*to = append(*to, text)
	}
}

func trimText(text string) string { return strings.Trim(text, " \x00\t\n") }

// printable is a drive's text without what could forge a line.
func printable(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

// plainWWN is the bare digits, however it is written.
func plainWWN(text string) string {
	text = strings.ToLower(text)
	for _, prefix := range []string{"naa.", "eui.", "0x"} {
		text = strings.TrimPrefix(text, prefix)
	}
	if digits := strings.NewReplacer("-", "", " ", "", ":", "").Replace(text); strings.Trim(digits, "0123456789abcdef") == "" {
		return digits
	}
	return text
}
