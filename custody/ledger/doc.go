// Package ledger keeps one append-only log of a case: a C2SP tlog-tiles log with RFC 6962 hashes, whose checkpoints
// two keys sign. The folder is described in docs/format.md, sections 2 and 9.
//
// To read, start with [Open], which verifies the newest checkpoint, then [Log.Statement] and [Log.EncodeProof];
// [OpenCheckpoint] and [CheckProof] check what stands alone. Whether the folder as a whole is sound is for package verify to
// say. To write, start with [Create] and [Append]. Reading is pure over fs.FS and builds for js/wasm.
//
// The promises:
//
//   - What Log returns as an entry, a statement, a leaf or a proof was proven to stand under the checkpoint it was opened
//     with. Whether its keys deserve trust is the caller's to say.
//   - Only folders and regular files are opened, each within its bound. What is missing is fs.ErrNotExist, what is of a
//     newer version record.ErrNewer, what is damaged record.ErrMalformed or, where a signature is, sign.ErrSignature.
//   - Nothing is signed before the folder was seen to give the root of the previous checkpoint, both lines of which
//     verify, and to hold no newer one. There are never two checkpoints of one size with different bytes.
//   - An append that reported success is on the disk. One that was killed at any point, or failed, is completed by the
//     next [Append]; what cannot be used is set aside as .torn-*, never deleted. A signed checkpoint that reached the disk is
//     published, never dropped and never signed again.
//   - The cost of an append does not grow with the log.
package ledger

import (
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

var (
	// ErrRefused says that a log cannot be continued without the danger of signing against what it signed before, as in
	// a folder that was restored from an old copy. The text says what contradicts what.
	ErrRefused = errors.New("the log is not safe to continue")
	// ErrUnsettled says that an append failed after it had begun to write: the statements may be logged already, or will
	// be by the next append. The caller must not append them again; the next append settles it.
	ErrUnsettled = errors.New("the statements may be logged already, or are logged by the next append")
	// ErrStatement refuses a statement that does not fit the log: its signer, its number, its previous event, the log
	// state it names, or its openings.
	ErrStatement = errors.New("the statement does not fit the log")
	// ErrNothing says that there was nothing to append.
	ErrNothing = errors.New("nothing to append")
	// ErrClosed says that the last statement of the log closed it: nothing comes after that one, ever.
	ErrClosed = errors.New("the log was closed: nothing can be appended to it any more")
)

// LeafHash returns the RFC 6962 leaf hash of a log entry.
func LeafHash(entry []byte) record.LeafHash { return record.LeafHash(tlog.RecordHash(entry)) }
