// Package layout holds every file name of the case folder, and the bounds on sizes and counts, in one place.
//
// Names are slash-separated and relative to the case folder, or to the acquisition folder where the comment says
// so. Start with the constants; [ExhibitDir] and [AcquisitionDir] build the two names that depend on what a person
// typed. The tree itself is described in docs/format.md. The promise: no function here returns a name that leaves
// the folder, hides in it, or means something else on another operating system.
package layout

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Files and folders of the case folder.
const (
	CaseFile    = "case.json"
	ExhibitsDir = "exhibits"
	LogsDir     = "logs"
	KeysDir     = "keys"
	ForksDir    = "forks"
	ExtractsDir = "extracts"
	// EnrolmentFile holds the certificates that an agency issued for keys in a TPM.
	EnrolmentFile = KeysDir + "/enrolment.pem"
)

// Files of an acquisition folder.
const (
	SHA256Sums = "SHA256SUMS"
	B3Sums     = "B3SUMS"
	Journal    = "journal"
	Statement  = "statement.dsse.json"
	Personal   = "statement.personal.json"
	Proof      = "proof.tlog-proof"
	Genesis    = "genesis.dsse.json"
	// Unsigned holds the finished record until it is signed and logged; a sealed folder has none.
	Unsigned = "unsigned.json"
	// UnsignedSignature is the station's signature over the finished record, so that nobody else's is signed later.
	UnsignedSignature = "unsigned.sig"
	// Resume is from where an interrupted acquisition goes on; a finished one has none.
	Resume = "resume"
	// PartialSuffix ends the folder's name until it is sealed.
	PartialSuffix = ".partial"
)

// AttachmentsDir is the folder of an exhibit's photographs, videos and scans, below the exhibit's folder. No acquisition is
// called so.
const AttachmentsDir = "attachments"

// AttachmentFile is the attachment with that SHA-256, below the exhibit's folder.
func AttachmentFile(sum []byte) string { return AttachmentsDir + "/" + hex.EncodeToString(sum) }

// changePrefix begins the names of what an acquisition folder has of the changes of keys that its record counts on.
const changePrefix = "keys-changed-"

// ChangeFile is the envelope of log entry i, which changes the keys of the log, below an acquisition folder.
func ChangeFile(i int64) string { return changePrefix + strconv.FormatInt(i, 10) + ".dsse.json" }

// ParseChange is the reverse of ChangeFile; ok is false for any other name.
func ParseChange(name string) (i int64, ok bool) {
	digits, _ := strings.CutSuffix(strings.TrimPrefix(name, changePrefix), ".dsse.json")
	i, err := strconv.ParseInt(digits, 10, 64)
	return i, err == nil && i > 0 && i < MaxLogSize && ChangeFile(i) == name
}

// ChangeProof is the proof that the log has that entry, below the same folder.
func ChangeProof(i int64) string { return changePrefix + strconv.FormatInt(i, 10) + TlogProofSuffix }

// Files and folders of a log folder.
const (
	Checkpoint     = "checkpoint"
	CheckpointsDir = "checkpoints"
	TileDir        = "tile"
	StatementDir   = "statement"
	AttestDir      = "attest"
	AnchorsDir     = "anchors"
	// Uncommitted lists the anchors and quotes that no statement names yet; PendingAnchors, what was asked for and has not come.
	Uncommitted    = "anchors/uncommitted"
	PendingAnchors = "anchors/pending"
	Pending        = "pending"
	Heads          = "heads"
	HeadsDir       = "heads.parts"
	Lock           = "lock"
	TornPrefix     = ".torn-"
)

// Files of a folder that is written for others' tools.
const (
	BundleSuffix    = ".sigstore.json" // after the number of the statement
	TlogProofSuffix = ".tlog-proof"    // the same
	PublicKeySuffix = ".pub"           // after the key identifier
	TrustedRoot     = "trusted_root.json"
)

// Bounds. A file beyond its bound is refused before it is read.
const (
	MaxEnvelope    = 4 << 20 // a DSSE envelope, which is JSON: record.MaxJSON
	MaxOpenings    = 4 << 20
	MaxSignature   = 1 << 10
	MaxCheckpoint  = 16 << 10
	MaxPending     = 64 << 10
	MaxAttest      = 16 << 10
	MaxCertificate = 64 << 10
	MaxHandedOver  = 256 << 20 // the one file of a log that is handed over
	MaxDirectory   = 32 << 20  // the list of the files in it
	MaxArchived    = 200       // a name in it
	MaxExtract     = 64 << 20  // the one file of an exhibit's entries
	MaxUnpacked    = 256 << 20 // what is in it
	MaxExtracts    = 256 << 20 // the extracts that a case took in, together
	MaxExtractJSON = 4 << 20
	MaxBootLog     = 4 << 20 // the event log of a machine's firmware
	MaxEnrolment   = 64 << 10
	MaxProof       = 64 << 10
	MaxToken       = 64 << 10 // an RFC 3161 response, with its certificates
	MaxCosigned    = 64 << 10 // a checkpoint's text with the lines of witnesses
	MaxAnchors     = 1000     // digests of anchors in one statement; anchors that are uncommitted, or pending
	MaxQuotes      = 99       // digests of quotes in one statement, beside that of the counter's certificate; quotes that are uncommitted
	MaxSums        = 2 << 20
	MaxJournal     = 64 << 20
	MaxMap         = 128 << 20
	MaxTrust       = 4 << 20
	MaxEntry       = 1<<16 - 1 // a tlog-tiles entry
	MaxTile        = 256 * 32
	MaxBundle      = 256 * (2 + MaxEntry)
	MaxLogSize     = 1 << 40
	MaxSegments    = 999
	MaxFolder      = 1 << 20 // names in one folder
)

