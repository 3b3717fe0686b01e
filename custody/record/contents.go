package record

import (
	"fmt"
	"regexp"
	"slices"
)

// Contents is what lies on a medium as its first and last structures say it: partitions, file systems, encryption. Nothing
// is mounted, followed or tried. What a structure says can be forged, and a medium can hold what leaves no sign.
type Contents struct {
	GPT        GPT         `json:"gpt"`
	MBR        MBR         `json:"mbr"`
	Partitions []Partition `json:"partitions"` // of both tables, each of which says its own; sorted by table, then index
	Volume     Volume      `json:"volume"`     // what the medium as a whole holds, whether it has partitions or not
}

// GPT is the GUID partition table, of which a medium holds two copies.
type GPT struct {
	Backup      Fact[string] `json:"backup"`      // one of GPTStates
	DiskGUID    Fact[string] `json:"diskGuid"`    // of the copy in use
	Primary     Fact[string] `json:"primary"`     // one of GPTStates
	Problems    []string     `json:"problems"`    // what is damaged, and how the copies differ; at most MaxProblems lines
	SectorBytes Fact[int64]  `json:"sectorBytes"` // the unit that the table counts in
	Use         string       `json:"use"`         // one of GPTUses: the copy whose partitions are listed
}

// MBR is the master boot record with the chain of its extended partitions.
type MBR struct {
	DiskSignature Fact[string] `json:"diskSignature"` // 8 hex digits
	Kind          Fact[string] `json:"kind"`          // one of MBRKinds
	Problems      []string     `json:"problems"`      // at most MaxProblems lines
}

// Partition is an entry of a partition table. Its place is as the entry says, which may be beyond the end.
type Partition struct {
	GUID       string         `json:"guid,omitzero"` // of GPT: the partition's own
	Index      int64          `json:"index"`         // as Linux counts: of MBR 1 to 4, logical ones from 5
	Label      Fact[Personal] `json:"label"`         // somebody chose it
	SizeBytes  int64          `json:"sizeBytes"`
	StartBytes int64          `json:"startBytes"`
	Table      string         `json:"table"` // "gpt" or "mbr"
	Type       string         `json:"type"`  // a GUID, or of MBR two hex digits
	Volume     Volume         `json:"volume"`
}

// Volume is what the signatures in a partition, or on the whole medium, tell.
type Volume struct {
	// PossiblyEncrypted is true where nothing is recognised and samples look random, as encrypted bytes do, and compressed
	// or random ones too. Unknown says why it was not tried.
	PossiblyEncrypted Fact[bool] `json:"possiblyEncrypted"`
	// Signatures are sorted by offset, then name. Unknown only if none was found and a place could not be read.
	Signatures Fact[[]Signature] `json:"signatures"`
	Unread     []UnreadPlace     `json:"unread"` // where a signature could have been, and the medium gave nothing
}

// Signature is a file system, an encryption or a volume manager that was recognised.
type Signature struct {
	Identifier  string         `json:"identifier,omitzero"` // its own: a UUID, a serial
	Label       Fact[Personal] `json:"label"`               // somebody chose it
	Name        string         `json:"name"`                // one of SignatureNames
	OffsetBytes int64          `json:"offsetBytes"`         // of its structure, from the beginning of the volume
}

// UnreadPlace is one that could not be read when the contents were looked at.
type UnreadPlace struct {
	OffsetBytes int64  `json:"offsetBytes"` // from the beginning of the volume
	Reason      string `json:"reason"`
}

// The words of Contents in version 1.
const (
	GPTAbsent  = "absent"  // no signature where a copy should be
	GPTDamaged = "damaged" // a signature, and something that does not fit
	GPTSound   = "sound"   // both checksums hold and every number is possible

	UsePrimary = "primary"
	UseBackup  = "backup" // the primary copy is not sound
	UseNone    = "none"   // neither is

	MBRNone       = "none"
	MBRPlain      = "mbr"
	MBRProtective = "protective" // one partition, which says that the other table counts
	MBRHybrid     = "hybrid"     // such a one and others

	TableGPT = "gpt"
	TableMBR = "mbr"
)

// The bounds of Contents.
const (
	MaxPartitions   = 256
	MaxProblems     = 32
	MaxSignatures   = 16              // in a volume
	MaxUnreadPlaces = 64              // of a volume
	maxProblem      = maxReason + 200 // bytes; one may hold a reason
)

// The words that a fact of Contents may take, and the names of signatures.
var (
	GPTStates = []string{GPTAbsent, GPTDamaged, GPTSound}
	GPTUses   = []string{UsePrimary, UseBackup, UseNone}
	MBRKinds  = []string{MBRNone, MBRPlain, MBRProtective, MBRHybrid}

	// EncryptionNames are those of SignatureNames that say that something is encrypted.
	EncryptionNames = []string{"apfs-keybag", "apple-encrypted-image", "bitlocker", "bitlocker-to-go", "luks1", "luks2"}
	// SignatureNames are all that this version recognises.
	SignatureNames = append([]string{"apfs", "btrfs", "corestorage", "exfat", "ext2", "ext3", "ext4", "fat12", "fat16", "fat32", "hfs",
		"hfsplus", "hfsx", "iso9660", "lvm2", "md", "ntfs", "refs", "swap", "ufs1", "ufs2", "xfs", "zfs"}, EncryptionNames...)
)

