package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// checkOrder requires what a destruction needs: a ground, or for data an order, its court, and what was erased. It returns the
// flags that lack.
func (d draft) checkOrder() (lacking []string, err error) {
	if len(d["by-order"]) == 0 {
		for _, name := range []string{"court", "copies", "openings", "attachment", "image"} {
			if len(d[name]) > 0 {
				return nil, withHints(fmt.Errorf("--%s belongs to data that was erased", name), "name the order with --by-order, or leave it out")
			}
		}
		if len(d["authority"]) == 0 {
			lacking = append(lacking, "--authority")
		}
		return lacking, nil
	}
	for _, name := range []string{"authority", "authority-issuer", "found", "unseal"} {
		if len(d[name]) > 0 {
			return nil, withHints(fmt.Errorf("--%s and --by-order exclude each other", name), "data is erased by the order alone, and has no seals")
		}
	}
	for _, name := range []string{"court", "copies"} {
		if len(d[name]) == 0 {
			lacking = append(lacking, "--"+name)
		}
	}
	if len(d["image"])+len(d["openings"])+len(d["attachment"]) == 0 {
		lacking = append(lacking, "one of --image, --openings and --attachment")
	}
	return lacking, checkByOrder(d["by-order"])
}

func checkByOrder(said []string) error {
	if slices.Equal(said, []string{"unknown"}) {
		return errors.New("--by-order unknown: data that nobody ordered erased is missing, and stays so")
	}
	return nil
}

// erasure names what an order had erased, with every copy that descends from it.
func (b *eventBuilder) erasure(t record.Type, h *record.Handling) (err error) {
	if t != record.TypeDestroyed || b.one("by-order") == "" {
		return nil
	}
	e := &record.Erasure{Images: []record.ErasedImage{}, Openings: []record.LeafHash{}}
	if e.Copies, err = b.fact("/handling/erasure/copies", "copies"); err != nil {
		return err
	}
	if e.Images, err = b.erasedImages(); err != nil {
		return err
	}
	if e.Openings, err = b.erasedOpenings(); err != nil {
		return err
	}
	if e.Attachments, err = b.erasedAttachments(); err != nil {
		return err
	}
	h.Erasure = e
	return nil
}

func (b *eventBuilder) erasedImages() ([]record.ErasedImage, error) {
	out, ids := []record.ErasedImage{}, b.said["image"]
	all := slices.Equal(ids, []string{"all"})
	found := map[string]bool{}
	for _, e := range b.chain {
		i, original := imageOf(e)
		if i == nil || !all && !slices.Contains(ids, i.ID) && (original == "" || !slices.Contains(ids, original)) {
			continue
		}
		found[i.ID] = true
		out = append(out, record.ErasedImage{Acquisition: i.ID, Files: record.ErasableFiles(i.Files), Record: e.Leaf})
	}
	for _, id := range ids {
		if !found[id] && !all {
			return nil, withHints(fmt.Errorf("--image %.80q: exhibit %q has no such acquisition", id, b.number), fmt.Sprintf("see them with: exhibit custody show %q", b.number))
		}
	}
	if all && len(out) == 0 {
		return nil, fmt.Errorf("exhibit %q has no image", b.number)
	}
	slices.SortFunc(out, func(x, y record.ErasedImage) int { return strings.Compare(x.Acquisition, y.Acquisition) })
	return out, nil
}

// imageOf is what an event records of an image, and of a copy the acquisition that it descends from.
func imageOf(e custody.Entry) (i *record.Image, original string) {
	switch p := e.Predicate.(type) {
	case *record.Acquired:
		image := p.Acquisition.Image()
		return &image, ""
	case *record.Copied:
		image := p.Copy.Image()
		return &image, p.Copy.Original.ID
	}
	return nil, ""
}

func (b *eventBuilder) erasedOpenings() ([]record.LeafHash, error) {
	numbers := b.said["openings"]
	if slices.Equal(numbers, []string{"all"}) {
		numbers = nil
		for _, e := range b.chain {
			numbers = append(numbers, e.Leaf.String())
		}
	}
	leaves := []record.LeafHash{}
	for _, text := range numbers {
		leaf, err := b.numbered("openings", text)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, *leaf)
	}
	return record.SortLeaves(leaves), nil
}

// erasedAttachments names those of the exhibit's events; nil for none.
func (b *eventBuilder) erasedAttachments() ([]record.Digest, error) {
	have := map[record.Digest]bool{}
	for _, e := range b.chain {
		if event, ok := e.Predicate.(record.Event); ok {
			for _, a := range record.Attachments(event) {
				have[a.SHA256()] = true
			}
		}
	}
	if slices.Equal(b.said["attachment"], []string{"all"}) {
		if len(have) == 0 {
			return nil, fmt.Errorf("exhibit %q has no attachment", b.number)
		}
		return record.SortDigests(slices.Collect(maps.Keys(have))), nil
	}
	var out []record.Digest
	for _, text := range b.said["attachment"] {
		sum, err := record.ParseDigest("sha256:" + strings.TrimPrefix(text, "sha256:"))
		if err != nil || !have[sum] {
			return nil, withHints(fmt.Errorf("--attachment %.80q: exhibit %q has no attachment with this SHA-256", text, b.number),
				fmt.Sprintf("see the digests with: exhibit custody show %q", b.number))
		}
		out = append(out, sum)
	}
	return record.SortDigests(out), nil
}

// toRemove lists on the terminal what an order had erased and is still here. Exhibit deletes no evidence itself: how data is
// erased for good depends on the storage, and is said by --method.
func toRemove(u *ui, c *custody.Case, event record.Event, chain []custody.Entry) {
	h, ok := event.(*record.Handled)
	if !ok || h.Handling.Erasure == nil {
		return
	}
	e := h.Handling.Erasure
	var names []string
	dir, err := layout.ExhibitDir(h.Event.Exhibit)
	if err != nil {
		return
	}
	for _, image := range e.Images {
		for _, name := range image.Files {
			names = append(names, path.Join(dir, image.Acquisition, name))
		}
	}
	for _, sum := range e.Attachments {
		if raw, err := hex.DecodeString(sum.Hex()); err == nil {
			names = append(names, path.Join(dir, layout.AttachmentFile(raw)))
		}
	}
	for _, entry := range chain {
		if !slices.Contains(e.Openings, entry.Leaf) {
			continue
		}
		names = append(names, path.Join(layout.LogDir(c.Genesis().Origin), layout.PersonalFile(entry.Index)))
		if i, _ := imageOf(entry); i != nil {
			names = append(names, path.Join(dir, i.ID, layout.Personal))
		}
	}
	for _, name := range names {
		if _, err := fs.Stat(c.FS(), name); err == nil {
			u.notef("the order had this erased, and it is still here: %s", clean(name))
		}
	}
}
