package sign

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const (
	origin      = "abcdefghijklmnopqrstuvwxyz.exhibit.invalid"
	otherOrigin = "zyxwvutsrqponmlkjihgfedcba.exhibit.invalid"
	noteText    = origin + "\n3\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
)

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newLogSigner(t testing.TB) LogSigner {
	t.Helper()
	s, err := NewSoftwareLogSigner(newECDSA(t, elliptic.P256()), newEd25519(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keysOf returns the log keys as the genesis gives them.
func keysOf(s LogSigner) []record.LogKey {
	k := s.Keys()
	return k[:]
}

func mustSign(t testing.TB, s LogSigner, origin, text string) string {
	t.Helper()
	n, err := s.Sign(origin, text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNoteRoundTrip(t *testing.T) {
	s := newLogSigner(t)
	n := mustSign(t, s, origin, noteText)
	text, err := OpenNote([]byte(n), origin, keysOf(s))
	if err != nil || text != noteText {
		t.Errorf("OpenNote = %q, %v; want %q", text, err, noteText)
	}
	if got, want := strings.Count(n, "\n— "+origin+" "), 2; got != want || !strings.HasPrefix(n, noteText+"\n— ") {
		t.Errorf("the note has %d lines, want %d:\n%s", got, want, n)
	}
}

// The verifiers of the transparency community read our lines.
func TestNoteLinesElsewhere(t *testing.T) {
	s, err := NewSoftwareLogSigner(rfcKey(t), newEd25519(t))
	if err != nil {
		t.Fatal(err)
	}
	// SHA-256 of the DER begins with 5a7a78cc, which is also the start of the key id.
	der, err := base64.StdEncoding.DecodeString(rfcPublic)
	if err != nil {
		t.Fatal(err)
	}
	first, err := formats.NewVerifier(origin + "+5a7a78cc+" + base64.StdEncoding.EncodeToString(append([]byte{2}, der...)))
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := base64.StdEncoding.DecodeString(s.Keys()[1].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.NewEd25519VerifierKey(origin, edDER[12:])
	if err != nil {
		t.Fatal(err)
	}
	second, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	signed := []byte(mustSign(t, s, origin, noteText))
	for i, v := range []note.Verifier{first, second} {
		n, err := note.Open(signed, note.VerifierList(v))
		if err != nil || n.Text != noteText || len(n.Sigs) != 1 {
			t.Errorf("line %d: note.Open = %v, %v; want one line verified", i, n, err)
		}
	}
	ours, err := LogVerifiers(origin, keysOf(s))
	if err != nil || len(ours) != 2 || ours[0].KeyHash() != 0x5a7a78cc || ours[1].KeyHash() != second.KeyHash() {
		t.Errorf("LogVerifiers = %v, %v; want the hashes 5a7a78cc and %08x", ours, err, second.KeyHash())
	}
}

// lines splits a note into its text with the empty line, and its signature lines.
func lines(t testing.TB, n string) (text string, sigs []string) {
	t.Helper()
	i := strings.LastIndex(n, "\n\n") + 2
	sigs = strings.SplitAfter(strings.TrimSuffix(n[i:], "\n"), "\n")
	if len(sigs) != 2 {
		t.Fatalf("a note of %d lines", len(sigs))
	}
	sigs[1] += "\n"
	return n[:i], sigs
}

// strayBit writes the last base64 digit of a line differently, without changing the bytes it stands for.
func strayBit(t testing.TB, line string) string {
	t.Helper()
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := strings.IndexByte(line, '=') - 1
	if i < 0 {
		t.Fatalf("no padding in %q", line)
	}
	return line[:i] + string(digits[strings.IndexByte(digits, line[i])|1]) + line[i+1:]
}

func TestOpenNoteRefuses(t *testing.T) {
	s, stranger := newLogSigner(t), newLogSigner(t)
	good := mustSign(t, s, origin, noteText)
	text, sig := lines(t, good)
	_, strange := lines(t, mustSign(t, stranger, origin, noteText))
	_, moved := lines(t, mustSign(t, s, otherOrigin, otherOrigin+strings.TrimPrefix(noteText, origin)))
	renamed := strings.ReplaceAll(moved[0]+moved[1], "— "+otherOrigin, "— "+origin)
	_, older := lines(t, mustSign(t, s, origin, strings.Replace(noteText, "\n3\n", "\n2\n", 1)))
	if text+sig[0]+sig[1] != good {
		t.Fatal("the cases below would test nothing")
	}
	for name, test := range map[string]struct {
		note string
		want error
	}{
		"empty":                  {"", record.ErrMalformed},
		"text only":              {text, record.ErrMalformed},
		"no lines":               {strings.TrimSuffix(text, "\n"), record.ErrMalformed},
		"ECDSA line stripped":    {text + sig[1], record.ErrMalformed},
		"Ed25519 line stripped":  {text + sig[0], record.ErrMalformed},
		"lines swapped":          {text + sig[1] + sig[0], record.ErrMalformed},
		"ECDSA line doubled":     {text + sig[0] + sig[0] + sig[1], record.ErrMalformed},
		"Ed25519 line doubled":   {text + sig[0] + sig[1] + sig[1], record.ErrMalformed},
		"ECDSA line twice":       {text + sig[0] + sig[0], record.ErrMalformed},
		"stranger's line last":   {good + strange[0], record.ErrMalformed},
		"stranger's line first":  {text + strange[1] + sig[0] + sig[1], record.ErrMalformed},
		"stranger's line inside": {text + sig[0] + strange[1] + sig[1], record.ErrMalformed},
		"stranger's ECDSA":       {text + strange[0] + sig[1], record.ErrMalformed},
		"stranger's Ed25519":     {text + sig[0] + strange[1], record.ErrMalformed},
		"both of a stranger":     {text + strange[0] + strange[1], ErrSignature},
		"ECDSA of other text":    {text + older[0] + sig[1], ErrSignature},
		"Ed25519 of other text":  {text + sig[0] + older[1], ErrSignature},
		"other text":             {strings.Replace(good, "\n3\n", "\n4\n", 1), ErrSignature},
		"other origin's lines":   {text + moved[0] + moved[1], ErrSignature},
		"those, renamed":         {text + renamed, ErrSignature},
		"stray bits":             {text + sig[0] + strayBit(t, sig[1]), record.ErrMalformed},
		"hyphen for dash":        {strings.Replace(good, "— ", "- ", 1), record.ErrMalformed},
		"two spaces":             {strings.Replace(good, "— ", "—  ", 1), record.ErrMalformed},
		"carriage returns":       {strings.ReplaceAll(good, "\n", "\r\n"), record.ErrMalformed},
		"no final newline":       {strings.TrimSuffix(good, "\n"), record.ErrMalformed},
		"empty line at the end":  {good + "\n", record.ErrMalformed},
		"second note":            {good + good, ErrSignature},
		"too large":              {good + strings.Repeat(strange[0], layout.MaxCheckpoint/len(strange[0])), record.ErrMalformed},
	} {
		if got, err := OpenNote([]byte(test.note), origin, keysOf(s)); !errors.Is(err, test.want) || got != "" {
			t.Errorf("%s: OpenNote = %q, %v; want %v", name, got, err, test.want)
		}
	}
	if got, err := OpenNote([]byte(good), otherOrigin, keysOf(s)); !errors.Is(err, ErrSignature) || got != "" {
		t.Errorf("asked for another origin: OpenNote = %q, %v; want ErrSignature", got, err)
	}
	if got, err := OpenNote([]byte(good), origin, keysOf(stranger)); !errors.Is(err, ErrSignature) || got != "" {
		t.Errorf("another log's keys: OpenNote = %q, %v; want ErrSignature", got, err)
	}
}

// The second spelling of the ECDSA line, which anybody can make without the key.
func TestTwinSignatureOfANote(t *testing.T) {
	s := newLogSigner(t)
	text, sigs := lines(t, mustSign(t, s, origin, noteText))
	prefix := "— " + origin + " "
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.TrimPrefix(sigs[0], prefix)))
	if err != nil {
		t.Fatal(err)
	}
	twins := prefix + base64.StdEncoding.EncodeToString(append(raw[:4:4], twin(t, raw[4:])...)) + "\n"
	if got, err := OpenNote([]byte(text+twins+sigs[1]), origin, keysOf(s)); !errors.Is(err, ErrSignature) || got != "" {
		t.Errorf("OpenNote = %q, %v; want ErrSignature", got, err)
	}
}

func TestLogSecret(t *testing.T) {
	ed := newEd25519(t)
	s, err := NewSoftwareLogSigner(newECDSA(t, elliptic.P256()), ed)
	if err != nil {
		t.Fatal(err)
	}
	secret := func(s LogSigner, origin, purpose string) string {
		b, err := s.Secret(origin, purpose)
		if err != nil || len(b) != 32 {
			t.Fatalf("Secret = %x, %v; want 32 bytes", b, err)
		}
		return string(b)
	}
	first := secret(s, origin, "p")
	want := sha256.Sum256(ed25519.Sign(ed, []byte("exhibit-secret-v1\np\n"+origin+"\n")))
	if first != string(want[:]) || first != secret(s, origin, "p") {
		t.Errorf("Secret = %x, want each time %x", first, want)
	}
	for name, other := range map[string]string{
		"another origin": secret(s, otherOrigin, "p"), "another purpose": secret(s, origin, "q"), "another key": secret(newLogSigner(t), origin, "p"),
	} {
		if other == first {
			t.Errorf("%s has the same secret", name)
		}
	}
	// What it is made of is never signed as a checkpoint.
	if n, err := s.Sign("exhibit-secret-v1", "exhibit-secret-v1\np\n"+origin+"\n"); !errors.Is(err, record.ErrMalformed) || n != "" {
		t.Errorf("Sign = %q, %v; want ErrMalformed", n, err)
	}
	if n, err := s.Sign(origin, "exhibit-secret-v1\np\n"+origin+"\n"); !errors.Is(err, record.ErrMalformed) || n != "" {
		t.Errorf("Sign = %q, %v; want ErrMalformed", n, err)
	}
}

// Lines in the right name under a text that is no checkpoint of that log: validly signed, and still refused.
func TestOpenNoteOfAnotherText(t *testing.T) {
	s, ok := newLogSigner(t).(*logSigner)
	if !ok {
		t.Fatal("not a *logSigner")
	}
	verifiers, err := LogVerifiers(origin, s.keys[:])
	if err != nil {
		t.Fatal(err)
	}
	ed := func(m []byte) ([]byte, error) { return s.ed25519.SignMessage(bytes.NewReader(m)) }
	for _, text := range []string{otherOrigin + "\n3\nAAAA\n", "\n" + noteText, origin + " \n3\n", "\n"} {
		b, err := note.Sign(&note.Note{Text: text}, noteSigner{verifiers[0], s.ecdsa.Sign}, noteSigner{verifiers[1], ed})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OpenNote(b, origin, s.keys[:]); !errors.Is(err, record.ErrMalformed) || got != "" {
			t.Errorf("OpenNote(%q) = %q, %v; want ErrMalformed", b, got, err)
		}
	}
}

func TestEveryFlippedBitOfANote(t *testing.T) {
	s := newLogSigner(t)
	good := []byte(mustSign(t, s, origin, noteText))
	for i := range len(good) * 8 {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		if text, err := OpenNote(b, origin, keysOf(s)); err == nil || text != "" {
			t.Errorf("bit %d of byte %d flipped: OpenNote = %q, %v", i%8, i/8, text, err)
		}
	}
}

func TestLogVerifiersRefuse(t *testing.T) {
	s := newLogSigner(t)
	k := keysOf(s)
	ed384 := base64.StdEncoding.EncodeToString(spki(t, newECDSA(t, elliptic.P384()).Public()))
	with := func(i int, key string) []record.LogKey {
		c := slices.Clone(k)
		c[i].PublicKey = key
		return c
	}
	good := []byte(mustSign(t, s, origin, noteText))
	for name, test := range map[string]struct {
		origin string
		keys   []record.LogKey
	}{
		"no keys": {origin, nil}, "ECDSA only": {origin, k[:1]}, "Ed25519 only": {origin, k[1:]}, "swapped": {origin, []record.LogKey{k[1], k[0]}},
		"three": {origin, append(slices.Clone(k), k[0])}, "twice ECDSA": {origin, []record.LogKey{k[0], k[0]}},
		"unknown line":     {origin, []record.LogKey{k[0], {Line: "ml-dsa-44", PublicKey: k[1].PublicKey}}},
		"P-384":            {origin, with(0, ed384)},
		"Ed25519 as ECDSA": {origin, with(0, k[1].PublicKey)}, "ECDSA as Ed25519": {origin, with(1, k[0].PublicKey)},
		"no ECDSA key": {origin, with(0, "")}, "no Ed25519 key": {origin, with(1, "")},
		"Ed25519 key of another algorithm": {origin, with(1, base64.StdEncoding.EncodeToString(mustHex(t, "302a300506032b656e032100"+strings.Repeat("09", 32))))},
		"Ed25519 key with line break":      {origin, with(1, k[1].PublicKey[:59]+"\n")},
		"no origin":                        {"", k}, "origin with plus": {"a+b", k}, "origin with space": {"a b", k}, "origin in capitals": {strings.ToUpper(origin), k},
	} {
		if v, err := LogVerifiers(test.origin, test.keys); !errors.Is(err, record.ErrMalformed) || v != nil {
			t.Errorf("%s: LogVerifiers = %v, %v; want ErrMalformed", name, v, err)
		}
		if text, err := OpenNote(good, test.origin, test.keys); !errors.Is(err, record.ErrMalformed) || text != "" {
			t.Errorf("%s: OpenNote = %q, %v; want ErrMalformed", name, text, err)
		}
	}
}

func TestLogSignerRefuses(t *testing.T) {
	s := newLogSigner(t)
	for name, test := range map[string]struct{ origin, text string }{
		"no text": {origin, ""}, "no final newline": {origin, origin + "\n3"}, "other origin": {origin, otherOrigin + "\n3\n"},
		"statement": {origin, "DSSEv1 28 application/vnd.in-toto+json 2 {}\n"}, "control character": {origin, origin + "\n\x01\n"},
		"not UTF-8": {origin, origin + "\n\xff\n"}, "no origin": {"", "\n3\n"}, "bad origin": {"example.com", "example.com\n3\n"},
		"too large": {origin, origin + "\n" + strings.Repeat("x", layout.MaxCheckpoint) + "\n"},
	} {
		if n, err := s.Sign(test.origin, test.text); err == nil || n != "" {
			t.Errorf("%s: Sign = %q, %v; want an error", name, n, err)
		}
	}
}

func TestLogSignerChecksWhatItSigns(t *testing.T) {
	ecdsaSV := loadECDSA(t, newECDSA(t, elliptic.P256()), crypto.SHA256)
	edSV, err := signature.LoadED25519SignerVerifier(newEd25519(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]signature.SignerVerifier{
		"ECDSA": {faulty{ecdsaSV, flipLast}, edSV}, "Ed25519": {ecdsaSV, faulty{edSV, flipLast}},
		"other hash": {loadECDSA(t, newECDSA(t, elliptic.P256()), crypto.SHA512), edSV},
	} {
		s, err := NewLogSigner(pair[0], pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Sign(origin, noteText); !errors.Is(err, ErrSignature) || n != "" {
			t.Errorf("%s: Sign = %q, %v; want ErrSignature", name, n, err)
		}
	}
	for name, pair := range map[string][2]signature.SignerVerifier{"swapped": {edSV, ecdsaSV}, "twice ECDSA": {ecdsaSV, ecdsaSV}, "twice Ed25519": {edSV, edSV}} {
		if s, err := NewLogSigner(pair[0], pair[1]); !errors.Is(err, record.ErrMalformed) || s != nil {
			t.Errorf("%s: NewLogSigner = %v, %v; want ErrMalformed", name, s, err)
		}
	}
	if s, err := NewSoftwareLogSigner(newECDSA(t, elliptic.P256()), nil); err == nil || s != nil {
		t.Errorf("no Ed25519 key: %v, %v; want an error", s, err)
	}
}

func FuzzOpenNote(f *testing.F) {
	ed := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	s, err := NewSoftwareLogSigner(rfcKey(f), ed)
	if err != nil {
		f.Fatal(err)
	}
	keys := keysOf(s)
	// A corpus outlives the process, so the accepted note must be the same in every run.
	good := fixedNote(f, s)
	text, sig := lines(f, good)
	for _, n := range []string{good, "", text + sig[1] + sig[0], text + sig[0], good + sig[0], text + sig[0] + strayBit(f, sig[1])} {
		f.Add([]byte(n))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := OpenNote(b, origin, keys)
		if err != nil {
			if text != "" || !errors.Is(err, record.ErrMalformed) && !errors.Is(err, ErrSignature) {
				t.Fatalf("%q and the error %v", text, err)
			}
			return
		}
		// Nobody signed anything else.
		if string(b) != good || text != noteText {
			t.Fatalf("accepted %q as %q", b, text)
		}
	})
}

// fixedNote is the note of noteText whose ECDSA line is the deterministic one of RFC 6979.
func fixedNote(t testing.TB, s LogSigner) string {
	t.Helper()
	ls, ok := s.(*logSigner)
	if !ok {
		t.Fatal("not a *logSigner")
	}
	edSig, err := ls.ed25519.SignMessage(strings.NewReader(noteText))
	if err != nil {
		t.Fatal(err)
	}
	verifiers, err := LogVerifiers(origin, keysOf(s))
	if err != nil {
		t.Fatal(err)
	}
	out := noteText + "\n"
	for i, sig := range [][]byte{mustHex(t, fixedNoteECDSA), edSig} {
		hash := binary.BigEndian.AppendUint32(nil, verifiers[i].KeyHash())
		out += "— " + origin + " " + base64.StdEncoding.EncodeToString(append(hash, sig...)) + "\n"
	}
	if _, err := OpenNote([]byte(out), origin, keysOf(s)); err != nil {
		t.Fatal(err)
	}
	return out
}

// fixedNoteECDSA is a signature of noteText by the key of RFC 6979, made with Python; s is the smaller of the two.
const fixedNoteECDSA = "3045022100e71565e814a03a7dea842b9663378b06185490ea52f668c6ee4f9b083a61248a02200ed9267dc9eb7682649778415955c5d0b9acad07ffc60419de8591e53b30813f"
