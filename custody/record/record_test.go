package record

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixedRandom is a reproducible source of salts.
func fixedRandom() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1, 2, 3}) }

func exampleTime() Time {
	at := time.Date(2026, 11, 23, 9, 15, 0, 0, time.FixedZone("", 3600))
	return NewTime(at, ClockSystem, Known(true))
}

func exampleDigest(alg Algorithm, fill byte) Digest {
	d, err := NewDigest(alg, bytes.Repeat([]byte{fill}, digestBytes[alg]))
	if err != nil {
		panic(err)
	}
	return d
}

func exampleHeader(number int64) Header {
	h := Header{
		Exhibit: "7/a", Number: number, Time: exampleTime(),
		Log: LogState{Checkpoint: exampleDigest(SHA256, 9), Origin: strings.Repeat("a", 26) + ".exhibit.invalid", Size: 3},
	}
	if number > 1 {
		h.Previous = &LeafHash{1, 2, 3}
	}
	return h
}

func exampleContinuation() *Continuation {
	d := SHA256Digest([32]byte{7})
	return &Continuation{Because: Personal{Commitment: d}, Checkpoint: d, Counter: Known[int64](17), Origin: exampleOpened().Origin, Size: 4}
}

func exampleCounter() *Counter {
	name := "000b" + strings.Repeat("5a", 32)
	return &Counter{AttestationKey: []byte{0, 0x23}, First: 17, Handle: 0x1800007, Name: name, Parent: name}
}

func TestOptionalFieldsOfTheGenesis(t *testing.T) {
	c := exampleOpened()
	c.Counter, c.Continues = exampleCounter(), exampleContinuation()
	b, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := got.(*CaseOpened)
	if !ok || o.Continues == nil || *o.Continues != *c.Continues || o.Counter == nil || o.Counter.Handle != c.Counter.Handle || !bytes.Equal(o.Counter.AttestationKey, c.Counter.AttestationKey) {
		t.Errorf("the counter is lost: %s", b)
	}
}

func exampleOpened() *CaseOpened {
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 91)) }
	return &CaseOpened{
		Agency: "Example Police", Case: "2026-001", Nonce: strings.Repeat("0f", 32),
		LogKeys:  []LogKey{{LineECDSA, key(1)}, {LineEd25519, key(2)}},
		OpenedBy: Unknown[Personal]("not given"),
		Origin:   strings.Repeat("a", 26) + ".exhibit.invalid",
		Signers:  []Signer{{[]Type{TypeAcquired, TypeSeized}, Unknown[Personal]("not given"), KindPerson, key(3)}},
		Time:     exampleTime(),
	}
}

func exampleSeized(o *Openings) *Seized {
	description, err := o.Commit(fixedRandom(), "/seizure/description", "laptop, black")
	if err != nil {
		panic(err)
	}
	s := NewSeized("7", exampleTime(), "not given")
	s.Event, s.Seizure.Description, s.Seizure.Seals = exampleHeader(1), description, []string{"S-1"}
	return s
}

func exampleAcquired() *Acquired {
	two := []Digest{exampleDigest(BLAKE3, 1), exampleDigest(SHA256, 2)}
	file := func(name, role string, size int64) File { return File{two, name, role, size} }
	var o Openings
	p, err := o.Commit(fixedRandom(), "/circumstances/commandLine", "exhibit acquire")
	if err != nil {
		panic(err)
	}
	none := Unknown[Personal]("not given")
	return &Acquired{
		Circumstances: Circumstances{p, none, none, none, none, none, p, []Resumption{{p, none, none, p, none}}, none}, Event: exampleHeader(2),
		Acquisition: Acquisition{
			Contents:     Unknown[Contents]("a test"),
			Destinations: []Destination{{Unknown[string]("no"), Known("ext4")}},
			Digests:      []MediaDigest{{ComputedWhileReading, two[0]}, {ComputedWhileReading, exampleDigest(MD5, 3)}, {ComputedWhileReading, two[1]}},
			Ended:        exampleTime(), Started: exampleTime(), Format: FormatRaw, ID: "20261123T081500Z-1a2b3c4d",
			Files: []File{file("7.raw", RoleImage, 5), file("7.tree", RoleTree, 96), file("SHA256SUMS", RoleSums, 9),
				file("B3SUMS", RoleSums, 9), file("journal", RoleJournal, 9)},
			Host: Host{"amd64", Known("6.18"), "linux", 2}, Method: MethodPhysical, Mode: ModeSequential,
			Medium:  Medium{UnknownAccess("a file"), Unknown[Container]("a file"), Unknown[Hardware]("a file"), Unknown[Health]("a file"), MediumFile, Unknown[int64]("a file"), Unknown[string]("a file"), Unknown[int64]("a file"), Known(false), 5},
			Options: Options{CompressionNone, []Algorithm{MD5}, 0, OnErrorRescue, true, 1, 0}, Reread: Reread{RereadDirect, true},
			Interruptions: []Interruption{{CauseUnknown, "reading", exampleTime(), 4, 2, 1, Unknown[Time]("killed")}},
			Tool:          Tool{Unknown[Digest]("no"), "exhibit", "1"},
		},
	}
}

