package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// exampleReacquired is exampleAcquired of the medium in an image that states an MD5.
func exampleReacquired() *Acquired {
	e := exampleAcquired()
	a := &e.Acquisition
	a.Medium.Kind = MediumImage
	a.Medium.Container = Known(Container{
		ChunkBytes: 32768, Format: FormatE01, Header: Unknown[Personal]("none"), Segments: 2, SetID: Known(strings.Repeat("0a", 16)),
		MD5: Known(StoredDigest{exampleDigest(MD5, 3), Known(true)}), SHA1: Unknown[StoredDigest]("it states none"), Unread: ContainerUnread{Bytes: 2, Ranges: 1},
	})
	return e
}

// A container is what it says, or the record is refused.
func TestContainer(t *testing.T) {
	good, err := Encode(exampleReacquired())
	if err != nil {
		t.Fatal(err)
	}
	md5 := exampleDigest(MD5, 3).String()
	for name, test := range map[string]struct {
		old, new string
		want     error
	}{
		"nothing":              {``, ``, nil},
		"held against reason":  {`"held":true`, `"held":false`, ErrMalformed},
		"held without reason":  {`"held":true`, `"held":{"unknown":"lost"}`, ErrMalformed},
		"other digest, held":   {`{"digest":"` + md5, `{"digest":"` + exampleDigest(MD5, 6).String(), ErrMalformed},
		"digest that is none":  {`"md5":{"digest":"` + md5, `"md5":{"digest":"` + exampleDigest(SHA256, 2).String(), ErrMalformed},
		"not computed":         {`"sha1":{"unknown":"it states none"}`, `"sha1":{"digest":"` + exampleDigest(SHA1, 5).String() + `","held":false}`, ErrMalformed},
		"later format":         {`"format":"e01","header"`, `"format":"ex01","header"`, ErrNewer},
		"no segment":           {`"segments":2`, `"segments":0`, ErrMalformed},
		"no chunk":             {`"chunkBytes":32768`, `"chunkBytes":0`, ErrMalformed},
		"more unread":          {`"unread":{"bytes":2,"ranges":1}`, `"unread":{"bytes":6,"ranges":1}`, ErrMalformed},
		"ranges without bytes": {`"unread":{"bytes":2,"ranges":1}`, `"unread":{"bytes":0,"ranges":1}`, ErrMalformed},
		"set identifier":       {`"setId":"0a`, `"setId":"0A`, ErrMalformed},
		"of a file":            {`"kind":"image"`, `"kind":"file"`, ErrMalformed},
	} {
		bad := bytes.Replace(good, []byte(test.old), []byte(test.new), 1)
		if test.want != nil && bytes.Equal(bad, good) {
			t.Fatalf("%s: the example does not hold %s", name, test.old)
		}
		if _, err := Decode(bad); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	plain := exampleAcquired()
	plain.Acquisition.Medium.Kind = MediumImage
	if _, err := Encode(plain); !errors.Is(err, ErrMalformed) {
		t.Errorf("an image without a container: %v, want %v", err, ErrMalformed)
	}
}

// A digest holds, does not, or cannot be known where bytes are missing; if it is the same all the same, it holds.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		stored      byte
		unread      int64
		held, known bool
	}{
		"same": {3, 0, true, true}, "other": {6, 0, false, true}, "same, with a gap": {3, 1, true, true}, "other, with a gap": {6, 1, false, false},
	} {
		a := exampleReacquired().Acquisition
		from, _ := a.Medium.Container.Get()
		from.MD5 = Known(StoredDigest{exampleDigest(MD5, c.stored), Unknown[bool]("not yet")})
		a.Medium.Container = Known(from)
		a.Unread.Bytes = c.unread
		a.Compare()
		from, _ = a.Medium.Container.Get()
		s, _ := from.MD5.Get()
		if held, known := s.Held.Get(); held != c.held || known != c.known || from.Broken() != (c.known && !c.held) {
			t.Errorf("%s: held %t, known %t, broken %t; want %t, %t", name, held, known, from.Broken(), c.held, c.known)
		}
	}
}
