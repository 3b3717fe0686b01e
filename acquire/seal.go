package acquire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// SealFiles are the files that signing and logging give, to be put beside the image.
type SealFiles struct {
	Statement []byte
	Personal  []byte // nil: the openings were erased
	Proof     []byte
	Genesis   []byte
	// Changes are the changes of keys that the record counts on, by their names: layout.ChangeFile and layout.ChangeProof.
	Changes map[string][]byte
	// Copy says that the log has the record of a finished copy: such a folder has no unsigned.json.
	Copy bool
}

// Seal puts the signed files into the .partial folder of a finished acquisition, removes unsigned.json with its signature
// and what a run could go on from, and takes ".partial" off the folder's name; exhibitDir is the exhibit's folder. It does
// not look into the files: the caller signed what ReadUnsigned gave. Other writers of the folder are kept away by the
// caller.
//
// Each step is synced before the next, and a Seal that was killed is repeated with the same files; only proof and openings
// may be others by then, and take the place of what was left. A folder that is sealed already is success if its statement
// is this one (durable.ErrDiffers if not). ErrUnfinished refuses a folder without a record.
func Seal(exhibitDir *durable.Root, id string, files SealFiles) error {
	if !record.ValidAcquisitionID(id) {
		return fmt.Errorf("%w: acquisition id %.60q", ErrOptions, id)
	}
	if len(files.Statement) == 0 || len(files.Proof) == 0 || len(files.Genesis) == 0 {
		return fmt.Errorf("%w: seal %q without statement, proof or genesis", ErrOptions, id)
	}
	if err := seal(exhibitDir, id, files); err != nil {
		return fmt.Errorf("seal acquisition %q in %q: %w", id, exhibitDir.Name(), damaged(err))
	}
	return nil
}

func seal(exhibitDir *durable.Root, id string, files SealFiles) error {
	partial := id + layout.PartialSuffix
	root, err := exhibitDir.Sub(partial)
	if errors.Is(err, fs.ErrNotExist) {
		return checkSealed(exhibitDir, id, files)
	}
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	if err := fill(root, files); err != nil {
		return err
	}
	err = exhibitDir.Rename(partial, id)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Without renameat2 a kill leaves an empty folder as a claim on the name; one with anything in it is not removed.
	if err := exhibitDir.Remove(id); err != nil {
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return exhibitDir.Rename(partial, id)
}

// fill makes the .partial folder complete.
func fill(root *durable.Root, files SealFiles) error {
	unsigned, err := exists(root, layout.Unsigned)
	if err != nil {
		return err
	}
	// A statement without the record is what an earlier Seal left.
	begun, err := exists(root, layout.Statement)
	if err != nil {
		return err
	}
	if !unsigned && !begun && !files.Copy {
		return ErrUnfinished
	}
	if _, err := root.Sweep("."); err != nil {
		return err
	}
	if err := files.write(root); err != nil {
		return err
	}
	if !unsigned {
		return nil
	}
	for _, scratch := range []string{layout.UnsignedSignature, layout.Resume} {
		left, err := exists(root, scratch)
		if err != nil {
			return err
		}
		if left {
			if err := root.Remove(scratch); err != nil {
				return err
			}
		}
	}
	return root.Remove(layout.Unsigned)
}

// write puts the files into the folder, or makes sure that they are there.
func (files *SealFiles) write(root *durable.Root) error {
	type file struct {
		name  string
		data  []byte
		stale bool // an earlier Seal may rightly have left another one
	}
	all := []file{
		{layout.Statement, files.Statement, false},
		{layout.Personal, files.Personal, true}, // erased in the log since then
		{layout.Proof, files.Proof, true},       // of a log that has grown since then
		{layout.Genesis, files.Genesis, false},
	}
	for _, name := range slices.Sorted(maps.Keys(files.Changes)) {
		all = append(all, file{name, files.Changes[name], true})
	}
	for _, f := range all {
		if len(f.data) == 0 {
			continue
		}
		err := root.CreateIdempotent(f.name, f.data)
		if f.stale && errors.Is(err, durable.ErrDiffers) {
			if err = root.Remove(f.name); err == nil {
				err = root.CreateEx(f.name, f.data)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func exists(root *durable.Root, name string) (bool, error) {
	_, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkSealed accepts a folder that was sealed with the same statement, and makes its name durable: who renamed it may
// have been killed before the sync.
func checkSealed(exhibitDir *durable.Root, id string, files SealFiles) error {
	root, err := exhibitDir.Sub(id)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	have, err := root.ReadFile(layout.Statement, layout.MaxEnvelope)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, files.Statement) {
		return fmt.Errorf("%q: %w", layout.Statement, durable.ErrDiffers)
	}
	return exhibitDir.SyncDir(".")
}