func TestEncodeDecodeRoundTrip(t *testing.T) {
	var o Openings
	for _, p := range []Predicate{exampleOpened(), exampleSeized(&o), exampleAcquired(), exampleRescued(), exampleInPlace(), exampleTaken(), exampleCopied()} {
		first, err := Encode(p)
		if err != nil {
			t.Fatalf("Encode(%s): %v", p.Type(), err)
		}
		got, err := Decode(first)
		if err != nil {
			t.Fatalf("Decode(%s): %v", p.Type(), err)
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s: encoded again %s (%v), want %s", p.Type(), again, err, first)
		}
	}
}

// badAcquired are changes of one place in the example.
var badAcquired = map[string]struct {
	old, new string
	want     error
}{
	"unknown member":        {`{"acquisition":{`, `{"acquisition":{"aaa":1,`, ErrMalformed},
	"doubled member":        {`"format":"raw"`, `"format":"raw","format":"raw"`, ErrMalformed},
	"missing member":        {`"format":"raw",`, ``, ErrMalformed},
	"space":                 {`"format":"raw"`, `"format": "raw"`, ErrMalformed},
	"escaped":               {`"format":"raw"`, `"format":"\u0072aw"`, ErrMalformed},
	"case of member":        {`"format":"raw"`, `"Format":"raw"`, ErrMalformed},
	"number as text":        {`"sizeBytes":96`, `"sizeBytes":"96"`, ErrMalformed},
	"fraction":              {`"sizeBytes":96`, `"sizeBytes":96.0`, ErrMalformed},
	"null":                  {`"sizeBytes":96`, `"sizeBytes":null`, ErrMalformed},
	"negative size":         {`"sizeBytes":96`, `"sizeBytes":-96`, ErrMalformed},
	"size past 2^53":        {`"sizeBytes":96`, `"sizeBytes":9007199254740992`, ErrMalformed},
	"newer version":         {`/acquired/v1`, `/acquired/v2`, ErrNewer},
	"unknown type":          {`/acquired/v1`, `/laundered/v1`, ErrNewer},
	"foreign type":          {`https://github.com/exhibit-forensics/exhibit/acquired/v1`, `https://example.com/acquired/v1`, ErrMalformed},
	"other statement":       {`in-toto.io/Statement/v1`, `in-toto.io/Statement/v2`, ErrMalformed},
	"unknown format":        {`"format":"raw"`, `"format":"ex02"`, ErrNewer},
	"unread, sequential":    {`"unread":{"bytes":0,"ranges":0`, `"unread":{"bytes":5,"ranges":1`, ErrMalformed},
	"recovered, sequential": {`"recoveredBytes":0`, `"recoveredBytes":1`, ErrMalformed},
	"rescue without map":    {`"mode":"sequential"`, `"mode":"rescue"`, ErrMalformed},
	"unknown mode":          {`"mode":"sequential"`, `"mode":"guess"`, ErrNewer},
	"unknown compression":   {`"compression":"none"`, `"compression":"hard"`, ErrNewer},
	"compressed raw":        {`"compression":"none"`, `"compression":"fast"`, ErrMalformed},
	"in place without map":  {`"mode":"sequential"`, `"mode":"in-place"`, ErrMalformed},
	"rescued e01":           {`"format":"raw"`, `"format":"e01","mode":"rescue"`, ErrMalformed},
	"unknown on error":      {`"onError":"rescue"`, `"onError":"hope"`, ErrNewer},
	"unknown cause":         {`"cause":"unknown"`, `"cause":"ghost"`, ErrNewer},
	"safe past the end":     {`"safeBytes":4`, `"safeBytes":6`, ErrMalformed},
	"more differ":           {`"differing":1`, `"differing":3`, ErrMalformed},
	"digest from image":     {`"while-reading","digest":"sha256`, `"from-image","digest":"sha256`, ErrMalformed},
	"digest from nowhere":   {`"while-reading","digest":"sha256`, `"from-memory","digest":"sha256`, ErrNewer},
	"path in a file name":   {`"name":"7.tree"`, `"name":"../7.tree"`, ErrMalformed},
	"slash in a file name":  {`"name":"7.tree"`, `"name":"a/7.tree"`, ErrMalformed},
	"dot name":              {`"name":"7.tree"`, `"name":".tree"`, ErrMalformed},
	"doubled file":          {`"name":"7.tree"`, `"name":"7.RAW"`, ErrMalformed},
	"role order":            {`"role":"tree"`, `"role":"image"`, ErrMalformed},
	"image size":            {`"name":"7.raw","role":"image","sizeBytes":5`, `"name":"7.raw","role":"image","sizeBytes":6`, ErrMalformed},
	"subject name":          {`"name":"media"`, `"name":"medium"`, ErrMalformed},
	"subject digest":        {`"digest":{"blake3":"01`, `"digest":{"blake3":"02`, ErrMalformed},
	"upper-case digest":     {`"sha256:0202`, `"sha256:0A02`, ErrMalformed},
	"impossible id":         {`20261123T081500Z-1a2b3c4d`, `20261323T081500Z-1a2b3c4d`, ErrMalformed},
	"control character":     {`"exhibit":"7/a"`, `"exhibit":"7\n"`, ErrMalformed},
	"right-to-left":         {`"exhibit":"7/a"`, "\"exhibit\":\"7\u202ea\"", ErrMalformed},
	"commitment":            {`{"personal":"sha256:`, `{"personal":"blake3:`, ErrMalformed},
	"doubled attestation":   {`"attestations":[]`, `"attestations":["sha256:` + strings.Repeat("0", 64) + `","sha256:` + strings.Repeat("0", 64) + `"]`, ErrMalformed},
	"anchor not SHA-256":    {`"anchors":[]`, `"anchors":["blake3:` + strings.Repeat("0", 64) + `"]`, ErrMalformed},
	"anchor twice":          {`"anchors":[]`, `"anchors":["sha256:` + strings.Repeat("0", 64) + `","sha256:` + strings.Repeat("0", 64) + `"]`, ErrMalformed},
	"anchors out of order":  {`"anchors":[]`, `"anchors":["sha256:` + strings.Repeat("1", 64) + `","sha256:` + strings.Repeat("0", 64) + `"]`, ErrMalformed},
	"number without before": {`"number":2`, `"number":1`, ErrMalformed},
	"time":                  {`08:15:00.000Z"}`, `08:15:00Z"}`, ErrMalformed},
	"empty reason":          {`{"unknown":"a file"}`, `{"unknown":""}`, ErrMalformed},
	"re-read not done":      {`"matches":true`, `"matches":false`, ErrMalformed},
	"trailing":              {`}]}`, `}]} `, ErrMalformed},
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(exampleAcquired())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range badAcquired {
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

func exampleRescued() *Acquired {
	a := exampleAcquired()
	r := &a.Acquisition
	r.Mode, r.Unread = ModeRescue, Unread{Bytes: 3, Ranges: 2, RecoveredBytes: 1}
	r.Digests[1].Computed, r.Digests[2].Computed = ComputedFromImage, ComputedFromImage
	r.Files = slices.Insert(r.Files, 2, File{r.Files[0].Digests, "7.map", RoleMap, 77})
	return a
}

func TestValidateRescued(t *testing.T) {
	if err := exampleRescued().Validate(); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*Acquisition){
		"no map": func(a *Acquisition) { a.Files = slices.Delete(a.Files, 2, 3) },
		"two maps": func(a *Acquisition) {
			a.Files = slices.Insert(a.Files, 2, File{a.Files[0].Digests, "8.map", RoleMap, 1})
		},
		"digest while reading":    func(a *Acquisition) { a.Digests[2].Computed = ComputedWhileReading },
		"BLAKE3 from image":       func(a *Acquisition) { a.Digests[0].Computed = ComputedFromImage },
		"bytes without ranges":    func(a *Acquisition) { a.Unread.Ranges = 0 },
		"ranges without bytes":    func(a *Acquisition) { a.Unread.Bytes = 0 },
		"more ranges than bytes":  func(a *Acquisition) { a.Unread.Ranges = 4 },
		"more than the medium":    func(a *Acquisition) { a.Unread.Bytes = 6 },
		"more read than there is": func(a *Acquisition) { a.Unread.RecoveredBytes = 3 },
		"no re-read":              func(a *Acquisition) { a.Options.Reread, a.Reread = false, Reread{RereadNone, false} },
		"asked to stop":           func(a *Acquisition) { a.Options.OnError = OnErrorStop },
		"negative":                func(a *Acquisition) { a.Options.Retries = -1 },
		"too many interruptions":  func(a *Acquisition) { a.Interruptions = make([]Interruption, MaxInterruptions+1) },
	}
	for name, spoil := range tests {
		a := exampleRescued()
		spoil(&a.Acquisition)
		if err := a.Acquisition.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: Validate = %v, want ErrMalformed", name, err)
		}
	}
	a := exampleRescued()
	a.Circumstances.Resumptions = nil
	if err := a.Validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a resumption is missing: Validate = %v, want ErrMalformed", err)
	}
	a = exampleAcquired()
	a.Acquisition.Files = slices.Insert(a.Acquisition.Files, 2, File{a.Acquisition.Files[0].Digests, "7.map", RoleMap, 77})
	if err := a.Validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("a map in mode sequential: Validate = %v, want ErrMalformed", err)
	}
}

