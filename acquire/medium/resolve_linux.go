package medium

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
		id := h.identity(filepath.Join(h.sys, "block", disk))
		if id.Is(name) {
			found = append(found, id.Path)
		} else if its := id.names(); len(its) > 0 && len(others) < maxHolders {
			others = append(others, fmt.Sprintf("%q (%s)", id.Path, printable(its[0])))
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

// identity is what /sys knows of the disk that has the folder dir there.
func (h host) identity(dir string) Identity {
	id := Identity{Path: "/dev/" + kernelName(dir), USBSerial: trimText(h.usbSerial(dir))}
	addText(&id.Serials, readText(filepath.Join(dir, "serial")))
	addText(&id.Serials, readText(filepath.Join(dir, "device/serial")))
	if page, err := os.ReadFile(filepath.Join(dir, "device/vpd_pg80")); err == nil {
		addText(&id.Serials, serialText(page))
	}
	for _, name := range []string{"wwid", "device/wwid", "eui", "nguid"} {
		addText(&id.WWNs, readText(filepath.Join(dir, name)))
	}
	return id
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
