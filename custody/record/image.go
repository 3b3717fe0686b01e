package record

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Image is what the records of an acquisition and of a copy say of the image they bind.
type Image struct {
	ID        string        // that of the folder
	Format    string        // FormatRaw or FormatE01
	SizeBytes int64         // of the media stream
	Digests   []MediaDigest // of the media stream
	Files     []File
	Unread    Unread
	TakenOver []TakenOver // bytes that were not read from the medium; none or one
}

// Image is what the record says of its image.
func (a *Acquisition) Image() Image {
	return Image{a.ID, a.Format, a.Medium.SizeBytes, a.Digests, a.Files, a.Unread, a.TakenOver}
}

// Digest returns that of the media stream by alg, or the zero Digest.
func (i *Image) Digest(alg Algorithm) Digest {
	for _, d := range i.Digests {
		if d.Digest.alg == alg {
			return d.Digest
		}
	}
	return Digest{}
}

// Role returns the files of a role, in order.
func (i *Image) Role(role string) []File {
	var out []File
	for _, f := range i.Files {
		if f.Role == role {
			out = append(out, f)
		}
	}
	return out
}

// subjects are the media stream and the two files of sums, which bind the other files for sha256sum and b3sum.
func (i *Image) subjects() []subject {
	var media []Digest
	for _, d := range i.Digests {
		media = append(media, d.Digest)
	}
	out := []subject{newSubject("media", media...)}
	for _, f := range i.Role(RoleSums) {
		out = append(out, newSubject(f.Name, f.Digests...))
	}
	return out
}

// MediaDigest is a digest of the whole media stream, with how it was computed.
type MediaDigest struct {
	Computed string `json:"computed"`
	Digest   Digest `json:"digest"`
}

// File is one file of the acquisition folder.
type File struct {
	Digests   []Digest `json:"digests"` // BLAKE3 and SHA-256 of the file's bytes
	Name      string   `json:"name"`
	Role      string   `json:"role"`
	SizeBytes int64    `json:"sizeBytes"`
}

// Sums returns the text of SHA256SUMS or B3SUMS, by alg: what `sha256sum` or `b3sum` writes of the files of image, tree
// and maps.
func Sums(files []File, alg Algorithm) []byte {
	var b []byte
	for _, f := range files {
		if !slices.Contains([]string{RoleImage, RoleTree, RoleMap, RoleTakenOver}, f.Role) {
			continue
		}
		for _, d := range f.Digests {
			if d.alg == alg {
				b = fmt.Appendf(b, "%s  %s\n", d.hex, f.Name)
			}
		}
	}
	return b
}

// Unread totals what the medium did not give; the map lists it.
type Unread struct {
	Bytes  int64 `json:"bytes"`
	Ranges int64 `json:"ranges"`
	// RecoveredBytes were read only when a sector that had failed was tried again; the journal lists them.
	RecoveredBytes int64 `json:"recoveredBytes"`
}

// check requires totals that a medium of sizeBytes can have.
func (u Unread) check(sizeBytes int64) error {
	for _, c := range []struct {
		field string
		n     int64
	}{{"unread bytes", u.Bytes}, {"unread ranges", u.Ranges}, {"recovered bytes", u.RecoveredBytes}} {
		if err := checkCount(c.field, c.n); err != nil {
			return err
		}
	}
	if (u.Bytes == 0) != (u.Ranges == 0) || u.Ranges > u.Bytes || u.Bytes > sizeBytes || u.RecoveredBytes > sizeBytes-u.Bytes {
		return fmt.Errorf("%w: %d unread bytes in %d ranges, %d recovered, of a medium of %d", ErrMalformed, u.Bytes, u.Ranges, u.RecoveredBytes, sizeBytes)
	}
	return nil
}

// checkMediaDigests requires BLAKE3 and SHA-256 of the media stream, each computed as want says, and returns the other
// algorithms.
func checkMediaDigests(digests []MediaDigest, want func(Algorithm) string) (extra []Algorithm, err error) {
	var media []Digest
	for _, d := range digests {
		if d.Computed != ComputedWhileReading && d.Computed != ComputedFromImage {
			return nil, fmt.Errorf("digest computed %.40q is %w", d.Computed, ErrNewer)
		}
		if d.Computed != want(d.Digest.alg) {
			return nil, fmt.Errorf("%w: %s computed %q", ErrMalformed, d.Digest.alg, d.Computed)
		}
		media = append(media, d.Digest)
		if d.Digest.alg != BLAKE3 && d.Digest.alg != SHA256 {
			extra = append(extra, d.Digest.alg)
		}
	}
	return extra, checkDigests("the media stream", media, BLAKE3, SHA256)
}

// checkMaker requires what a record says of the program and the machine that made it.
func checkMaker(t *Tool, h *Host) error {
	for _, l := range []struct{ field, text string }{{"tool name", t.Name}, {"tool version", t.Version},
		{"host os", h.OS}, {"host architecture", h.Architecture}} {
		if err := checkLine(l.field, l.text); err != nil {
			return err
		}
	}
	c := &factCheck{}
	c.texts([]named[string]{{"host kernel", h.Kernel}})
	if c.err != nil {
		return c.err
	}
	return checkCount("processors", h.Processors)
}

// MaxFiles bounds the files of one image, so that the record of all of them stays within MaxJSON.
const MaxFiles = 10_000

// checkFiles requires image segments first, then just one file of each of the roles. The segments of a raw image are the
// medium.
func (i *Image) checkFiles(roles []string) error {
	if len(i.Files) > MaxFiles {
		return fmt.Errorf("%w: %d files", ErrMalformed, len(i.Files))
	}
	names := map[string]bool{}
	var after []string
	var image int64
	for _, f := range i.Files {
		if err := f.validate(); err != nil {
			return err
		}
		if folded := strings.ToLower(f.Name); names[folded] {
			return fmt.Errorf("%w: file %.80q stands twice", ErrMalformed, f.Name)
		} else {
			names[folded] = true
		}
		if f.Role != RoleImage {
			after = append(after, f.Role)
			continue
		}
		if len(after) > 0 {
			return fmt.Errorf("%w: image segment %.80q after other files", ErrMalformed, f.Name)
		}
		image += f.SizeBytes
	}
	if !slices.Equal(after, roles) || len(after) == len(i.Files) {
		return fmt.Errorf("%w: the files after those of the image are not %q", ErrMalformed, roles)
	}
	if i.Format == FormatRaw && image != i.SizeBytes {
		return fmt.Errorf("%w: image files of %d bytes for a medium of %d", ErrMalformed, image, i.SizeBytes)
	}
	return nil
}

var fileForm = regexp.MustCompile(`^[A-Za-z0-9_%-][A-Za-z0-9_.%-]{0,199}$`)

func (f *File) validate() error {
	if !fileForm.MatchString(f.Name) {
		return fmt.Errorf("%w: file name %.80q", ErrMalformed, f.Name)
	}
	if err := checkCount("size of "+f.Name, f.SizeBytes); err != nil {
		return err
	}
	if len(f.Digests) != 2 {
		return fmt.Errorf("%w: %d digests of file %q", ErrMalformed, len(f.Digests), f.Name)
	}
	return checkDigests(f.Name, f.Digests, BLAKE3, SHA256)
}
