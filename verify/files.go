package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/cancel"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// files checks line 1 of one acquisition: every file that the record binds, and through the image's files the media
// stream. Every digest in the record is compared or gives a finding; the two are counted against each other at the end.
type files struct {
	fsys     *plainFS
	dir      string // of the acquisition
	a        *record.Image
	workers  int
	progress func(bytes int64)

	line     line
	found    []record.Digest // of the media stream
	compared int64           // digests of the record that were compared, whatever came out
	given    *image.Map      // what the medium gave, by a map that holds; nil: none
	tree     *hashtree.File
	treeBad  string                  // why the tree cannot locate damage; empty when it can
	erased   map[string]state.Erased // by file name: what an order had erased, by the log
	gone     []ErasedFacts           // of these, what is not here
}

// check returns an error only when ctx ends.
func (c *files) check(ctx context.Context) error {
	closeTree, err := c.openTree(ctx)
	if err != nil {
		return err
	}
	for _, f := range c.a.Files {
		switch f.Role {
		case record.RoleSums:
			c.checkSums(f)
		case record.RoleJournal:
			c.checkWhole(f, layout.MaxJournal)
		case record.RoleMap:
			c.checkMap(f)
		case record.RoleTakenOver:
			c.checkTaken(f)
		}
	}
	err = c.checkImage(ctx)
	if closeErr := closeTree(); closeErr != nil && c.tree != nil {
		c.line.add(fromError(within(c.dir, c.role(record.RoleTree)[0].Name), closeErr))
	}
	if err != nil {
		return err
	}
	c.orders()
	if all := int64(len(c.a.Digests) + 2*len(c.a.Files)); c.compared != all && c.line.worst == Note {
		c.line.add(Finding{Severity: Missing, File: c.dir, Text: fmt.Sprintf("only %d of %d recorded digests were compared", c.compared, all)})
	}
	return nil
}

func (c *files) role(role string) []record.File { return c.a.Role(role) }

// fieldMedia names the digests of the media stream in a record.
const fieldMedia = "acquisition.digests"

// compare is the only place where a recorded digest is held against a computed one.
func (c *files) compare(file, field string, want, got record.Digest) bool {
	c.compared++
	if field == fieldMedia && !got.IsZero() {
		c.found = append(c.found, got)
	}
	if want.IsZero() || want != got {
		c.line.add(mismatch(file, field, want.String(), got.String(), "the digest is not the one in the record"))
		return false
	}
	c.line.checked++
	return true
}

// compareBoth compares the BLAKE3 and SHA-256 of a file.
func (c *files) compareBoth(f record.File, b3, sha [32]byte) bool {
	ok := true
	for _, d := range f.Digests {
		got := record.BLAKE3Digest(b3)
		if d.Algorithm() == record.SHA256 {
			got = record.SHA256Digest(sha)
		}
		ok = c.compare(within(c.dir, f.Name), "acquisition.files", d, got) && ok
	}
	return ok
}

// checkSize reports a size that is not the recorded one.
func (c *files) checkSize(f record.File, got int64) bool {
	if got == f.SizeBytes {
		return true
	}
	text := fmt.Sprintf("the file has %d bytes, the record says %d: it was cut off", got, f.SizeBytes)
	if got > f.SizeBytes {
		text = fmt.Sprintf("the file has %d bytes, the record says %d: something was added", got, f.SizeBytes)
	}
	c.line.add(mismatch(within(c.dir, f.Name), "acquisition.files.sizeBytes", fmt.Sprint(f.SizeBytes), fmt.Sprint(got), text))
	return false
}

// checkWhole checks a small file that is read at once, and returns its bytes if they are the recorded ones.
func (c *files) checkWhole(f record.File, limit int64) ([]byte, bool) {
	name := within(c.dir, f.Name)
	b, err := c.fsys.readFile(name, limit)
	if err != nil {
		c.line.add(fromError(name, err))
		return nil, false
	}
	if !c.checkSize(f, int64(len(b))) {
		return nil, false
	}
	if !c.compareBoth(f, blake3.Sum256(b), sha256.Sum256(b)) {
		return nil, false
	}
	return b, true
}

