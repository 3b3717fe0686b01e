package acquire

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const unsignedType = "exhibit-unsigned/v1"

// Unsigned is a finished acquisition that nobody has signed yet.
type Unsigned struct {
	Exhibit       string
	Acquisition   record.Acquisition
	Circumstances record.Circumstances
	Openings      record.Openings

	file, signature []byte // as they were read
}

// attestDomain opens what Options.Attest signs, so that the signature fits nothing else.
const attestDomain = "exhibit-unsigned-v1\n"

// Attested returns what Options.Attest was asked to sign when the acquisition ended, and the signature that lies beside
// it now, or nil. Whoever signs the record must check it first: without it, anyone who can write into the folder chooses
// what is signed. Only ReadUnsigned fills it in.
func (u *Unsigned) Attested() (message, signature []byte) {
	return append([]byte(attestDomain), u.file...), u.signature
}

// unsignedFile is the shape of unsigned.json.
type unsignedFile struct {
	Acquisition   record.Acquisition   `json:"acquisition"`
	Circumstances record.Circumstances `json:"circumstances"`
	Exhibit       string               `json:"exhibit"`
	Openings      record.Openings      `json:"openings"`
	Type          string               `json:"type"`
}

// encodeUnsigned refuses what decodeUnsigned would.
func encodeUnsigned(u Unsigned) ([]byte, error) {
	if err := u.validate(); err != nil {
		return nil, err
	}
	return record.EncodeJSON(unsignedFile{u.Acquisition, u.Circumstances, u.Exhibit, u.Openings, unsignedType})
}

func decodeUnsigned(b []byte) (Unsigned, error) {
	var f unsignedFile
	if err := record.DecodeTyped(b, unsignedType, &f); err != nil {
		return Unsigned{}, err
	}
	u := Unsigned{Exhibit: f.Exhibit, Acquisition: f.Acquisition, Circumstances: f.Circumstances, Openings: f.Openings}
	if err := u.validate(); err != nil {
		return Unsigned{}, err
	}
	return u, nil
}

func (u *Unsigned) validate() error {
	if err := record.CheckExhibit(u.Exhibit); err != nil {
		return err
	}
	if err := u.Acquisition.Validate(); err != nil {
		return err
	}
	b, err := u.Openings.Encode()
	if err != nil {
		return err
	}
	if _, err := record.DecodeOpenings(b); err != nil {
		return err
	}
	// The paths of openings are those of the predicate that the statement will carry.
	type predicate struct {
		Acquisition   record.Acquisition   `json:"acquisition"`
		Circumstances record.Circumstances `json:"circumstances"`
	}
	payload, err := record.EncodeJSON(struct {
		Predicate predicate `json:"predicate"`
	}{predicate{u.Acquisition, u.Circumstances}})
	if err != nil {
		return err
	}
	_, err = u.Openings.Check(payload)
	return err
}

// ReadUnsigned reads the finished record from an acquisition's .partial folder, and makes sure that the files it binds
// are there with their sizes, and that sums and journal have the bytes it says. The image itself is not read.
//
// Errors: ErrUnfinished if there is no record; ErrSealing if there is none any more, because a Seal was interrupted after
// it had removed it; record.ErrMalformed if a file is not as the record says; image.ErrPartial if it is no file.
func ReadUnsigned(root *durable.Root) (Unsigned, error) {
	b, err := root.ReadFile(layout.Unsigned, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		begun, err := exists(root, layout.Statement)
		if err == nil && begun {
			err = ErrSealing
		} else if err == nil {
			err = ErrUnfinished
		}
		return Unsigned{}, fmt.Errorf("%q: no record waits to be signed: %w", root.Name(), err)
	}
	if err != nil {
		return Unsigned{}, damaged(err)
	}
	u, err := decodeUnsigned(b)
	if err != nil {
		return Unsigned{}, fmt.Errorf("read %q: %w", layout.Unsigned, err)
	}
	for _, f := range u.Acquisition.Files {
		if err := checkFile(root, f); err != nil {
			return Unsigned{}, err
		}
	}
	u.file = b
	if u.signature, err = root.ReadFile(layout.UnsignedSignature, layout.MaxSignature); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Unsigned{}, damaged(err)
	}
	return u, nil
}

func checkFile(root *durable.Root, f record.File) error {
	info, err := root.Lstat(f.Name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != f.SizeBytes {
		return fmt.Errorf("%w: %q is not a regular file of %d bytes", record.ErrMalformed, f.Name, f.SizeBytes)
	}
	if f.Role == record.RoleImage || f.Role == record.RoleTree {
		return nil
	}
	got, err := root.ReadFile(f.Name, max(layout.MaxJournal, layout.MaxMap))
	if err != nil {
		return damaged(err)
	}
	if digests := digestsOf(got); digests[0] != f.Digests[0] || digests[1] != f.Digests[1] {
		return fmt.Errorf("%w: %q does not have the digests of the record", record.ErrMalformed, f.Name)
	}
	return nil
}
