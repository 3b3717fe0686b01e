package main

import (
	"fmt"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/medium/probe"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// printDevice shows all that is known of one device. What is unknown because there is no drive, or it was not asked, is
// said once.
func printDevice(u *ui, d deviceDocument) {
	h := d.Hardware
	line := func(name, text string) {
		if d.silent == "" || text != unknownText(d.silent) {
			u.linef("%-22s %s", name+":", text)
		}
	}
	line("Device", clean(d.Path)+", number "+clean(d.Number))
	line("Size", size(d.SizeBytes))
	line("State", stateText(d))
	for _, p := range d.Partitions {
		line("Partition", fmt.Sprintf("%s, %s at byte %d", clean(p.Name), size(p.SizeBytes), p.StartBytes))
	}
	for _, use := range d.Uses {
		line("Use", strings.TrimSpace(clean(use.Device+" "+use.Kind+" "+use.By)))
	}
	if d.BackingFile != "" {
		line("Backing file", clean(d.BackingFile))
	}
	printIdentity(line, h)
	printTrim(line, h.Trim)
	line("Hidden areas", strings.TrimPrefix(hiddenText(d), "hidden areas: "))
	if bus, _ := h.Bus.Get(); bus == "nvme" {
		printNVMe(line, h.NVMe)
	} else {
		printSectors(line, h.HiddenAreas)
	}
	line("Health", strings.TrimPrefix(healthText(h.Health), "health: "))
	if failing := factText(h.Health.Failing); failing != factText(h.Health.Temperature) { // else said already
		line("Predicts its failure", failing)
	}
	switch d.silent {
	case "":
	case probe.NotAsked:
		u.linef("All else is unknown: the drive was not asked (--probe).")
	default:
		u.linef("All else is unknown: %s.", d.silent)
	}
}

func printIdentity(line func(name, text string), h record.Hardware) {
	line("Bus", factText(h.Bus))
	line("Make", factText(h.Make))
	line("Model", factText(h.Model))
	line("Firmware", factText(h.Firmware))
	line("Serial", factText(h.Serial))
	if bus, _ := h.Bus.Get(); bus == "nvme" {
		line("EUI-64", factText(h.EUI64))
		line("NGUID", factText(h.NGUID))
	} else {
		line("WWN", factText(h.WWN))
	}
	if usb, ok := h.USB.Get(); ok {
		line("USB device", fmt.Sprintf("%s:%s", factText(usb.VendorID), factText(usb.ProductID)))
		line("USB manufacturer", factText(usb.Manufacturer))
		line("USB product", factText(usb.Product))
		line("USB serial", factText(usb.Serial))
	}
	if card, ok := h.Card.Get(); ok {
		line("Card", factText(card.Type)+", "+factText(card.Manufacturer)+", "+factText(card.Date))
		line("CID", factText(card.CID))
		line("CSD", factText(card.CSD))
	}
	line("Removable", factText(h.Removable))
	line("Rotational", factText(h.Rotational))
	line("Write-protect bit", factText(h.WriteProtect))
}

// printSectors shows the sizes of an ATA disk at its depths.
func printSectors(line func(name, text string), a record.HiddenAreas) {
	if _, ok := a.UserSectors.Get(); !ok { // then the others are not known either
		line("Sectors offered", factText(a.UserSectors))
		return
	}
	line("Sectors offered", factText(a.UserSectors)+" of "+factText(a.SectorBytes)+" bytes")
	line("Sectors, native (HPA)", factText(a.NativeMaxSectors))
	line("Sectors, DCO", factText(a.DCOSectors))
	line("Sectors, AMAC", factText(a.AMACNativeSectors))
}

func printTrim(line func(name, text string), t record.Trim) {
	line("Trim", factText(t.Supported))
	var reads []string
	for _, f := range []struct {
		fact record.Fact[bool]
		text string
	}{{t.DRAT, "the same bytes each time (DRAT)"}, {t.RZAT, "zeros (RZAT)"}, {t.LBPRZ, "zeros (LBPRZ)"}} {
		if yes, ok := f.fact.Get(); ok && yes {
			reads = append(reads, f.text)
		}
	}
	if n, ok := t.DLFEAT.Get(); ok {
		reads = append(reads, fmt.Sprintf("DLFEAT %d", n))
	}
	if len(reads) > 0 {
		line("Trimmed sectors read", strings.Join(reads, ", "))
	}
}

func printNVMe(line func(name, text string), f record.Fact[record.NVMe]) {
	n, ok := f.Get()
	if !ok {
		line("Namespaces", factText(f))
		return
	}
	line("This namespace", factText(n.ActiveNamespace))
	all, ok := n.Namespaces.Get()
	if !ok {
		line("Namespaces", factText(n.Namespaces))
	}
	for _, ns := range all {
		text := "size " + factText(ns.SizeBytes)
		if bytes, ok := ns.SizeBytes.Get(); ok {
			text = size(bytes)
		}
		line(fmt.Sprintf("Namespace %d", ns.ID), text+", blocks of "+factText(ns.LBABytes)+" and "+factText(ns.MetadataBytes)+" bytes")
	}
	line("Inactive namespaces", factText(n.Inactive))
	line("Capacity, total", factText(n.TotalBytes))
	line("Capacity, unallocated", factText(n.UnallocatedBytes))
}

// factText shows a fact, or why it is unknown. Both are printable lines already.
func factText[T any](f record.Fact[T]) string {
	v, ok := f.Get()
	if !ok {
		return unknownText(f.Reason())
	}
	if yes, ok := any(v).(bool); ok {
		return map[bool]string{true: "yes", false: "no"}[yes]
	}
	if list, ok := any(v).([]int64); ok && len(list) == 0 {
		return "none"
	}
	return fmt.Sprint(v)
}

func unknownText(reason string) string { return "unknown (" + reason + ")" }