// ErrName is wrapped by every refusal of a name.
var ErrName = errors.New("not usable as a name")

// Encode percent-encodes what stands outside [A-Za-z0-9_-], byte by byte with upper-case hex digits. It refuses
// the empty name and the device names of Windows.
func Encode(number string) (string, error) {
	var b strings.Builder
	for i := range len(number) {
		c := number[i]
		if c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	name := b.String()
	switch {
	case name == "" || len(name) > 180:
		return "", fmt.Errorf("%w: %.80q is empty or too long", ErrName, number)
	case windowsDevice(name):
		return "", fmt.Errorf("%w: %q means a device on Windows", ErrName, number)
	}
	return name, nil
}

// Decode reverses Encode and refuses any other spelling.
func Decode(name string) (string, error) {
	var b []byte
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b = append(b, name[i])
			continue
		}
		if i+3 > len(name) {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
		c, err := hex.DecodeString(name[i+1 : i+3])
		if err != nil {
			return "", fmt.Errorf("%w: %.80q", ErrName, name)
		}
		b = append(b, c...)
		i += 2
	}
	if again, err := Encode(string(b)); err != nil || again != name {
		return "", fmt.Errorf("%w: %.80q", ErrName, name)
	}
	return string(b), nil
}

func windowsDevice(name string) bool {
	upper := strings.ToUpper(name)
	switch upper {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if len(upper) != 4 || upper[3] < '0' || upper[3] > '9' {
		return false
	}
	return upper[:3] == "COM" || upper[:3] == "LPT"
}

// ExhibitDir is the folder of an exhibit, below the case folder.
func ExhibitDir(number string) (string, error) {
	name, err := Encode(number)
	if err != nil {
		return "", fmt.Errorf("exhibit number: %w", err)
	}
	return ExhibitsDir + "/" + name, nil
}

// NewAcquisitionID makes the identifier of an acquisition: the time in UTC and eight random hex digits.
func NewAcquisitionID(now time.Time, random io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw an acquisition identifier: %w", err)
	}
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:]), nil
}

// LogDir is the folder of the log of that origin, below the case folder. The caller has checked the origin.
func LogDir(origin string) string { return LogsDir + "/" + origin }

// ExtractFile is where an extract of another log is kept, below the case folder. sum is the SHA-256 of the file, in hex.
func ExtractFile(origin, exhibit string, size int64, sum string) (string, error) {
	name, err := Encode(exhibit)
	if err != nil {
		return "", fmt.Errorf("exhibit number: %w", err)
	}
	return ExtractsDir + "/" + origin + "/" + name + "-" + strconv.FormatInt(size, 10) + "-" + sum[:16] + ExtractSuffix, nil
}

// IsExtractFile reports whether a file in a folder of extracts is called as one that is complete.
func IsExtractFile(name string) bool { return strings.HasSuffix(name, ExtractSuffix) }

// ForkExtract is where an extract of another history of a log is kept, below the case folder. sum is as in ExtractFile.
func ForkExtract(origin, sum string) string { return ForkDir(origin, sum[:16]) + ExtractSuffix }

// ForkDir is the folder of another history of the log of that origin, whose newest checkpoint has that SHA-256, in hex.
func ForkDir(origin, sum string) string { return ForksDir + "/" + origin + "/" + sum }

// CheckpointFile is the checkpoint of that size, below the log folder.
func CheckpointFile(size int64) string { return CheckpointsDir + "/" + strconv.FormatInt(size, 10) }

// AttestFile is the certificate of the log's counter for the checkpoint of that size, below the log folder.
func AttestFile(size int64) string { return AttestDir + "/" + strconv.FormatInt(size, 10) }

// The kinds of file about the start of the machine that signed a record, which end their names.
const (
	AttestQuote   = "quote"    // what its TPM quoted
	AttestBootLog = "eventlog" // the event log of its firmware
)

// StartFile is a file of that kind about leaf i, below the log folder.
func StartFile(i int64, kind string) string {
	return AttestDir + "/" + strconv.FormatInt(i, 10) + "." + kind
}

