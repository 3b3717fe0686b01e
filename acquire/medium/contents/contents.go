// Package contents says what lies on a medium: partitions, file systems, encryption, as their own first and last
// structures tell it.
//
// Start with [Look], then [Found.Commit], which gives the [record.Contents] that is signed. What is recognised, and what
// that does not prove, is described in docs/format.md, section 5.6.
//
// The promises: only reads, small and few: some hundred KiB for each of at most 256 partitions, and after a number of read
// errors no more. A read error, an impossible number or a chain that bites its tail ends nothing: what could not be found
// out is unknown, with the reason. Every byte of the medium is hostile: texts are made fit to be shown, and those that a
// person may have chosen stand in the record only as commitments.
package contents

import (
	"context"
	"fmt"
	"io"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Found is what Look found. Call one of Commit and Withhold, once.
type Found struct {
	// Labels are the names that somebody gave to volumes and partitions, in the form of record.DeviceText. They are for the
	// screen: a label often names a person.
	Labels []Label

	contents record.Contents
	fields   []*record.Fact[record.Personal] // of Labels, in contents
}

// Label is one of Found.Labels.
type Label struct {
	Pointer string // JSON pointer (RFC 6901) of its field, from the contents on: "/partitions/0/label"
	Text    string
}

// Look reads what it needs of the medium r, of sizeBytes; sectorBytes is its logical sector, 512 where it is not known.
// Reads begin and end at multiples of 4096, or of the sector if that is larger, and at the medium's end; r is called by one
// goroutine. When ctx is done nothing more is read. Look never fails: what it cannot find out is unknown.
func Look(ctx context.Context, r io.ReaderAt, sizeBytes, sectorBytes int64) *Found {
	if sectorBytes < 512 || sectorBytes > 1<<16 || sectorBytes&(sectorBytes-1) != 0 {
		sectorBytes = 512
	}
	m := newPages(ctx, r, max(0, sizeBytes), max(4096, sectorBytes))
	whole := m.look(0, m.bytes)
	gpt := m.gpt(sectorBytes)
	unit := sectorBytes
	if n, ok := gpt.result.SectorBytes.Get(); ok {
		unit = n
	}
	mbr := m.mbr(unit, whole, record.MaxPartitions-len(gpt.partitions))
	f := &Found{contents: record.Contents{GPT: gpt.result, MBR: mbr.result, Partitions: []record.Partition{}}}
	var volumes []*volume
	var labels []string
	for _, p := range append(gpt.partitions, mbr.partitions...) {
		v := m.look(p.entry.StartBytes, p.entry.SizeBytes)
		p.entry.Volume = v.result(p.holder)
		f.contents.Partitions = append(f.contents.Partitions, p.entry)
		volumes, labels = append(volumes, v), append(labels, p.label)
	}
	partitioned := ""
	if kind, ok := mbr.result.Kind.Get(); !ok || kind != record.MBRNone || len(labels) > 0 {
		partitioned = "the medium has partitions, or may have some: see each"
	}
	f.contents.Volume = whole.result(partitioned)
	f.volume("/volume", &f.contents.Volume, whole)
	for i := range f.contents.Partitions {
		p, at := &f.contents.Partitions[i], fmt.Sprintf("/partitions/%d", i)
		f.label(at+"/label", &p.Label, labels[i], noLabel)
		f.volume(at+"/volume", &p.Volume, volumes[i])
	}
	return f
}

const noLabel = "it has none"

func (f *Found) volume(at string, to *record.Volume, from *volume) {
	signatures, _ := to.Signatures.Get()
	for i := range signatures {
		f.label(fmt.Sprintf("%s/signatures/%d/label", at, i), &signatures[i].Label, from.found[i].label, from.found[i].noLabel)
	}
}

// label leaves the field of a label unset, in which state nothing can encode it, until Commit or Withhold.
func (f *Found) label(at string, field *record.Fact[record.Personal], text, none string) {
	if text == "" {
		*field = record.Unknown[record.Personal](none)
		return
	}
	f.Labels = append(f.Labels, Label{at, text})
	f.fields = append(f.fields, field)
}

// Commit returns the contents as they are signed: it draws a salt for each label and keeps the openings. pointer is where
// the contents stand in the predicate, as in "/acquisition/contents".
func (f *Found) Commit(random io.Reader, openings *record.Openings, pointer string) (record.Contents, error) {
	return f.finish(func(l Label) (record.Fact[record.Personal], error) {
		return openings.CommitFact(random, pointer+l.Pointer, l.Text, noLabel)
	})
}

// Withhold returns the contents without the labels, whose fields give the reason.
func (f *Found) Withhold(reason string) (record.Contents, error) {
	return f.finish(func(Label) (record.Fact[record.Personal], error) { return record.Unknown[record.Personal](reason), nil })
}

func (f *Found) finish(field func(Label) (record.Fact[record.Personal], error)) (record.Contents, error) {
	for i, l := range f.Labels {
		var err error
		if *f.fields[i], err = field(l); err != nil {
			return record.Contents{}, fmt.Errorf("label of a volume: %w", err)
		}
	}
	if err := f.contents.Validate(); err != nil {
		return record.Contents{}, fmt.Errorf("contents of the medium: %w", err)
	}
	return f.contents, nil
}
