package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// rescuedImage makes an image of a rescue that took over some bytes, with this map and this list; no list: none.
func rescuedImage(data []byte, given, taken string, unread record.Unread, over ...record.TakenOver) forgedImage {
	m := newImage("7", idA, data, 0)
	a := &m.acq
	a.Mode, a.Unread, a.TakenOver = record.ModeRescue, unread, over
	a.Digests[1].Computed = record.ComputedFromImage
	add := func(at int, name, role, text string) {
		m.files[name] = []byte(text)
		a.Files = slices.Insert(a.Files, at, record.File{Name: name, Role: role, SizeBytes: int64(len(text)), Digests: digests([]byte(text))})
	}
	add(2, "7.map", record.RoleMap, given)
	if taken != "" {
		add(3, "7.taken", record.RoleTakenOver, taken)
	}
	for i, f := range a.Files {
		if f.Role == record.RoleSums {
			alg := map[string]record.Algorithm{layout.SHA256Sums: record.SHA256, layout.B3Sums: record.BLAKE3}[f.Name]
			b := record.Sums(a.Files, alg)
			m.files[f.Name] = b
			a.Files[i] = record.File{Name: f.Name, Role: f.Role, SizeBytes: int64(len(b)), Digests: digests(b)}
		}
	}
	return m
}

// sealedImage is the folder of a forged image, by itself.
func sealedImage(t *testing.T, m forgedImage) (*forge, fileSet) {
	t.Helper()
	f := newForge(t)
	f.seize("7")
	e, o := f.newAcquired("7", m.acq)
	index := f.event(f.station, e, o)
	f.publish()
	dir := f.seal("7", idA, index, o)
	for name, b := range m.files {
		f.files[dir+"/"+name] = b
	}
	out := fileSet{}
	for name, b := range f.build() {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			out[rest] = b
		}
	}
	return f, out
}

// What was taken over is verified and said in line 1, line 7 and a note; a list that does not come to what the record says,
// or names bytes that the map calls unread, is damage.
func TestTakenOver(t *testing.T) {
	data := pattern(4096, 3)
	clear(data[1024:1536])
	const given = "0x0 + 1\n0x0 1024 +\n1024 512 -\n1536 2560 +\n"
	const taken = "0x0 ? 1\n0x0 1024 +\n1024 1024 ?\n2048 2048 +\n"
	unread := record.Unread{Bytes: 512, Ranges: 1}
	over := record.TakenOver{Bytes: 3072, Ranges: 2, Map: digests([]byte("theirs"))[1], Sampled: 3, Differing: 1}
	f, files := sealedImage(t, rescuedImage(data, given, taken, unread, over))
	r := check(t, files.fs(""), "", f.policy(), ExitVerified)
	if s := r.Lines[0].Sentence; !strings.HasSuffix(s, "Of them 3072 bytes came from images that other programs had made, and were not read from the medium.") {
		t.Errorf("line 1 says %q", s)
	}
	if s := r.Lines[6].Sentence; !strings.HasSuffix(s, "what was taken over from an image of another program is what the medium held.") {
		t.Errorf("line 7 says %q", s)
	}
	if notes := fmt.Sprint(r.Lines[0].Findings); !strings.Contains(notes, "3072 bytes in 2 ranges were NOT read from the medium") || !strings.Contains(notes, "3 places (of up to 1 MiB) were compared with the medium, and 1 read differently there") {
		t.Errorf("line 1 finds %s", notes)
	}
	over.Sampled, over.Differing = 0, 0
	f, files = sealedImage(t, rescuedImage(data, given, taken, unread, over))
	if notes := fmt.Sprint(check(t, files.fs(""), "", f.policy(), ExitVerified).Lines[0].Findings); !strings.Contains(notes, "of these bytes none could be compared with the medium") {
		t.Errorf("line 1 finds %s", notes)
	}
	for name, c := range map[string]struct{ given, taken string }{
		"other bytes":      {given, "0x0 ? 1\n0x0 1536 +\n1536 512 ?\n2048 2048 +\n"},
		"other ranges":     {given, "0x0 ? 1\n0x0 1024 ?\n1024 3072 +\n"},
		"other size":       {given, "0x0 ? 1\n0x0 1024 +\n1024 512 ?\n1536 2048 +\n"},
		"a third status":   {given, "0x0 ? 1\n0x0 1024 +\n1024 1024 -\n2048 2048 +\n"},
		"taken unread":     {given, "0x0 ? 1\n0x0 2048 +\n2048 1024 ?\n3072 1024 +\n"},
		"no map":           {given, "0x0\n"},
		"another's unread": {"0x0 + 1\n0x0 3072 +\n3072 512 -\n3584 512 +\n", taken},
	} {
		f, files := sealedImage(t, rescuedImage(data, c.given, c.taken, unread, over))
		if r := check(t, files.fs(""), "", f.policy(), ExitMismatch); r.Lines[0].Status != Failed {
			t.Errorf("%s: line 1 is %s, want failed", name, r.Lines[0].Status)
		}
	}
	delete(files, "7.taken")
	check(t, files.fs(""), "", f.policy(), ExitUnknown)
}
