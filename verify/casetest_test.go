package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// A forge makes case folders in memory, sound ones and, with the right keys, ones that no honest program makes. The log
// is written here from docs/format.md, apart from package ledger, so that the two are held against each other.
type forge struct {
	t       testing.TB
	person  sign.Signer
	second  sign.Signer // another person's
	station sign.Signer
	log     sign.LogSigner
	origin  string
	genesis *record.CaseOpened

	tpm        *softTPM  // nil: the log has no counter
	enrolled   authority // of its keys; zero: none
	stationKey *ecdsa.PrivateKey
	logKey     *ecdsa.PrivateKey

	changes     []record.KeysRef // of the keys
	oldLog      sign.LogSigner   // that signs the next checkpoint, before log; nil: none does
	quotes      []record.Digest  // that the next event names
	files       fileSet
	envelopes   [][]byte
	entries     [][]byte
	leaves      [][32]byte
	checkpoints map[int64][]byte
	previous    map[string]last
	sealed      []sealedFolder
}

type fileSet map[string][]byte

type last struct {
	number int64
	leaf   record.LeafHash
}

type sealedFolder struct {
	dir   string
	index int64
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newSigner() sign.Signer { return must(sign.NewSoftwareSigner(newKey())) }

func certificateOf(key *ecdsa.PrivateKey) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: trustDay, NotAfter: trustDay.AddDate(9, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

var testTime = record.NewTime(time.Date(2026, 11, 23, 9, 15, 0, 0, time.UTC), record.ClockSystem, record.Known(true))

// personEvents are all events but those about images, sorted.
func personEvents() []record.Type {
	return slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(record.EventTypes), func(t record.Type) bool {
		return t == record.TypeAcquired || t == record.TypeCopied
	})))
}

// newForge opens a case: two persons may sign every event but those about images, which the station may.
func newForge(t testing.TB) *forge { return newForgeWith(t, nil) }

func newForgeWith(t testing.TB, device *softTPM) *forge {
	f := &forge{t: t, tpm: device, logKey: newKey(), files: fileSet{}, checkpoints: map[int64][]byte{}, previous: map[string]last{}}
	personKey, secondKey, stationKey := newKey(), newKey(), newKey()
	f.second = must(sign.NewSoftwareSigner(secondKey))
	f.person, f.station = must(sign.NewSoftwareSigner(personKey)), must(sign.NewSoftwareSigner(stationKey))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	f.stationKey = stationKey
	f.log = must(sign.NewSoftwareLogSigner(f.logKey, must(ed, err)))
	f.origin = must(layout.NewOrigin(rand.Reader))
	var nonce [32]byte
	must(rand.Read(nonce[:]))
	var openings record.Openings
	commit := func(path, value string) record.Fact[record.Personal] {
		return must(openings.CommitFact(rand.Reader, path, value, "not given"))
	}
	keys := f.log.Keys()
	f.genesis = &record.CaseOpened{Agency: "Example Police", Case: "2026-001", LogKeys: keys[:], Nonce: hex.EncodeToString(nonce[:]),
		OpenedBy: commit("/openedBy", "A. Muster"), Origin: f.origin, Time: testTime, Signers: []record.Signer{
			{Events: personEvents(), Holder: commit("/signers/0/holder", "A. Muster"), Kind: record.KindPerson, PublicKey: f.person.PublicKey().Base64()},
			{Events: []record.Type{record.TypeAcquired, record.TypeCopied}, Holder: commit("/signers/1/holder", ""), Kind: record.KindStation, PublicKey: f.station.PublicKey().Base64()},
			{Events: personEvents(), Holder: commit("/signers/2/holder", ""), Kind: record.KindPerson, PublicKey: f.second.PublicKey().Base64()},
		}}
	if device != nil {
		f.genesis.Counter = device.counter()
	}
	f.files[layout.KeyFile(f.second.PublicKey().KeyID())] = certificateOf(secondKey)
	f.files[layout.KeyFile(f.person.PublicKey().KeyID())] = certificateOf(personKey)
	f.files[layout.KeyFile(f.station.PublicKey().KeyID())] = certificateOf(stationKey)
	f.append(f.person, must(record.Encode(f.genesis)), openings)
	f.publish()
	return f
}

// append seals payload and puts it at the log's end, whatever it says.
func (f *forge) append(by sign.Signer, payload []byte, openings record.Openings) record.LeafHash {
	envelope := must(sign.Seal(by, payload))
	return f.appendEnvelope(envelope, by, openings)
}

