package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire/medium/probe"
	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

type devicesDocument struct {
	Schema  string           `json:"schema"`
	Devices []deviceDocument `json:"devices"`
}

type deviceDocument struct {
	Name        string              `json:"name"`
	Path        string              `json:"path"`
	Number      string              `json:"number"`
	SizeBytes   int64               `json:"sizeBytes"`
	State       string              `json:"state"`
	ReadOnly    bool                `json:"readOnly"`
	BackingFile string              `json:"backingFile,omitzero"`
	Partitions  []partitionDocument `json:"partitions"`
	Uses        []useDocument       `json:"uses"`
	Probed      bool                `json:"probed"`
	ProbeError  string              `json:"probeError,omitzero"`
	Hardware    record.Hardware     `json:"hardware"`
	Hidden      record.Fact[bool]   `json:"hidden"`
	HiddenBytes record.Fact[int64]  `json:"hiddenBytes"`

	silent string // why the drive tells nothing
}

type partitionDocument struct {
	Name       string `json:"name"`
	StartBytes int64  `json:"startBytes"`
	SizeBytes  int64  `json:"sizeBytes"`
}

type useDocument struct {
	Device string `json:"device"`
	Kind   string `json:"kind"`
	By     string `json:"by"`
}

// The states of a device beside sysfs' kinds of use.
const (
	stateSystem = "system"
	stateEmpty  = "empty"
	stateFree   = "free"
)

// devicesOptions are what the command line says; root and ask are the kernel and the drives, or those of a test.
type devicesOptions struct {
	name  string // of the one device that is meant; empty: all
	probe bool
	root  sysfs.Root
	ask   func(sysfs.Block) (record.Hardware, error)
}

func newDevicesCommand(u *ui) *cobra.Command {
	opts := devicesOptions{root: sysfs.System(), ask: askDrive}
	return newCommand(command{
		use: "devices [DEVICE]", short: "List the block devices, what they are and what uses them",
		long: "List the block devices, what they are and what uses them; of one device, all that is known. This is passive: it\n" +
			"shows what the kernel learned when a device was attached, and opens and sends nothing.\n\n" +
			"With --probe each device, or the one that is named, is opened for reading and its drive is asked, which needs root:\n" +
			"identity, health, and whether it holds more than it offers (HPA, DCO, AMAC, NVMe namespaces). The commands change\n" +
			"nothing, and a hidden area is found, never opened. They may wake a drive that sleeps; of one that is failing, ask\n" +
			"for that one alone.",
		example: "  exhibit devices\n  exhibit devices sdb\n  sudo exhibit devices /dev/sdb --probe",
		args:    cobra.MaximumNArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&opts.probe, "probe", false, "open the devices for reading and ask the drives")
		},
		run: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				opts.name = args[0]
			}
			return runDevices(cmd.Context(), u, opts)
		},
	})
}

func askDrive(b sysfs.Block) (record.Hardware, error) {
	f, err := probe.Open(b)
	if err != nil {
		return record.Hardware{}, err
	}
	h := probe.Ask(f, b)
	return h, f.Close()
}

func runDevices(ctx context.Context, u *ui, opts devicesOptions) error {
	blocks, err := findBlocks(opts)
	if err != nil {
		return err
	}
	doc := devicesDocument{Schema: "exhibit-devices/v1", Devices: []deviceDocument{}}
	denied := false
	for _, b := range blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := describeBlock(b)
		if opts.probe && probe.NoDrive(b) == "" {
			h, err := opts.ask(b)
			if err != nil {
				d.ProbeError = clean(err.Error())
				denied = denied || errors.Is(err, fs.ErrPermission)
			} else {
				d.Probed, d.silent, d.Hardware = true, "", h
			}
		}
		d.Hidden, d.HiddenBytes = d.Hardware.Hidden(), d.Hardware.HiddenBytes()
		doc.Devices = append(doc.Devices, d)
	}
	if err := u.result(doc, func() { printDevices(u, doc.Devices, opts) }); err != nil {
		return err
	}
	for _, d := range doc.Devices {
		if d.ProbeError != "" {
			u.notef("error: %s was not asked: %s", clean(d.Name), d.ProbeError)
			u.code = codeFailed
		}
	}
	if denied {
		u.notef("hint: asking a drive needs root, for example: sudo exhibit devices --probe")
	}
	return nil
}

// findBlocks gives all devices, or the one that is named by its kernel name, a path, or a link to it.
func findBlocks(opts devicesOptions) ([]sysfs.Block, error) {
	if opts.name == "" {
		blocks, err := opts.root.Blocks()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, misused(fmt.Errorf("this system has no list of block devices: %w", err), "devices can be listed and acquired on Linux only")
		}
		return blocks, err
	}
	name := opts.name
	if strings.Contains(name, "/") {
		path, err := filepath.EvalSymlinks(name)
		if err != nil {
			return nil, misused(fmt.Errorf("look at device: %w", err), "see the devices with: exhibit devices")
		}
		inside, ok := strings.CutPrefix(path, "/dev/")
		if !ok {
			return nil, misused(fmt.Errorf("%q lies outside of /dev: it is no block device", path), "see the devices with: exhibit devices")
		}
		name = inside
	}
	b, err := opts.root.Find(name)
	if errors.Is(err, sysfs.ErrNotListed) {
		return nil, misused(fmt.Errorf("find device %w", err), "see the devices with: exhibit devices")
	}
	return []sysfs.Block{b}, err
}