func exampleInPlace() *Acquired {
	a := exampleAcquired()
	r := &a.Acquisition
	r.Format, r.Mode, r.Unread = FormatE01, ModeInPlace, Unread{Bytes: 3, Ranges: 2}
	r.Options.Compression, r.Options.OnError = CompressionFast, OnErrorInPlace
	r.Files[0].Name, r.Files[0].SizeBytes = "7.E01", 1999 // an E01 is as long as it is
	r.Files = slices.Insert(r.Files, 1, File{r.Files[0].Digests, "7.E02", RoleImage, 1000})
	r.Files = slices.Insert(r.Files, 3, File{r.Files[0].Digests, "7.map", RoleMap, 77})
	return a
}

func TestValidateInPlace(t *testing.T) {
	if err := exampleInPlace().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Acquisition){
		"no map":            func(a *Acquisition) { a.Files = slices.Delete(a.Files, 3, 4) },
		"digest from image": func(a *Acquisition) { a.Digests[2].Computed = ComputedFromImage },
		"asked to rescue":   func(a *Acquisition) { a.Options.OnError = OnErrorRescue },
		"no image":          func(a *Acquisition) { a.Files = slices.Delete(a.Files, 0, 2) },
		"rescued into e01":  func(a *Acquisition) { a.Mode, a.Options.OnError = ModeRescue, OnErrorRescue },
	} {
		a := exampleInPlace()
		spoil(&a.Acquisition)
		if err := a.Acquisition.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: Validate = %v, want ErrMalformed", name, err)
		}
	}
}