func (f *forge) appendEnvelope(envelope []byte, by sign.Signer, openings record.Openings) record.LeafHash {
	entry := must(must(sign.ParseEnvelope(envelope)).Entry(by.PublicKey()))
	leaf := sha256.Sum256(append([]byte{0}, entry...))
	i := int64(len(f.entries))
	f.envelopes, f.entries, f.leaves = append(f.envelopes, envelope), append(f.entries, entry), append(f.leaves, leaf)
	f.put(layout.StatementFile(i), envelope)
	if len(openings) > 0 {
		f.put(layout.PersonalFile(i), must(openings.Encode()))
	}
	return leaf
}

func (f *forge) put(name string, b []byte) { f.files[layout.LogDir(f.origin)+"/"+name] = b }

// mth is the Merkle tree hash of RFC 6962, as it stands there.
func mth(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	return node(mth(leaves[:k]), mth(leaves[k:]))
}

func node(l, r [32]byte) [32]byte { return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:])) }

// path is the inclusion proof of leaf i.
func auditPath(leaves [][32]byte, i int) [][32]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	if i < k {
		return append(auditPath(leaves[:k], i), mth(leaves[k:]))
	}
	return append(auditPath(leaves[k:], i-k), mth(leaves[:k]))
}

// publish signs a checkpoint over everything so far.
func (f *forge) publish() {
	size := int64(len(f.leaves))
	root := mth(f.leaves)
	text := fmt.Sprintf("%s\n%d\n%s\n", f.origin, size, base64.StdEncoding.EncodeToString(root[:]))
	note := must(f.log.Sign(f.origin, text))
	if f.oldLog != nil {
		note = must(f.oldLog.Sign(f.origin, text)) + strings.TrimPrefix(note, text+"\n")
		f.oldLog = nil
	}
	f.checkpoints[size] = []byte(note)
	if f.tpm != nil {
		f.put(layout.AttestFile(size), f.tpm.certify(text))
	}
	f.quotes = nil
}

// header is what an honest program puts before an event.
func (f *forge) header(exhibit string) record.Header {
	h := record.Header{Exhibit: exhibit, Time: testTime, Number: f.previous[exhibit].number + 1,
		Log: record.LogState{Anchors: []record.Digest{}, Attestations: []record.Digest{}, Origin: f.origin}}
	if h.Number > 1 {
		leaf := f.previous[exhibit].leaf
		h.Previous = &leaf
	}
	for size, cp := range f.checkpoints {
		if size > h.Log.Size {
			h.Log.Size, h.Log.Checkpoint = size, record.SHA256Digest(sha256.Sum256(cp))
			if f.tpm != nil {
				h.Log.Attestations = []record.Digest{record.SHA256Digest(sha256.Sum256(f.files[logFile(f, layout.AttestFile(size))]))}
			}
		}
	}
	if n := len(f.changes); n > 0 {
		ref := f.changes[n-1]
		h.Log.Keys = &ref
	}
	h.Log.Attestations = append(h.Log.Attestations, f.quotes...)
	slices.SortFunc(h.Log.Attestations, func(a, b record.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	return h
}

func (f *forge) event(by sign.Signer, e record.Event, openings record.Openings) int64 {
	leaf := f.append(by, must(record.Encode(e)), openings)
	f.previous[e.Header().Exhibit] = last{e.Header().Number, leaf}
	return int64(len(f.leaves)) - 1
}

func (f *forge) newSeized(exhibit string) (*record.Seized, record.Openings) {
	var o record.Openings
	s := record.NewSeized(exhibit, testTime, "not given")
	s.Event = f.header(exhibit)
	s.Seizure.Description = must(o.Commit(rand.Reader, "/seizure/description", "laptop, black"))
	return s, o
}

func (f *forge) seize(exhibit string) {
	e, o := f.newSeized(exhibit)
	f.event(f.person, e, o)
	f.publish()
}

func digests(b []byte) []record.Digest {
	return []record.Digest{record.BLAKE3Digest(blake3.Sum256(b)), record.SHA256Digest(sha256.Sum256(b))}
}

// growing is a hashtree.Storage in memory.
type growing struct{ b []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.b).ReadAt(p, off)
}

func (g *growing) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(g.b) {
		g.b = append(g.b, make([]byte, end-len(g.b))...)
	}
	return copy(g.b[off:], p), nil
}

// treeOf makes the tree file of data.
func treeOf(data []byte) []byte {
	var s growing
	w := hashtree.NewWriter(&s)
	if len(data) <= hashtree.GroupSize {
		must(0, w.Put(0, hashtree.Root(data)))
	}
	for g := int64(0); len(data) > hashtree.GroupSize && g < hashtree.Groups(int64(len(data))); g++ {
		from := g * hashtree.GroupSize
		must(0, w.Put(g, hashtree.Sum(data[from:min(from+hashtree.GroupSize, int64(len(data)))], g)))
	}
	must(w.Finish(int64(len(data))))
	return s.b
}

