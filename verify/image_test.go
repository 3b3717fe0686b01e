package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/internal/hashtree"
)

const mib = hashtree.GroupSize

// found lists the damaged ranges of a report, and where they lie in the files.
func found(r Report) string {
	var out []string
	for _, f := range r.Lines[0].Findings {
		if f.Range == nil {
			continue
		}
		s := fmt.Sprintf("%d+%d", f.Range.Offset, f.Range.Length)
		for _, in := range f.InFiles {
			s += fmt.Sprintf(" %s@%d+%d", in.File, in.Offset, in.Length)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// alone is an acquisition folder with an image of size bytes.
func alone(t *testing.T, size, cut int) (*forge, fileSet) {
	f := newForge(t)
	f.seize("7")
	dir := f.acquire("7", idA, pattern(size, 1), cut)
	out := fileSet{}
	for name, b := range f.build() {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			out[rest] = b
		}
	}
	return f, out
}

func TestDamageIsLocated(t *testing.T) {
	one, oneFiles := alone(t, 5*mib+10, 0)
	cut := mib + mib/2
	many, manyFiles := alone(t, 5*mib+10, cut)
	tests := map[string]struct {
		f     *forge
		files fileSet
		flip  map[string][]int
		code  int
		want  string
	}{
		"first byte":       {one, oneFiles, map[string][]int{"7.raw": {0}}, 4, "0+1048576 7.raw@0+1048576"},
		"last byte":        {one, oneFiles, map[string][]int{"7.raw": {5*mib + 9}}, 4, "5242880+10 7.raw@5242880+10"},
		"neighbours":       {one, oneFiles, map[string][]int{"7.raw": {2 * mib, 3 * mib}}, 4, "2097152+2097152 7.raw@2097152+2097152"},
		"two places":       {one, oneFiles, map[string][]int{"7.raw": {mib, 3 * mib}}, 4, "1048576+1048576 7.raw@1048576+1048576; 3145728+1048576 7.raw@3145728+1048576"},
		"over a cut":       {many, manyFiles, map[string][]int{"7.001": {cut - 1}}, 4, "1048576+1048576 7.001@1048576+524288 7.002@0+524288"},
		"in a segment":     {many, manyFiles, map[string][]int{"7.004": {5}}, 4, "4194304+1048576 7.003@1048576+524288 7.004@0+524288"},
		"tree also broken": {one, oneFiles, map[string][]int{"7.raw": {0}, "7.tree": {70}}, 4, ""},
		"only the tree":    {one, oneFiles, map[string][]int{"7.tree": {70}}, 4, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := tt.files.fs("")
			for file, at := range tt.flip {
				b := bytes.Clone(tt.files[file])
				for _, i := range at {
					b[i] ^= 0x10
				}
				fsys[file] = &fstest.MapFile{Data: b}
			}
			r := check(t, fsys, "", tt.f.policy(), tt.code)
			if got := found(r); got != tt.want {
				t.Errorf("damage at %q, want %q\n%s", got, tt.want, show(r))
			}
		})
	}
}

// TestIncompleteImage checks what is said of the rest when a file of the image is missing, cut or longer.
func TestIncompleteImage(t *testing.T) {
	aligned, alignedFiles := alone(t, 5*mib+10, 2*mib)
	one, oneFiles := alone(t, 5*mib+10, 0)
	set := func(files fileSet, name string, b []byte) fstest.MapFS {
		fsys := files.fs("")
		delete(fsys, name)
		if b != nil {
			fsys[name] = &fstest.MapFile{Data: b}
		}
		return fsys
	}
	flip := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	both := set(alignedFiles, "7.001", nil)
	both["7.002"] = &fstest.MapFile{Data: flip(alignedFiles["7.002"], mib)}
	tests := map[string]struct {
		f    *forge
		fsys fstest.MapFS
		code int
		want string
		text string
	}{
		"first segment missing":    {aligned, set(alignedFiles, "7.001", nil), 5, "", "7.001: the file is missing"},
		"last segment missing":     {aligned, set(alignedFiles, "7.003", nil), 5, "", "7.003: the file is missing"},
		"one missing, one damaged": {aligned, both, 4, "3145728+1048576 7.002@1048576+1048576", "7.001: the file is missing"},
		"cut off":                  {one, set(oneFiles, "7.raw", oneFiles["7.raw"][:3*mib+5]), 4, "", "it was cut off"},
		"cut off and damaged":      {one, set(oneFiles, "7.raw", flip(oneFiles["7.raw"][:3*mib+5], mib)), 4, "1048576+1048576 7.raw@1048576+1048576", "it was cut off"},
		"longer":                   {one, set(oneFiles, "7.raw", append(bytes.Clone(oneFiles["7.raw"]), 1)), 4, "", "its first 5242890 bytes are those of the record"},
		"longer and damaged":       {one, set(oneFiles, "7.raw", append(flip(oneFiles["7.raw"], 0), 1)), 4, "0+1048576 7.raw@0+1048576", "something was added"},
		"tree missing":             {one, set(oneFiles, "7.tree", nil), 5, "", "7.tree: the file is missing"},
		"tree and bytes": {one, func() fstest.MapFS {
			m := set(oneFiles, "7.tree", nil)
			m["7.raw"] = &fstest.MapFile{Data: flip(oneFiles["7.raw"], 0)}
			return m
		}(), 4, "", "where cannot be told"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := check(t, tt.fsys, "", tt.f.policy(), tt.code)
			if got := found(r); got != tt.want {
				t.Errorf("damage at %q, want %q\n%s", got, tt.want, show(r))
			}
			if !strings.Contains(show(r), tt.text) {
				t.Errorf("nothing says %q\n%s", tt.text, show(r))
			}
		})
	}
}

// TestSizes verifies media at the edges of groups and segments.
func TestSizes(t *testing.T) {
	for _, size := range []int{0, 1, 1024, mib - 1, mib, mib + 1, 2 * mib} {
		for _, cut := range []int{0, mib, mib + 1} {
			f, files := alone(t, size, cut)
			check(t, files.fs(""), "", f.policy(), ExitVerified)
			i := slices.IndexFunc(files.names(), func(n string) bool { return n == "7.raw" || n == "7.001" })
			if name := files.names()[i]; size > 0 {
				b := bytes.Clone(files[name])
				b[len(b)-1] ^= 1
				fsys := files.fs("")
				fsys[name] = &fstest.MapFile{Data: b}
				check(t, fsys, "", f.policy(), ExitMismatch)
			}
		}
	}
}

// TestEveryDigestIsCompared requires that a file check that compares too little is not verified.
func TestEveryDigestIsCompared(t *testing.T) {
	_, sealed := alone(t, 100, 0)
	i := must(readUnsignedBy(sealed["statement.dsse.json"])).image
	c := &files{fsys: newPlainFS(sealed.fs("")), dir: ".", a: &i}
	if err := c.check(t.Context()); err != nil || c.line.status() != Verified || c.line.checked < 12 {
		t.Fatalf("status %s, %d checks, %v", c.line.status(), c.line.checked, err)
	}
	i.Files[4].Role = "later"
	c = &files{fsys: newPlainFS(sealed.fs("")), dir: ".", a: &i}
	if err := c.check(t.Context()); err != nil || c.line.status() != Unknown {
		t.Errorf("with a file passed over: status %s, %v", c.line.status(), err)
	}
}