func describeBlock(b sysfs.Block) deviceDocument {
	d := deviceDocument{Name: b.Name, Path: b.Path(), Number: b.Number, SizeBytes: b.SizeBytes, State: stateFree, ReadOnly: b.Text("ro") == "1",
		BackingFile: b.Text("loop/backing_file"), Partitions: []partitionDocument{}, Uses: []useDocument{}, Hardware: probe.Passive(b), silent: cmp.Or(probe.NoDrive(b), probe.NotAsked)}
	for _, p := range b.Partitions {
		d.Partitions = append(d.Partitions, partitionDocument{p.Name, p.StartBytes, p.SizeBytes})
	}
	for _, u := range b.Uses {
		d.Uses = append(d.Uses, useDocument{u.Device, u.Kind, u.By})
	}
	switch {
	case b.System:
		d.State = stateSystem
	case len(b.Uses) > 0:
		d.State = b.Uses[0].Kind
		for _, u := range b.Uses {
			if u.Kind == sysfs.UseMounted { // that the disk is held by what is mounted says less
				d.State = u.Kind
			}
		}
	case b.SizeBytes == 0:
		d.State = stateEmpty
	}
	return d
}

func printDevices(u *ui, devices []deviceDocument, opts devicesOptions) {
	if opts.name != "" {
		for _, d := range devices {
			printDevice(u, d)
		}
		return
	}
	if len(devices) == 0 {
		u.linef("No block devices.")
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.Join(cells, "\t")) } //nolint:errcheck // into memory
	row("NAME", "SIZE", "BUS", "DEVICE", "SERIAL", "STATE")
	for _, d := range devices {
		bus, _ := d.Hardware.Bus.Get()
		row(clean(d.Name), shortSize(d.SizeBytes), bus, short(deviceTitle(d), 42), short(deviceSerial(d), 28), stateText(d))
	}
	w.Flush() //nolint:errcheck // into memory
	u.print(b.String())
	for _, d := range devices {
		if d.Probed {
			u.linef("%s: %s; %s", clean(d.Name), hiddenText(d), healthText(d.Hardware.Health))
		}
	}
}

// deviceTitle is what a person would call the device.
func deviceTitle(d deviceDocument) string {
	if d.BackingFile != "" {
		return clean(d.BackingFile)
	}
	maker, _ := d.Hardware.Make.Get()
	model, ok := d.Hardware.Model.Get()
	if !ok {
		return "-"
	}
	return strings.TrimSpace(maker + " " + model)
}

// deviceSerial is the disk's, or else that of the device on USB, which is said.
func deviceSerial(d deviceDocument) string {
	if s, ok := d.Hardware.Serial.Get(); ok {
		return s
	}
	if usb, ok := d.Hardware.USB.Get(); ok {
		if s, ok := usb.Serial.Get(); ok {
			return s + " (USB)"
		}
	}
	return "-"
}

func stateText(d deviceDocument) string {
	text := d.State
	switch d.State {
	case stateSystem:
		text = "system disk"
	case sysfs.UseMounted, sysfs.UseHeld:
		var by []string
		for _, use := range d.Uses {
			if use.Kind == d.State {
				by = append(by, use.By)
			}
		}
		text += map[string]string{sysfs.UseMounted: " at ", sysfs.UseHeld: " by "}[d.State] + clean(by[0])
		if len(by) > 1 {
			text += fmt.Sprintf(" and %d more", len(by)-1)
		}
	}
	if d.ReadOnly {
		text += ", kernel read-only flag set"
	}
	return text
}

func hiddenText(d deviceDocument) string {
	hidden, ok := d.Hidden.Get()
	switch {
	case !ok:
		return "hidden areas: " + unknownText(d.Hidden.Reason())
	case !hidden:
		return "hidden areas: none found"
	}
	if n, ok := d.HiddenBytes.Get(); ok {
		return "HIDDEN AREA of " + size(n)
	}
	return "HIDDEN AREA of unknown size"
}

func healthText(h record.Health) string {
	var parts []string
	for _, f := range []struct {
		fact record.Fact[int64]
		form string
	}{{h.Temperature, "%d °C"}, {h.PowerOnHours, "%d hours"}, {h.Reallocated, "%d reallocated"}, {h.Pending, "%d pending"},
		{h.MediaErrors, "%d media errors"}, {h.PercentageUsed, "%d %% used"}} {
		if n, ok := f.fact.Get(); ok {
			parts = append(parts, fmt.Sprintf(f.form, n))
		}
	}
	text := "health: " + strings.Join(parts, ", ")
	if len(parts) == 0 {
		text = "health: " + unknownText(h.Temperature.Reason())
	}
	if failing, ok := h.Failing.Get(); ok && failing {
		text += "; THE DRIVE PREDICTS THAT IT FAILS"
	}
	return text
}

func shortSize(n int64) string {
	s, _, _ := strings.Cut(size(n), " (")
	return s
}

// short cuts a text for a column.
func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
