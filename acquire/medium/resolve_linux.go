package medium

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Media may be named by what the drive is, not by the place it is plugged into.
const (
	serialPrefix = "serial:"
	wwnPrefix    = "wwn:"
)

// Resolve turns "serial:..." and "wwn:..." into the path of the one device that has it, and leaves every other name
// alone. It reads /sys and sends no command to a drive. A serial is compared letter by letter; that of a USB bridge
// counts too. A WWN, EUI-64 or NGUID may be written with or without "0x", "naa." or "eui.".
//
// Errors: fs.ErrNotExist, with the disks that there are; ErrAmbiguous, with the candidates.
func Resolve(name string) (path string, err error) { return thisHost().resolve(name) }

func (h host) resolve(name string) (string, error) {
	if !isNamed(name) {
		return name, nil
	}
	var found, others []string
	for _, disk := range names(filepath.Join(h.sys, "block")) {
		ids := h.identifiers(filepath.Join(h.sys, "block", disk))
		path := "/dev/" + kernelName(disk)
		switch {
		case ids.match(name):
			found = append(found, path)
		case len(ids.serials) > 0 && len(others) < maxHolders:
			others = append(others, fmt.Sprintf("%q (%s%s)", path, serialPrefix, printable(ids.serials[0])))
		case len(ids.wwns) > 0 && len(others) < maxHolders:
			others = append(others, fmt.Sprintf("%q (%s%s)", path, wwnPrefix, printable(ids.wwns[0])))
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", &HintError{
			fmt.Errorf("%d devices are %q: %q: %w", len(found), name, found, ErrAmbiguous),
			"give the path of the one that is meant; several paths to one disk, or the slots of a card reader, have one serial",
		}
	}
	text := "no disk here tells a serial or WWN"
	if len(others) > 0 {
		text = "there are " + strings.Join(others, ", ")
	}
	return "", &HintError{fmt.Errorf("no disk is %q: %w", name, fs.ErrNotExist), text}
}

func isNamed(name string) bool {
	return strings.HasPrefix(name, serialPrefix) || strings.HasPrefix(name, wwnPrefix)
}

// printable is a drive's text without what could forge a line.
func printable(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

// identifiers are what /sys knows a disk by.
type identifiers struct{ serials, wwns []string }

func (ids identifiers) match(name string) bool {
	if serial, ok := strings.CutPrefix(name, serialPrefix); ok {
		return serial != "" && slices.Contains(ids.serials, serial)
	}
	wwn, _ := strings.CutPrefix(name, wwnPrefix)
	wwn = plainWWN(wwn)
	return wwn != "" && slices.ContainsFunc(ids.wwns, func(w string) bool { return plainWWN(w) == wwn })
}

func (h host) identifiers(disk string) (ids identifiers) {
	add := func(to *[]string, text string) {
		if text = strings.Trim(text, " \x00\t\n"); text != "" && !slices.Contains(*to, text) {
			*to = append(*to, text)
		}
	}
	add(&ids.serials, readText(filepath.Join(disk, "serial")))
	add(&ids.serials, readText(filepath.Join(disk, "device/serial")))
	if page, err := os.ReadFile(filepath.Join(disk, "device/vpd_pg80")); err == nil {
		add(&ids.serials, serialText(page))
	}
	add(&ids.serials, h.usbSerial(disk))
	for _, name := range []string{"wwid", "device/wwid", "eui", "nguid"} {
		add(&ids.wwns, readText(filepath.Join(disk, name)))
	}
	return ids
}

// serialText reads SCSI's page of vital product data 80h: a byte of type, the number of the page, two bytes of length,
// then text (SPC-4, 7.8.16).
func serialText(page []byte) string {
	if len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	return string(page[4:min(len(page), 4+int(binary.BigEndian.Uint16(page[2:])))])
}

// usbSerial is that of the nearest USB device above a disk: the stick, or the bridge.
func (h host) usbSerial(disk string) string {
	dir, err := filepath.EvalSymlinks(disk)
	if err != nil {
		return ""
	}
	for ; len(dir) > len(h.sys); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "idVendor")); err == nil {
			return readText(filepath.Join(dir, "serial"))
		}
	}
	return ""
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
