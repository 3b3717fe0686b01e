package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func exampleCopied() *Copied {
	a := exampleAcquired().Acquisition
	var o Openings
	p, err := o.Commit(fixedRandom(), "/circumstances/commandLine", "exhibit image convert")
	if err != nil {
		panic(err)
	}
	two := a.Files[0].Digests
	original := Reference{a.ID, LeafHash{7}}
	return &Copied{
		Circumstances: CopyCircumstances{p, Unknown[Personal]("not given"), Unknown[Personal]("not given"), p}, Event: exampleHeader(3),
		Copy: Copy{
			Destination: a.Destinations[0], Digests: a.Digests, Started: exampleTime(), Ended: exampleTime(), Format: FormatE01, ID: "20261124T081500Z-99999999",
			Files: []File{{two, "7.E01", RoleImage, 999}, {two, "7.tree", RoleTree, 96}, {two, "7.map", RoleMap, 90},
				{two, "SHA256SUMS", RoleSums, 9}, {two, "B3SUMS", RoleSums, 9}},
			Host: a.Host, Options: CopyOptions{CompressionFast, 0}, Original: original, Source: original, Reread: a.Reread, SizeBytes: 5, Tool: a.Tool,
			Unread: Unread{Bytes: 2, Ranges: 1, RecoveredBytes: 1},
		},
	}
}

// badCopied are changes of one place in the example.
var badCopied = map[string]struct {
	old, new string
	want     error
}{
	"unknown member":       {`{"circumstances":{`, `{"aaa":1,"circumstances":{`, ErrMalformed},
	"missing member":       {`"format":"e01",`, ``, ErrMalformed},
	"newer version":        {`/copied/v1`, `/copied/v2`, ErrNewer},
	"another type":         {`/copied/v1`, `/acquired/v1`, ErrMalformed},
	"unknown format":       {`"format":"e01"`, `"format":"ex02"`, ErrNewer},
	"unknown compression":  {`"compression":"fast"`, `"compression":"hard"`, ErrNewer},
	"compressed raw":       {`"format":"e01"`, `"format":"raw"`, ErrMalformed},
	"not read back":        {`"kind":"direct"`, `"kind":"none"`, ErrMalformed},
	"does not match":       {`"matches":true`, `"matches":false`, ErrMalformed},
	"unknown re-read":      {`"kind":"direct"`, `"kind":"by heart"`, ErrNewer},
	"digest from image":    {`"while-reading","digest":"sha256`, `"from-image","digest":"sha256`, ErrMalformed},
	"copy of itself":       {`"original":{"id":"20261123T081500Z-1a2b3c4d"`, `"original":{"id":"20261124T081500Z-99999999"`, ErrMalformed},
	"one id, two leaves":   {`"source":{"id":"20261123T081500Z-1a2b3c4d","leaf":"07`, `"source":{"id":"20261123T081500Z-1a2b3c4d","leaf":"08`, ErrMalformed},
	"two ids, one leaf":    {`"source":{"id":"20261123T081500Z-1a2b3c4d"`, `"source":{"id":"20261123T081500Z-1a2b3c4e"`, ErrMalformed},
	"impossible id":        {`"source":{"id":"20261123T`, `"source":{"id":"20261323T`, ErrMalformed},
	"short leaf":           {`"leaf":"0700`, `"leaf":"07`, ErrMalformed},
	"unread without map":   {`"name":"7.map","role":"map"`, `"name":"7.map","role":"tree"`, ErrMalformed},
	"more unread than is":  {`"unread":{"bytes":2`, `"unread":{"bytes":6`, ErrMalformed},
	"ranges without bytes": {`"unread":{"bytes":2`, `"unread":{"bytes":0`, ErrMalformed},
	"negative size":        {`"sizeBytes":5,`, `"sizeBytes":-5,`, ErrMalformed},
	"journal":              {`"name":"B3SUMS","role":"sums"`, `"name":"B3SUMS","role":"journal"`, ErrMalformed},
	"path in a file name":  {`"name":"7.tree"`, `"name":"../7.tree"`, ErrMalformed},
	"subject digest":       {`"digest":{"blake3":"01`, `"digest":{"blake3":"02`, ErrMalformed},
	"negative segment":     {`"segmentBytes":0`, `"segmentBytes":-1`, ErrMalformed},
}