// exampleTaken is a rescue that took over two of the medium's five bytes.
func exampleTaken() *Acquired {
	a := exampleRescued()
	r := &a.Acquisition
	r.Unread = Unread{Bytes: 1, Ranges: 1, RecoveredBytes: 1}
	r.TakenOver = []TakenOver{{Bytes: 3, Ranges: 2, Map: exampleDigest(SHA256, 9), Sampled: 2, Differing: 1}}
	r.Files = slices.Insert(r.Files, 3, File{r.Files[0].Digests, "7.taken", RoleTakenOver, 78})
	return a
}

func TestValidateTakenOver(t *testing.T) {
	good := exampleTaken()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if sums := string(Sums(good.Acquisition.Files, SHA256)); !strings.Contains(sums, "  7.map\n") || !strings.HasSuffix(sums, "  7.taken\n") {
		t.Errorf("SHA256SUMS is %q, want 7.map and 7.taken in it", sums)
	}
	for name, spoil := range map[string]func(*Acquisition){
		"no list":                 func(a *Acquisition) { a.Files = slices.Delete(a.Files, 3, 4) },
		"a list of nothing":       func(a *Acquisition) { a.TakenOver = nil },
		"two images":              func(a *Acquisition) { a.TakenOver = append(a.TakenOver, a.TakenOver[0]) },
		"no bytes":                func(a *Acquisition) { a.TakenOver[0].Bytes = 0 },
		"no ranges":               func(a *Acquisition) { a.TakenOver[0].Ranges = 0 },
		"more ranges than bytes":  func(a *Acquisition) { a.TakenOver[0].Ranges = 4 },
		"more than was read":      func(a *Acquisition) { a.TakenOver[0].Bytes = 4 },
		"more differ than looked": func(a *Acquisition) { a.TakenOver[0].Differing = 3 },
		"negative samples":        func(a *Acquisition) { a.TakenOver[0].Sampled, a.TakenOver[0].Differing = -1, -1 },
		"too many samples":        func(a *Acquisition) { a.TakenOver[0].Sampled = maxSampled + 1 },
		"BLAKE3 of the map":       func(a *Acquisition) { a.TakenOver[0].Map = exampleDigest(BLAKE3, 9) },
		"in order": func(a *Acquisition) {
			a.Mode, a.Unread = ModeSequential, Unread{}
			a.Digests[1].Computed, a.Digests[2].Computed = ComputedWhileReading, ComputedWhileReading
			a.Files = slices.Delete(a.Files, 2, 3)
		},
	} {
		a := exampleTaken()
		spoil(&a.Acquisition)
		if err := a.Acquisition.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: Validate = %v, want ErrMalformed", name, err)
		}
	}
}