// ParseStart is the reverse of StartFile, for a name without its folder; ok is false for any other name.
func ParseStart(name string) (i int64, kind string, ok bool) {
	digits, kind, _ := strings.Cut(name, ".")
	i, err := strconv.ParseInt(digits, 10, 64)
	ok = err == nil && i > 0 && i < MaxLogSize && (kind == AttestQuote || kind == AttestBootLog) && StartFile(i, kind) == AttestDir+"/"+name
	return i, kind, ok
}

// The kinds of anchor, which end their files' names.
const (
	AnchorToken    = "tsr"   // an RFC 3161 response
	AnchorCosigned = "cosig" // a checkpoint's text with lines of witnesses
	AnchorChain    = "pem"   // certificates between a time-stamp's signer and a root, where the token lacks them
)

// AnchorFile is an anchor of the checkpoint of that size, below the log folder; sum is the SHA-256 of the file, in hex.
func AnchorFile(size int64, sum, kind string) string {
	return fmt.Sprintf("%s/%d.%s.%s", AnchorsDir, size, sum, kind)
}

// ParseAnchor is the reverse of AnchorFile, for a name without its folder; ok is false for any other name.
func ParseAnchor(name string) (size int64, sum, kind string, ok bool) {
	digits, rest, _ := strings.Cut(name, ".")
	sum, kind, _ = strings.Cut(rest, ".")
	size, err := strconv.ParseInt(digits, 10, 64)
	raw, hexErr := hex.DecodeString(sum)
	ok = err == nil && size > 0 && size <= MaxLogSize && hexErr == nil && len(raw) == 32 &&
		(kind == AnchorToken || kind == AnchorCosigned || kind == AnchorChain) && AnchorFile(size, sum, kind) == AnchorsDir+"/"+name &&
		sum == hex.EncodeToString(raw)
	return size, sum, kind, ok
}

// StatementFile is the envelope of leaf i, below the log folder: a thousand to a folder.
func StatementFile(i int64) string { return statementBase(i) + ".dsse.json" }

// PersonalFile is the file of openings of leaf i, below the log folder.
func PersonalFile(i int64) string { return statementBase(i) + ".personal.json" }

// StatementFolder is the folder that holds leaf i, below the log folder.
func StatementFolder(i int64) string { return fmt.Sprintf("%s/%06d", StatementDir, i/1000) }

func statementBase(i int64) string { return fmt.Sprintf("%s/%d", StatementFolder(i), i) }

// TilePath is the C2SP tlog-tiles name of a tile below the log folder. Level -1 is the entry bundle. Width 256 is
// a full tile; less, a partial one.
func TilePath(level int, n int64, width int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	l := strconv.Itoa(level)
	if level < 0 {
		l = "entries"
	}
	if width < 256 {
		name += ".p/" + strconv.Itoa(width)
	}
	return TileDir + "/" + l + "/" + name
}

// SegmentName is the file of image segment i (from 0) of total; one file has the suffix .raw, several .001 to .999.
func SegmentName(name string, i int, split bool) string {
	if !split {
		return name + ".raw"
	}
	return fmt.Sprintf("%s.%03d", name, i+1)
}

// TreeName is the file of BLAKE3 groups, below the acquisition folder.
func TreeName(name string) string { return name + ".tree" }

// MapName is ddrescue's map of what could be read, below the acquisition folder.
func MapName(name string) string { return name + ".map" }

// TakenName is a map, in ddrescue's form, of the bytes that were taken over from another image, below the acquisition folder.
func TakenName(name string) string { return name + ".taken" }

// KeyFile is the certificate of a key with that id, below the case folder.
func KeyFile(keyID string) string { return KeysDir + "/" + keyID + ".pem" }

// KeyAttestationFile shows that the key with that id is held by a TPM, below the case folder.
func KeyAttestationFile(keyID string) string { return KeysDir + "/" + keyID + ".tpm.json" }

// EnrolmentOf holds the certificates that another agency issued for the keys of its log, below the case folder.
func EnrolmentOf(origin string) string { return KeysDir + "/" + origin + ".enrolment.pem" }

// NewOrigin draws a log's name: 26 base32 characters and ".exhibit.invalid".
func NewOrigin(random io.Reader) (string, error) {
	var b [17]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw the name of a log: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:26]) + ".exhibit.invalid", nil
}

// HeadsPart is the file of part i of the heads, 0 to 1023, in a log folder.
func HeadsPart(i int) string { return fmt.Sprintf("%s/%03x", HeadsDir, i) }

// HeadsSteps is the file of the steps of the log of that name, in the folder of the home log.
func HeadsSteps(origin string) string { return HeadsDir + "/" + origin }

// Names in an extract of a log, beside Checkpoint and the names of statements.
const (
	ExtractSuffix   = ".extract"     // of the file
	ExtractManifest = "extract.json" // what it says of itself
)

// InclusionFile is the proof in an extract that the log has entry i.
func InclusionFile(i int64) string { return "inclusion/" + strconv.FormatInt(i, 10) }

// ConsistencyFile is the proof in an extract that the log of that size is the beginning of it.
func ConsistencyFile(size int64) string { return "consistency/" + strconv.FormatInt(size, 10) }