// image is the content of a folder, before it is signed.
type forgedImage struct {
	names []string
	files fileSet
	acq   record.Acquisition
}

// newImage makes the files of an acquisition of data; cut is the size of a segment, 0 for one file.
func newImage(name, id string, data []byte, cut int) forgedImage {
	m := forgedImage{files: fileSet{}}
	a := &m.acq
	file := func(n, role string, b []byte) {
		m.names, m.files[n] = append(m.names, n), b
		a.Files = append(a.Files, record.File{Name: n, Role: role, SizeBytes: int64(len(b)), Digests: digests(b)})
	}
	if cut == 0 {
		file(name+".raw", record.RoleImage, data)
	}
	for i := 0; cut > 0 && i*cut < max(1, len(data)); i++ {
		file(layout.SegmentName(name, i, true), record.RoleImage, data[i*cut:min((i+1)*cut, len(data))])
	}
	file(name+".tree", record.RoleTree, treeOf(data))
	var sha, b3 strings.Builder
	for _, n := range m.names {
		d := digests(m.files[n])
		fmt.Fprintf(&b3, "%s  %s\n", d[0].Hex(), n)
		fmt.Fprintf(&sha, "%s  %s\n", d[1].Hex(), n)
	}
	file(layout.SHA256Sums, record.RoleSums, []byte(sha.String()))
	file(layout.B3Sums, record.RoleSums, []byte(b3.String()))
	file(layout.Journal, record.RoleJournal, []byte(`{"exhibit":"x"}`+"\n"))
	for _, d := range digests(data) {
		a.Digests = append(a.Digests, record.MediaDigest{Computed: record.ComputedWhileReading, Digest: d})
	}
	unknown := record.Unknown[string]("a test")
	a.ID, a.Format, a.Method, a.Mode = id, record.FormatRaw, record.MethodPhysical, record.ModeSequential
	a.Started, a.Ended = testTime, testTime
	a.Contents = record.Unknown[record.Contents]("a test")
	a.Destinations = []record.Destination{{Device: unknown, FileSystem: unknown}}
	a.Host = record.Host{Architecture: "amd64", Kernel: unknown, OS: "linux", Processors: 2}
	a.Medium = record.Medium{Access: record.UnknownAccess("a file"), Container: record.Unknown[record.Container]("a file"), Hardware: record.Unknown[record.Hardware]("a file"), HealthAfter: record.Unknown[record.Health]("a file"), Kind: record.MediumFile, LogicalSectorBytes: record.Unknown[int64]("a file"), PhysicalSectorBytes: record.Unknown[int64]("a file"),
		Name: unknown, ReadOnly: record.Known(false), SizeBytes: int64(len(data))}
	a.Options = record.Options{Compression: record.CompressionNone, ExtraDigests: []record.Algorithm{}, OnError: record.OnErrorRescue, Reread: true, SegmentBytes: int64(cut)}
	a.Reread = record.Reread{Kind: record.RereadCached, Matches: true}
	a.Tool = record.Tool{Build: record.Unknown[record.Digest]("a test"), Name: "exhibit", Version: "test"}
	return m
}

// newAcquired is the record of an image, as a station signs it.
func (f *forge) newAcquired(exhibit string, a record.Acquisition) (*record.Acquired, record.Openings) {
	var o record.Openings
	none := record.Unknown[record.Personal]("not given")
	c := record.Circumstances{Description: none, Despite: none, Host: none, Live: none, WriteBlocker: none,
		CommandLine: must(o.Commit(rand.Reader, "/circumstances/commandLine", "exhibit acquire")),
		MediumPath:  must(o.Commit(rand.Reader, "/circumstances/mediumPath", "/dev/sdz")),
		Examiner:    record.Known(must(o.Commit(rand.Reader, "/circumstances/examiner", "B. Beispiel")))}
	return &record.Acquired{Acquisition: a, Circumstances: c, Event: f.header(exhibit)}, o
}

// acquire records an image and seals its folder.
func (f *forge) acquire(exhibit, id string, data []byte, cut int) string {
	m := newImage(must(layout.Encode(exhibit)), id, data, cut)
	e, o := f.newAcquired(exhibit, m.acq)
	index := f.event(f.station, e, o)
	f.publish()
	dir := f.seal(exhibit, id, index, o)
	for name, b := range m.files {
		f.files[dir+"/"+name] = b
	}
	return dir
}