// A flipped bit in any byte is refused, or it is another statement that encodes to those very bytes.
func TestDecodeEveryByte(t *testing.T) {
	for _, p := range []Predicate{exampleOpened(), exampleAcquired(), exampleRescued(), exampleTaken(), exampleCopied()} {
		good, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if q, err := Decode(bad); err == nil {
				again, err := Encode(q)
				if err != nil || !bytes.Equal(again, bad) {
					t.Fatalf("byte %d: accepted %s but encodes as %s (%v)", i, bad, again, err)
				}
			}
		}
	}
}

func TestValidateOpened(t *testing.T) {
	tests := map[string]func(*CaseOpened){
		"empty agency":            func(c *CaseOpened) { c.Agency = "" },
		"continues nothing":       func(c *CaseOpened) { c.Continues = &Continuation{} },
		"continues no log":        func(c *CaseOpened) { c.Continues = exampleContinuation(); c.Continues.Origin = "x" },
		"continues size 0":        func(c *CaseOpened) { c.Continues = exampleContinuation(); c.Continues.Size = 0 },
		"continues a counter < 0": func(c *CaseOpened) { c.Continues = exampleContinuation(); c.Continues.Counter = Known[int64](-1) },
		"counter without a key":   func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.AttestationKey = nil },
		"counter with a long key": func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.AttestationKey = make([]byte, 200) },
		"counter below zero":      func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.First = -1 },
		"counter too large":       func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.First = MaxInteger + 1 },
		"counter's handle":        func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.Handle = 1 << 32 },
		"counter's Name":          func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.Name = "000B" + c.Counter.Name[4:] },
		"counter's short parent":  func(c *CaseOpened) { c.Counter = exampleCounter(); c.Counter.Parent = "000b" },
		"nonce":                   func(c *CaseOpened) { c.Nonce = strings.ToUpper(c.Nonce) },
		"origin":                  func(c *CaseOpened) { c.Origin = "example.com" },
		"one log key":             func(c *CaseOpened) { c.LogKeys = c.LogKeys[:1] },
		"log keys swapped":        func(c *CaseOpened) { c.LogKeys[0], c.LogKeys[1] = c.LogKeys[1], c.LogKeys[0] },
		"no signer":               func(c *CaseOpened) { c.Signers = nil },
		"signer is log key":       func(c *CaseOpened) { c.Signers[0].PublicKey = c.LogKeys[0].PublicKey },
		"no events":               func(c *CaseOpened) { c.Signers[0].Events = nil },
		"unknown event":           func(c *CaseOpened) { c.Signers[0].Events = []Type{"laundered"} },
		"kind":                    func(c *CaseOpened) { c.Signers[0].Kind = "log" },
		"fact left out":           func(c *CaseOpened) { c.OpenedBy = Fact[Personal]{} },
	}
	for name, spoil := range tests {
		c := exampleOpened()
		spoil(c)
		if b, err := Encode(c); err == nil {
			t.Errorf("%s: Encode gave %s, want an error", name, b)
		}
	}
	if s := exampleOpened().Signers[0]; !s.MaySign(TypeSeized) || !s.MaySign(TypeAnchored) || s.MaySign(TypeKeysChanged) {
		t.Error("MaySign does not follow the events")
	}
}