func TestDecodeRefusesCopied(t *testing.T) {
	good, err := Encode(exampleCopied())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range badCopied {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(good, []byte(test.old), []byte(test.new), 1)
			if bytes.Equal(bad, good) {
				t.Fatalf("the example does not hold %s", test.old)
			}
			p, err := Decode(bad)
			if !errors.Is(err, test.want) || p != nil {
				t.Errorf("Decode = %v, %v; want nil and %v", p, err, test.want)
			}
		})
	}
}

// A map may be there when all was read; without one nothing may be unread.
func TestCopiedWithoutUnread(t *testing.T) {
	c := exampleCopied()
	c.Copy.Unread = Unread{}
	if err := c.Validate(); err != nil {
		t.Errorf("with a map: %v, want nil", err)
	}
	i := c.Copy.Image()
	c.Copy.Files = append(i.Files[:2:2], i.Files[3:]...)
	if err := c.Validate(); err != nil {
		t.Errorf("without a map: %v, want nil", err)
	}
	c.Copy.Unread = Unread{Bytes: 2, Ranges: 1}
	if err := c.Validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("unread without a map: %v, want ErrMalformed", err)
	}
}

// exampleTakenCopied is a copy of an image of which a part was taken over from another program's.
func exampleTakenCopied() *Copied {
	c := exampleCopied()
	over := exampleTaken().Acquisition.TakenOver[0]
	over.Bytes, over.Ranges = 1, 1
	c.Copy.TakenOver = []TakenOver{over}
	c.Copy.Files = slices.Insert(c.Copy.Files, 3, File{c.Copy.Files[0].Digests, "7.taken", RoleTakenOver, 80})
	return c
}

// What was taken over stands in the record of a copy only where something was, and then with its list.
func TestCopiedTakenOver(t *testing.T) {
	good, err := Encode(exampleTakenCopied())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(good)
	if c, ok := p.(*Copied); err != nil || !ok || !slices.Equal(c.Copy.Image().TakenOver, exampleTakenCopied().Copy.TakenOver) {
		t.Errorf("Decode = %v, %v", p, err)
	}
	for name, change := range map[string]func(*Copy){
		"two of them":         func(c *Copy) { c.TakenOver = append(c.TakenOver, c.TakenOver[0]) },
		"more than was read":  func(c *Copy) { c.TakenOver[0].Bytes = 3 },
		"no bytes":            func(c *Copy) { c.TakenOver[0].Bytes = 0 },
		"samples":             func(c *Copy) { c.TakenOver[0].Differing = c.TakenOver[0].Sampled + 1 },
		"without its list":    func(c *Copy) { c.Files = slices.Delete(c.Files, 3, 4) },
		"without the map":     func(c *Copy) { c.Files = slices.Delete(c.Files, 2, 3) },
		"a list, and nothing": func(c *Copy) { c.TakenOver = nil },
	} {
		c := exampleTakenCopied()
		change(&c.Copy)
		if err := c.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	plain, err := Encode(exampleCopied())
	if err != nil || bytes.Contains(plain, []byte("takenOver")) {
		t.Errorf("a copy of which nothing was taken over says: %s (%v)", plain, err)
	}
	empty := bytes.Replace(plain, []byte(`"tool":{`), []byte(`"takenOver":[],"tool":{`), 1)
	if p, err := Decode(empty); !errors.Is(err, ErrMalformed) {
		t.Errorf("an empty list: %v, %v", p, err)
	}
}
