package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

var logTamperings = map[string]tampering{
	"a checkpoint with one line": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		for _, name := range []string{layout.Checkpoint, layout.CheckpointFile(3)} {
			b := files[logFile(f, name)]
			files[logFile(f, name)] = b[:bytes.LastIndex(b[:len(b)-1], []byte("\n"))+1]
		}
		return f, files
	}, ExitMismatch, 3, "exactly the lines"},
	"a checkpoint by another log's key": {func(t *testing.T) (*forge, fileSet) {
		f, other := soundCase(t), newForge(t)
		f.log = other.log
		f.publish()
		return f, f.build()
	}, ExitMismatch, 3, "no line is by a key of its log"},
	"two checkpoints of one size": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		f.publish()
		files[logFile(f, layout.Checkpoint)] = f.checkpoints[3]
		return f, files
	}, ExitMismatch, 3, "never two checkpoints of one size"},
	"a log cut back": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		proof := f.proof(2)
		delete(f.checkpoints, 3)
		files := f.build()
		delete(files, logFile(f, layout.StatementFile(2)))
		delete(files, logFile(f, layout.PersonalFile(2)))
		files[f.sealed[0].dir+"/"+layout.Proof] = proof
		return f, files
	}, ExitMismatch, 4, "the log was cut back"},
	"a log with another statement in its place": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		proof := f.proof(2)
		files := f.files
		e, o := f.newSeized("8")
		f.envelopes, f.entries, f.leaves = f.envelopes[:2], f.entries[:2], f.leaves[:2]
		delete(f.checkpoints, 3)
		e.Event.Log = f.header("8").Log
		f.event(f.person, e, o)
		f.publish()
		files[f.sealed[0].dir+"/"+layout.Proof] = proof
		return f, f.build()
	}, ExitMismatch, 4, "there were two logs"},
	"a log rewritten after a folder was sealed": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		proof := f.proof(2)
		f.leaves[1][0] ^= 1
		f.publish()
		f.leaves[1][0] ^= 1
		files := f.build()
		files[f.sealed[0].dir+"/"+layout.Proof] = proof
		return f, files
	}, ExitMismatch, 4, "the log was rewritten"},
	"a checkpoint beyond the newest": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.Checkpoint)] = f.checkpoints[2]
		return f, files
	}, ExitMismatch, 4, "newer than the newest"},
	"a checkpoint under another's name": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.CheckpointFile(2))] = f.checkpoints[1]
		return f, files
	}, ExitMismatch, 3, "of another size than its name says"},
	"an append that waits to be published": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.Pending)] = pendingFile(string(f.checkpoints[3]))
		return f, files
	}, ExitUnknown, 3, "waits to be published"},
	"a damaged pending": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.Pending)] = pendingFile("x")
		return f, files
	}, ExitMismatch, 3, "damaged or was changed"},
	"a statement beyond the size": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		e, o := f.newSeized("8")
		f.event(f.person, e, o)
		return f, f.build()
	}, ExitUnknown, 3, "2 files beyond the newest checkpoint"},
	"an older partial tile": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.TilePath(0, 0, 2))] = files[logFile(f, layout.TilePath(0, 0, 3))][:64]
		return f, files
	}, ExitVerified, 0, ""},
	"a wrong older partial tile": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.TilePath(0, 0, 2))] = files[logFile(f, layout.TilePath(0, 0, 3))][32:]
		return f, files
	}, ExitMismatch, 3, "not the beginning of the present one"},
	"a tile beyond the size": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.TilePath(0, 0, 4))] = make([]byte, 128)
		return f, files
	}, ExitUnknown, 3, "1 file beyond the newest checkpoint"},
	"a tile of an impossible level": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.TileDir+"/63/000")] = nil
		return f, files
	}, ExitVerified, 0, "not covered"},
	"something an append set aside": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files[logFile(f, layout.TornPrefix+"1")] = []byte("x")
		files[logFile(f, layout.StatementFolder(0)+"/.torn-9.dsse.json")] = []byte("x")
		return f, files
	}, ExitVerified, 0, "not covered"},
	"something foreign in the case folder": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files["READ ME\n4. verified"] = []byte("x")
		files["photos/1.jpg"] = []byte("x")
		return f, files
	}, ExitVerified, 0, "not covered"},
	"a log nobody trusts beside it": {func(t *testing.T) (*forge, fileSet) {
		f, other := soundCase(t), soundCase(t)
		files := f.build()
		for name, b := range other.build() {
			if strings.HasPrefix(name, layout.LogsDir) || strings.HasPrefix(name, layout.KeysDir) {
				files[name] = b
			}
		}
		return f, files
	}, ExitMismatch, 3, "differs from the statement that was logged"},
	"no log": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		for _, name := range files.names() {
			if strings.HasPrefix(name, layout.LogsDir) {
				delete(files, name)
			}
		}
		return f, files
	}, ExitUnknown, 3, "the file is missing"},
}

func pendingFile(note string) []byte {
	return must(record.EncodeJSON(map[string]string{"note": note, "type": "exhibit-pending/v1"}))
}