// Encrypts reports whether s says that something is encrypted: all of the volume, or with "apfs-keybag" perhaps a part.
func (s *Signature) Encrypts() bool { return slices.Contains(EncryptionNames, s.Name) }

var (
	guidForm       = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	mbrTypeForm    = regexp.MustCompile(`^[0-9a-f]{2}$`)
	hex8           = regexp.MustCompile(`^[0-9a-f]{8}$`)
	identifierForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
)

// Validate reports the first thing wrong with c, wrapping ErrMalformed or ErrNewer.
func (c *Contents) Validate() error {
	f := &factCheck{}
	f.word("gpt primary", c.GPT.Primary, GPTStates)
	f.word("gpt backup", c.GPT.Backup, GPTStates)
	f.word("gpt use", Known(c.GPT.Use), GPTUses)
	f.word("mbr kind", c.MBR.Kind, MBRKinds)
	f.form("diskGuid", c.GPT.DiskGUID, guidForm)
	f.form("diskSignature", c.MBR.DiskSignature, hex8)
	f.sector("gpt sectorBytes", c.GPT.SectorBytes)
	f.problems("gpt", c.GPT.Problems)
	f.problems("mbr", c.MBR.Problems)
	f.volume("medium", &c.Volume)
	if len(c.Partitions) > MaxPartitions {
		f.fail("partitions", fmt.Sprintf("more than %d", MaxPartitions))
		return f.err
	}
	for i := range c.Partitions {
		p := &c.Partitions[i]
		if i > 0 && !c.Partitions[i-1].before(p) {
			f.fail("partitions", "not sorted, or one is doubled")
		}
		f.partition(p)
	}
	return f.err
}

func (p *Partition) before(q *Partition) bool {
	return p.Table < q.Table || p.Table == q.Table && p.Index < q.Index
}

func (c *factCheck) partition(p *Partition) {
	name := fmt.Sprintf("partition %.40q %d", p.Table, p.Index)
	c.word("table of "+name, Known(p.Table), []string{TableGPT, TableMBR})
	form := guidForm
	if p.Table == TableMBR {
		form = mbrTypeForm
	}
	switch {
	case !form.MatchString(p.Type), p.Table == TableGPT && !guidForm.MatchString(p.GUID), p.Table == TableMBR && p.GUID != "":
		c.fail(name, "type or GUID")
	case p.Index < 1, p.StartBytes < 0, p.SizeBytes < 0, p.StartBytes > MaxInteger, p.SizeBytes > MaxInteger-p.StartBytes, p.Index > MaxInteger:
		c.fail(name, "index or place")
	}
	checkFact(c, "label of "+name, p.Label, func(*factCheck, Personal) {})
	c.volume(name, &p.Volume)
}

func (c *factCheck) volume(name string, v *Volume) {
	c.flags([]named[bool]{{"possiblyEncrypted of " + name, v.PossiblyEncrypted}})
	checkFact(c, "signatures of "+name, v.Signatures, func(c *factCheck, all []Signature) {
		if len(all) > MaxSignatures {
			c.fail(name, "too many signatures")
			return
		}
		for i, s := range all {
			c.word("signature in "+name, Known(s.Name), SignatureNames)
			checkFact(c, "label in "+name, s.Label, func(*factCheck, Personal) {})
			if s.OffsetBytes < 0 || s.OffsetBytes > MaxInteger || s.Identifier != "" && !identifierForm.MatchString(s.Identifier) {
				c.fail(name, "offset or identifier of a signature")
			}
			if i > 0 && (all[i-1].OffsetBytes > s.OffsetBytes || all[i-1].OffsetBytes == s.OffsetBytes && all[i-1].Name >= s.Name) {
				c.fail(name, "signatures are not sorted, or one is doubled")
			}
		}
	})
	if len(v.Unread) > MaxUnreadPlaces {
		c.fail(name, "too many unread places")
		return
	}
	last := int64(-1)
	for _, u := range v.Unread {
		if u.OffsetBytes <= last || u.OffsetBytes > MaxInteger {
			c.fail(name, "unread places are not sorted, or one is doubled")
		}
		last = u.OffsetBytes
		if err := checkShort("unread place of "+name, u.Reason, maxReason); err != nil && c.err == nil {
			c.err = err
		}
	}
}

func (c *factCheck) problems(table string, lines []string) {
	if len(lines) > MaxProblems {
		c.fail(table, "too many problems")
		return
	}
	for _, l := range lines {
		if err := checkShort("problem of "+table, l, maxProblem); err != nil && c.err == nil {
			c.err = err
		}
	}
}

// word requires one of the words of this version.
func (c *factCheck) word(field string, f Fact[string], words []string) {
	checkFact(c, field, f, func(c *factCheck, w string) {
		if !slices.Contains(words, w) && c.err == nil {
			c.err = fmt.Errorf("%s %.40q is %w", field, w, ErrNewer)
		}
	})
}