func (f *forge) seal(exhibit, id string, index int64, o record.Openings) string {
	dir := must(layout.ExhibitDir(exhibit)) + "/" + id
	f.files[dir+"/"+layout.Statement] = f.envelopes[index]
	f.files[dir+"/"+layout.Personal] = must(o.Encode())
	f.files[dir+"/"+layout.Genesis] = f.envelopes[0]
	f.files[dir+"/"+layout.Proof] = f.proof(index)
	for _, c := range f.changes {
		f.files[dir+"/"+layout.ChangeFile(c.Index)], f.files[dir+"/"+layout.ChangeProof(c.Index)] = f.envelopes[c.Index], f.proof(c.Index)
	}
	f.sealed = append(f.sealed, sealedFolder{dir, index})
	return dir
}

// proof is the C2SP tlog-proof of an entry under the newest checkpoint.
func (f *forge) proof(index int64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range auditPath(f.leaves, int(index)) {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	b.WriteString("\n")
	b.Write(f.checkpoints[f.newest()])
	return b.Bytes()
}

func (f *forge) newest() int64 { return slices.Max(slices.Collect(maps.Keys(f.checkpoints))) }

// build writes the log and returns the whole case.
func (f *forge) build() fileSet {
	out := maps.Clone(f.files)
	dir := layout.LogDir(f.origin) + "/"
	for size, cp := range f.checkpoints {
		out[dir+layout.CheckpointFile(size)] = cp
	}
	size := f.newest()
	out[dir+layout.Checkpoint] = f.checkpoints[size]
	out[dir+layout.Lock] = nil
	out[dir+layout.Heads] = []byte("{}")
	out[dir+layout.HeadsPart(7)] = []byte("{}")
	for n := int64(0); n*256 < size; n++ {
		var bundle []byte
		end := min((n+1)*256, size)
		for _, e := range f.entries[n*256 : end] {
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
		}
		out[dir+layout.TilePath(-1, n, int(end-n*256))] = bundle
	}
	level := f.leaves[:size]
	for l := 0; len(level) > 0; l++ {
		var above [][32]byte
		for n := 0; n*256 < len(level); n++ {
			tile := level[n*256 : min((n+1)*256, len(level))]
			var b []byte
			for _, h := range tile {
				b = append(b, h[:]...)
			}
			out[dir+layout.TilePath(l, int64(n), len(tile))] = b
			if len(tile) == 256 {
				above = append(above, mth(tile))
			}
		}
		level = above
	}
	out[layout.CaseFile] = must(sign.ParseEnvelope(f.envelopes[0])).Payload
	return out
}

func (f *forge) fingerprint() record.LeafHash { return f.leaves[0] }

// policy trusts the case.
func (f *forge) policy() Policy { return trusting(f.fingerprint()) }

func trusting(leaf record.LeafHash) Policy {
	return Policy{Trust: []TrustEntry{must(NewTrustEntry(RoleGenesis, leaf.String(), "test case", trustDay))}}
}

// fs returns the files as a file system, below dir.
func (m fileSet) fs(dir string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, b := range m {
		if dir == "" {
			out[name] = &fstest.MapFile{Data: b, Mode: 0o444}
		} else if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			out[rest] = &fstest.MapFile{Data: b, Mode: 0o444}
		}
	}
	return out
}

func (m fileSet) names() []string { return slices.Sorted(maps.Keys(m)) }

// pattern is size bytes that do not repeat.
func pattern(size int, seed byte) []byte {
	b := make([]byte, size)
	h := blake3.New(32, []byte(strings.Repeat(string(rune('a'+seed)), 32)))
	must(h.XOF().Read(b))
	return b
}

const (
	idA = "20261123T081500Z-1a2b3c4d"
	idB = "20261123T091500Z-5e6f7a8b"
)

// smallCase has an exhibit in one file and one in segments, each of a few bytes; largeCase has media of several groups.
func smallCase(t testing.TB) *forge { return exampleCase(t, 700, 900, 400) }

func largeCase(t testing.TB) *forge {
	return exampleCase(t, 3*hashtree.GroupSize+5, 3*hashtree.GroupSize+100, hashtree.GroupSize+hashtree.GroupSize/2)
}

func exampleCase(t testing.TB, sizeA, sizeB, cut int) *forge {
	f := newForge(t)
	f.seize("7/a")
	f.acquire("7/a", idA, pattern(sizeA, 1), 0)
	f.seize("8")
	f.acquire("8", idB, pattern(sizeB, 2), cut)
	return f
}
