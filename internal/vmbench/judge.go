//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outcome is what a line has to be.
type outcome struct {
	name   string
	exit   string
	bad    []int  // sectors of 512 bytes that may differ, and that the map must call unread
	medium string // the drive whose content the image is held against; empty: none, for nobody knows its content
}

var outcomes = []outcome{
	{"devices", "0", nil, ""},
	{"hdd", "3", []int{1000, 5003}, "hdd"},
	{"tpm", "0", nil, ""}, // not a medium: the keys and the counter that its acquisition used
	{"ssd", "0", nil, "ssd"},
	{"nvme", "0", nil, "nvme"},
	{"usb", "0", nil, "usb"},
	{"uas", "0", nil, "uas"},
	{"usbwp", "0", nil, "usbwp"},
	{"scsidebug", "3", []int{3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007}, ""},
	{"held", "1", nil, ""},
	{"dmerror", "3", []int{2000, 2001, 2002}, "dmunder"},
	{"plug", "6", nil, ""},
	{"plug-resume", "0", nil, "plug"},
}

var errNotAsExpected = errors.New("not as expected")

// judge prints the lines, and is an error when one is not as it has to be.
func (b *bench) judge(context.Context) error {
	text, err := os.ReadFile(filepath.Join(b.results, "exits"))
	if err != nil {
		return err
	}
	exits := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 {
			exits[f[0]] = f[1]
		}
	}
	var wrong []string
	fmt.Println("medium        exit  sectors that differ         unread in the map")
	for _, o := range outcomes {
		differ, unread, err := b.look(o)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", o.name, err)
		}
		fmt.Printf("%-13s %4s  %-26s  %s\n", o.name, exits[o.name], fmt.Sprint(differ), fmt.Sprint(unread))
		if err != nil || exits[o.name] != o.exit || o.medium != "" && !slices.Equal(differ, o.bad) || !slices.Equal(unread, o.bad) {
			wrong = append(wrong, o.name)
		}
	}
	if wrong != nil {
		return fmt.Errorf("%w: %s; what each said is in %q", errNotAsExpected, strings.Join(wrong, ", "), b.results)
	}
	return nil
}

// look compares an image with its medium, and reads its map.
func (b *bench) look(o outcome) (differ, unread []int, err error) {
	folder := filepath.Join(b.results, strings.TrimSuffix(o.name, "-resume")+".d")
	if o.bad == nil && o.medium == "" {
		return nil, nil, nil
	}
	maps, err := filepath.Glob(filepath.Join(folder, "*.map"))
	for _, name := range maps {
		unread, err = readMap(name)
	}
	if o.medium == "" || err != nil {
		return nil, unread, err
	}
	images, err := filepath.Glob(filepath.Join(folder, "*.raw"))
	if err != nil || len(images) != 1 {
		return nil, unread, fmt.Errorf("%d images in %q: %w", len(images), folder, err)
	}
	got, err := os.ReadFile(images[0])
	want, err2 := os.ReadFile(b.image(o.medium))
	if err := errors.Join(err, err2); err != nil || len(got) != len(want) {
		return nil, unread, fmt.Errorf("the image has %d bytes, the medium %d: %w", len(got), len(want), err)
	}
	for at := 0; at < len(want); at += 512 {
		if !bytes.Equal(got[at:at+512], want[at:at+512]) {
			differ = append(differ, at/512)
		}
	}
	return differ, unread, nil
}

// readMap returns the sectors that a map does not call read.
func readMap(name string) ([]int, error) {
	text, err := os.ReadFile(name)
	var unread []int
	for line := range strings.Lines(string(text)) {
		var from, size int
		var status string
		if n, e := fmt.Sscanf(line, "0x%x 0x%x %s", &from, &size, &status); e != nil || n != 3 || status == "+" {
			continue
		}
		for at := from; at < from+size; at += 512 {
			unread = append(unread, at/512)
		}
	}
	return unread, err
}
