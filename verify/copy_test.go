package verify

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const (
	idCopy  = "20261125T081500Z-0000000c"
	idCopy2 = "20261125T081500Z-0000000d"
)

// addCopy logs a copy of the acquisition idA, which is the log's entry 2, after change, and seals its folder.
func addCopy(f *forge, by sign.Signer, id string, change func(*forgedImage, *record.Copied)) string {
	m := newImage("7", id, pattern(100, 1), 0)
	delete(m.files, layout.Journal)
	a := &m.acq
	var o record.Openings
	none := record.Unknown[record.Personal]("not given")
	original := record.Reference{ID: idA, Leaf: record.LeafHash(f.leaves[2])}
	e := &record.Copied{Event: f.header("7"), Circumstances: record.CopyCircumstances{Examiner: none, Host: none,
		CommandLine: must(o.Commit(rand.Reader, "/circumstances/commandLine", "exhibit image convert")),
		SourcePath:  must(o.Commit(rand.Reader, "/circumstances/sourcePath", "case"))},
		Copy: record.Copy{Destination: a.Destinations[0], Digests: a.Digests, Ended: a.Ended, Started: a.Started, Files: a.Files[:len(a.Files)-1], Format: a.Format,
			Host: a.Host, ID: id, Options: record.CopyOptions{Compression: a.Options.Compression}, Original: original, Source: original, Reread: a.Reread,
			SizeBytes: a.Medium.SizeBytes, Tool: a.Tool}}
	change(&m, e)
	index := f.event(by, e, o)
	f.publish()
	dir := f.seal("7", id, index, o)
	for name, b := range m.files {
		f.files[dir+"/"+name] = b
	}
	return dir
}

func asItIs(*forgedImage, *record.Copied) {}

func copiedCase(t *testing.T) *forge {
	f := soundCase(t)
	addCopy(f, f.station, idCopy, asItIs)
	return f
}

var copyTamperings = map[string]tampering{
	"a copy": {func(t *testing.T) (*forge, fileSet) { f := copiedCase(t); return f, f.build() }, ExitVerified, 0, ""},
	"a copy of a copy": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		addCopy(f, f.station, idCopy2, func(_ *forgedImage, e *record.Copied) {
			e.Copy.Source = record.Reference{ID: idCopy, Leaf: record.LeafHash(f.leaves[3])}
		})
		return f, f.build()
	}, ExitVerified, 0, ""},
	"a copy whose original the log does not have": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		addCopy(f, f.station, idCopy, func(_ *forgedImage, e *record.Copied) {
			e.Copy.Original = record.Reference{ID: idB, Leaf: record.LeafHash{7}}
			e.Copy.Source = e.Copy.Original
		})
		return f, f.build()
	}, ExitMismatch, 6, "which the log does not have before it"},
	"a copy that names another leaf": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		addCopy(f, f.station, idCopy, func(_ *forgedImage, e *record.Copied) {
			e.Copy.Original.Leaf = record.LeafHash(f.leaves[1])
			e.Copy.Source = e.Copy.Original
		})
		return f, f.build()
	}, ExitMismatch, 6, "which the log does not have before it"},
	"a copy of other bytes": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		addCopy(f, f.station, idCopy, func(m *forgedImage, e *record.Copied) {
			other := newImage("7", idCopy, pattern(100, 9), 0)
			e.Copy.Digests, e.Copy.Files = other.acq.Digests, other.acq.Files[:len(other.acq.Files)-1]
			delete(other.files, layout.Journal)
			m.files = other.files
		})
		return f, f.build()
	}, ExitMismatch, 6, "it is a copy of other bytes"},
	"a copy that says more was unread than its original": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		addCopy(f, f.station, idCopy, func(m *forgedImage, e *record.Copied) {
			given := "# Mapfile\n0x00000000     +               1\n0x00000000  0x0000000A  +\n0x0000000A  0x0000000A  -\n0x00000014  0x00000050  +\n"
			other := rescuedImage(pattern(100, 1), given, "", record.Unread{Bytes: 10, Ranges: 1})
			e.Copy.Unread, e.Copy.Files = other.acq.Unread, other.acq.Files[:len(other.acq.Files)-1]
			delete(other.files, layout.Journal)
			m.files = other.files
		})
		return f, f.build()
	}, ExitMismatch, 6, "says otherwise than its original"},
	"a copy whose original's statement is missing": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		files := f.build()
		delete(files, logFile(f, layout.StatementFile(2)))
		return f, files
	}, ExitUnknown, 2, "missing"},
	"a copy signed by a person": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		addCopy(f, f.person, idCopy, asItIs)
		return f, f.build()
	}, ExitMismatch, 2, "and not for"},
	"a copy under the id of the original": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		addCopy(f, f.station, idCopy, asItIs)
		return f, f.build()
	}, ExitMismatch, 6, "recorded a second time"},
	"a damaged copy": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		files := f.build()
		name := folderOf("7", idCopy) + "/7.raw"
		files[name] = slices.Clone(files[name])
		files[name][5] ^= 1
		return f, files
	}, ExitMismatch, 1, "damaged: bytes 0 to 99"},
	"a copy without its folder": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		files := f.build()
		for name := range files {
			if strings.HasPrefix(name, folderOf("7", idCopy)) {
				delete(files, name)
			}
		}
		return f, files
	}, ExitUnknown, 1, "missing"},
	"a copy's folder that no event names": {func(t *testing.T) (*forge, fileSet) {
		f := copiedCase(t)
		files := f.build()
		for name, b := range files {
			if rest, ok := strings.CutPrefix(name, folderOf("7", idCopy)); ok {
				files[folderOf("7", idCopy2)+rest] = b
			}
		}
		return f, files
	}, ExitMismatch, 6, "no event in the logs"},
}

func folderOf(exhibit, id string) string { return must(layout.ExhibitDir(exhibit)) + "/" + id }

// A copy's folder is verified by itself too, and the report says what it is a copy of.
func TestCopyAlone(t *testing.T) {
	f := copiedCase(t)
	r := check(t, f.build().fs(folderOf("7", idCopy)), "", f.policy(), ExitVerified)
	if len(r.Acquisitions) != 1 || r.Acquisitions[0].CopyOf != idA || r.Acquisitions[0].ID != idCopy {
		t.Errorf("facts %+v; want those of %s, a copy of %s", r.Acquisitions, idCopy, idA)
	}
	if text := show(r); !strings.Contains(text, "it is a copy of acquisition "+idA) || !strings.Contains(text, "record of the original stands in the log of the case") {
		t.Errorf("the report does not say what is a copy:\n%s", text)
	}
	if r := check(t, f.build().fs(folderOf("7", idA)), "", f.policy(), ExitVerified); r.Acquisitions[0].CopyOf != "" {
		t.Errorf("the original is called a copy of %s", r.Acquisitions[0].CopyOf)
	}
}