func TestOpenings(t *testing.T) {
	var o Openings
	payload, err := Encode(exampleSeized(&o))
	if err != nil {
		t.Fatal(err)
	}
	if closed, err := o.Check(payload); closed != 0 || err != nil {
		t.Errorf("Check = %d, %v; want 0, nil", closed, err)
	}
	if closed, err := (Openings{}).Check(payload); closed != 1 || err != nil {
		t.Errorf("Check of none = %d, %v; want 1, nil", closed, err)
	}
	file, err := o.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeOpenings(file)
	if v, ok := back.Value("/seizure/description"); err != nil || !ok || v != "laptop, black" {
		t.Errorf("DecodeOpenings gave %q, %t, %v", v, ok, err)
	}
	for name, spoil := range map[string]func(*Opening){
		"value": func(op *Opening) { op.Value = "laptop, white" },
		"salt":  func(op *Opening) { op.Salt = strings.Repeat("0", 32) },
		"path":  func(op *Opening) { op.Path = "/seizure/place" },
	} {
		bad := Openings{o[0]}
		spoil(&bad[0])
		if _, err := bad.Check(payload); !errors.Is(err, ErrOpening) {
			t.Errorf("%s: Check = %v, want ErrOpening", name, err)
		}
	}
	if bytes.Contains(payload, []byte("laptop")) {
		t.Error("the payload holds a personal value")
	}
	if _, err := o.Commit(fixedRandom(), "/seizure/description", "x"); err == nil {
		t.Error("a path was committed twice")
	}
}

func TestTypedFilesTellNewerFromDamaged(t *testing.T) {
	for text, want := range map[string]error{
		`{"openings":[],"type":"exhibit-openings/v1"}`:          nil,
		`{"openings":[],"type":"exhibit-openings/v2"}`:          ErrNewer,
		`{"more":1,"openings":[],"type":"exhibit-openings/v2"}`: ErrNewer,
		`{"more":1,"openings":[],"type":"exhibit-openings/v1"}`: ErrMalformed,
		`{"openings":[],"type":"exhibit-trust/v1"}`:             ErrMalformed,
		`{"openings":[],"type":""}`:                             ErrMalformed,
		`{"openings":[]}`:                                       ErrMalformed,
		`{"openings":[],"type":"exhibit-openings/v2"`:           ErrMalformed,
		`{"type":"exhibit-openings/v2","type":"x"}`:             ErrMalformed,
	} {
		_, err := DecodeOpenings([]byte(text))
		if !errors.Is(err, want) || errors.Is(want, ErrMalformed) && errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestCommitmentVector(t *testing.T) {
	op := Opening{Path: "/a", Salt: "000102030405060708090a0b0c0d0e0f", Value: "ä"}
	got, err := op.commitment()
	// printf '["exhibit-personal-v1","/a","000102030405060708090a0b0c0d0e0f","ä"]' | sha256sum
	const want = "sha256:27038c144de38efe478d42f86f6a33f9746d0b0cccc639df4c4badf470a93e06"
	if err != nil || got.String() != want {
		t.Errorf("commitment = %v, %v; want %s", got, err, want)
	}
}

func TestDigestText(t *testing.T) {
	for alg := range maps.Keys(digestBytes) {
		d := exampleDigest(alg, 0xab)
		if back, err := ParseDigest(d.String()); err != nil || back != d {
			t.Errorf("ParseDigest(%s) = %v, %v", d, back, err)
		}
	}
	for _, bad := range []string{"", ":", "sha256", "sha256:", "sha256:AB", "sha3:" + strings.Repeat("0", 64), "none",
		"sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("0", 63), "md5:" + strings.Repeat("0", 64)} {
		if d, err := ParseDigest(bad); !errors.Is(err, ErrDigest) || !d.IsZero() {
			t.Errorf("ParseDigest(%q) = %v, %v; want ErrDigest", bad, d, err)
		}
	}
	if _, err := (Digest{}).MarshalText(); err == nil {
		t.Error("the zero digest was encoded")
	}
}

func TestTimeRefuses(t *testing.T) {
	good := exampleTime()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []func(*Time){
		func(x *Time) { x.Clock = "sundial" },
		func(x *Time) { x.OffsetMinutes = 1440 },
		func(x *Time) { x.UTC = "2026-11-23T08:15:00Z" },
		func(x *Time) { x.UTC = "2026-11-31T08:15:00.000Z" },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Validate(); !errors.Is(err, ErrMalformed) {
			t.Errorf("case %d: Validate = %v, want ErrMalformed", i, err)
		}
	}
}
