package record

import (
	"fmt"
)

// Container is the image of another program, or of this one, that a medium of kind MediumImage was read out of. What it
// says about itself was not checked when it was made, but for the digests: see StoredDigest.
type Container struct {
	ChunkBytes int64              `json:"chunkBytes"` // of the medium, that are lost together where one of their bytes is damaged
	Format     string             `json:"format"`
	Header     Fact[Personal]     `json:"header"` // what it says in words, one value a line
	MD5        Fact[StoredDigest] `json:"md5"`
	Segments   int64              `json:"segments"` // files
	SetID      Fact[string]       `json:"setId"`    // 32 hex digits, the same in each of its files
	SHA1       Fact[StoredDigest] `json:"sha1"`
	Unread     ContainerUnread    `json:"unread"`
}

// StoredDigest is a digest of the medium that the container states, and whether it is the one that was computed now.
type StoredDigest struct {
	Digest Digest `json:"digest"`
	// Held is unknown where not all of the container could be read, unless it holds all the same.
	Held Fact[bool] `json:"held"`
}

// ContainerUnread totals the places of which the container says that their medium did not give them. What stands in their
// place counts as read.
type ContainerUnread struct {
	Bytes  int64 `json:"bytes"`
	Ranges int64 `json:"ranges"`
}

const maxContainerSegments = 1 << 16

// notCompared is the reason for what Held is where bytes are missing.
const notCompared = "not every byte of the container could be read"

// Compare says of each digest that the container states whether it is the one of a, by the words of StoredDigest. It changes
// nothing else, and nothing where there is no container.
func (a *Acquisition) Compare() {
	c, ok := a.Medium.Container.Get()
	if !ok {
		return
	}
	c.MD5, c.SHA1 = a.compared(c.MD5), a.compared(c.SHA1)
	a.Medium.Container = Known(c)
}

func (a *Acquisition) compared(f Fact[StoredDigest]) Fact[StoredDigest] {
	s, ok := f.Get()
	if !ok {
		return f
	}
	s.Held = Known(false)
	if a.Unread.Bytes > 0 {
		s.Held = Unknown[bool](notCompared)
	}
	for _, d := range a.Digests {
		if d.Digest == s.Digest {
			s.Held = Known(true)
		}
	}
	return Known(s)
}

// Stored returns the digests that the container states.
func (c *Container) Stored() []StoredDigest {
	var out []StoredDigest
	for _, f := range []Fact[StoredDigest]{c.MD5, c.SHA1} {
		if s, ok := f.Get(); ok {
			out = append(out, s)
		}
	}
	return out
}

// Broken reports whether a digest that the container states is known not to hold.
func (c *Container) Broken() bool {
	for _, s := range c.Stored() {
		if held, known := s.Held.Get(); known && !held {
			return true
		}
	}
	return false
}

// checkContainer requires a container of the kind that has one, and of every digest that it states the one that was
// computed beside it, and of Held what follows from the two.
func (a *Acquisition) checkContainer() error {
	c, ok := a.Medium.Container.Get()
	if ok != (a.Medium.Kind == MediumImage) {
		return fmt.Errorf("%w: a medium of kind %q with a container: %t", ErrMalformed, a.Medium.Kind, ok)
	}
	if !ok {
		return nil
	}
	if err := c.validate(a.Medium.SizeBytes); err != nil {
		return err
	}
	again := *a
	again.Compare()
	want, _ := again.Medium.Container.Get()
	for i, s := range c.Stored() {
		if s != want.Stored()[i] {
			return fmt.Errorf("%w: whether the container's %s holds", ErrMalformed, s.Digest.alg)
		}
		found := false
		for _, d := range a.Digests {
			found = found || d.Digest.alg == s.Digest.alg
		}
		if !found {
			return fmt.Errorf("%w: the container states %s, which was not computed", ErrMalformed, s.Digest.alg)
		}
	}
	return nil
}

func (c *Container) validate(mediumBytes int64) error {
	if c.Format != FormatE01 {
		return fmt.Errorf("container format %.40q is %w", c.Format, ErrNewer)
	}
	u := c.Unread
	if c.ChunkBytes < 1 || c.ChunkBytes > 1<<30 || c.Segments < 1 || c.Segments > maxContainerSegments || u.Bytes < 0 || u.Bytes > mediumBytes ||
		(u.Bytes == 0) != (u.Ranges == 0) || u.Ranges < 0 || u.Ranges > u.Bytes {
		return fmt.Errorf("%w: a container with chunks of %d bytes, %d segments, %d unread bytes in %d ranges", ErrMalformed, c.ChunkBytes, c.Segments, u.Bytes, u.Ranges)
	}
	f := &factCheck{}
	f.form("setId of the container", c.SetID, hex32)
	checkFact(f, "header of the container", c.Header, func(*factCheck, Personal) {})
	for _, d := range []struct {
		alg  Algorithm
		fact Fact[StoredDigest]
	}{{MD5, c.MD5}, {SHA1, c.SHA1}} {
		checkFact(f, "digest of the container", d.fact, func(f *factCheck, s StoredDigest) {
			if s.Digest.alg != d.alg {
				f.fail("digest of the container", string(d.alg))
			}
			checkFact(f, "whether a digest holds", s.Held, func(*factCheck, bool) {})
		})
	}
	return f.err
}