// checkSums requires beside the digests exactly the lines that the record implies, so that `sha256sum -c` and `b3sum -c`
// check the very files of the record.
func (c *files) checkSums(f record.File) {
	b, ok := c.checkWhole(f, layout.MaxSums)
	if !ok {
		return
	}
	alg := record.SHA256
	switch f.Name {
	case layout.SHA256Sums:
	case layout.B3Sums:
		alg = record.BLAKE3
	default:
		c.line.add(mismatch(within(c.dir, f.Name), "acquisition.files.name", layout.SHA256Sums+" or "+layout.B3Sums, f.Name,
			"the record names a file of sums that no tool looks for"))
		return
	}
	want := record.Sums(c.a.Files, alg)
	if !bytes.Equal(want, b) {
		c.line.add(mismatch(within(c.dir, f.Name), "", string(want), clip(string(b)), "the lines are not those that follow from the record"))
	}
}

func clip(s string) string {
	const most = 2000
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// openTree checks the tree file's own digests, form and root, and opens it to locate damage. The function returned
// closes it.
func (c *files) openTree(ctx context.Context) (closeTree func() error, err error) {
	f := c.role(record.RoleTree)[0]
	name := within(c.dir, f.Name)
	none := func() error { return nil }
	file, size, err := c.fsys.openFile(name)
	if c.absent(f, err) {
		c.treeBad = "the tree was erased by order"
		return none, nil
	}
	if err != nil {
		c.noTree(fromError(name, err))
		return none, nil
	}
	if !c.checkSize(f, size) {
		c.treeBad = "the tree file has a wrong size"
		return file.Close, nil
	}
	sha, b3 := sha256.New(), new(hashtree.Hasher)
	if _, err := io.Copy(io.MultiWriter(sha, b3), cancel.Reader(ctx, file)); err != nil {
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), file.Close())
		}
		c.noTree(fromError(name, err))
		return file.Close, nil
	}
	if !c.compareBoth(f, b3.Root(), [32]byte(sha.Sum(nil))) {
		c.treeBad = "the tree file is damaged"
	}
	at, ok := file.(io.ReaderAt)
	if !ok {
		c.noTree(Finding{Severity: Missing, File: name, Text: "this file system cannot read at an offset", Advice: "copy the folder to a disk and verify it there"})
		return file.Close, nil
	}
	tree, err := hashtree.Open(at, size)
	if err != nil {
		c.noTree(fromError(name, err))
		return file.Close, nil
	}
	c.checkRoot(name, tree)
	return file.Close, nil
}

// checkRoot requires that the tree is that of the recorded media stream. A tree whose list yields the recorded root can
// locate damage even when its file differs from the record elsewhere.
func (c *files) checkRoot(name string, tree *hashtree.File) {
	root, want := record.BLAKE3Digest(tree.Root()), c.media(record.BLAKE3)
	if root != want {
		c.noTree(mismatch(name, "acquisition.digests", want.String(), root.String(), "the tree belongs to other bytes than the recorded ones"))
		return
	}
	if tree.Size() != c.a.SizeBytes {
		c.noTree(mismatch(name, "acquisition.medium.sizeBytes", fmt.Sprint(c.a.SizeBytes), fmt.Sprint(tree.Size()),
			"the tree says another length than the record"))
		return
	}
	c.tree, c.treeBad = tree, ""
	c.line.checked++
}

func (c *files) noTree(f Finding) {
	c.line.add(f)
	c.treeBad = "the tree file is missing or damaged"
}

// media returns the recorded digest of the media stream.
func (c *files) media(alg record.Algorithm) record.Digest { return c.a.Digest(alg) }
