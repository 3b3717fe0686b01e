package contents

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// lookAt is Look with labels as their own text, keyed by pointer.
func lookAt(t testing.TB, r io.ReaderAt, size, sector int64) (record.Contents, map[string]string) {
	t.Helper()
	f := Look(context.Background(), r, size, sector)
	labels := map[string]string{}
	for _, l := range f.Labels {
		labels[l.Pointer] = l.Text
	}
	c, err := f.Withhold("a test")
	if err != nil {
		t.Fatal(err)
	}
	return c, labels
}

func lookAtFile(t testing.TB, name string, sector int64) (record.Contents, map[string]string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return lookAt(t, f, info.Size(), sector)
}

// sparse makes a file of that many MiB.
func sparse(t testing.TB, mib int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, mib<<20); err != nil {
		t.Fatal(err)
	}
	return name
}

func run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// names are those of the signatures.
func names(v record.Volume) []string {
	all, _ := v.Signatures.Get()
	var out []string
	for _, s := range all {
		out = append(out, s.Name)
	}
	return out
}

// blkid is what libblkid says of a file.
func blkid(t testing.TB, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	s := bufio.NewScanner(strings.NewReader(run(t, "", "blkid", "-p", "-o", "export", name)))
	for s.Scan() {
		key, value, _ := strings.Cut(s.Text(), "=")
		out[key] = value
	}
	return out
}

// comparable writes an identifier as libblkid and this package both could.
func comparable(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

// sameAsBlkid holds the first signature against libblkid.
func sameAsBlkid(t *testing.T, file string, v record.Volume, label string) {
	t.Helper()
	all, _ := v.Signatures.Get()
	if len(all) == 0 {
		t.Fatal("nothing was recognised")
	}
	theirs := blkid(t, file)
	types := map[string]string{"vfat": "fat", "crypto_LUKS": "luks", "LVM2_member": "lvm2", "linux_raid_member": "md", "zfs_member": "zfs",
		"BitLocker": "bitlocker", "hfsplus": "hfs", "ufs": "ufs", "ReFS": "refs"}
	want, ok := types[theirs["TYPE"]]
	if !ok {
		want = theirs["TYPE"]
	}
	if want == "" || !strings.HasPrefix(all[0].Name, want) {
		t.Errorf("recognised %q, and libblkid says %q", all[0].Name, theirs["TYPE"])
	}
	if id := theirs["UUID"]; id != "" && all[0].Identifier != "" && comparable(id) != comparable(all[0].Identifier) {
		t.Errorf("identifier %q, and libblkid says %q", all[0].Identifier, id)
	}
	if label != theirs["LABEL"] {
		t.Errorf("label %q, and libblkid says %q", label, theirs["LABEL"])
	}
}

func TestFileSystemsOfTools(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]struct {
		mib   int64
		args  []string
		stdin string
	}{
		"ext2":  {8, []string{"mkfs.ext2", "-q", "-L", "exttwo"}, ""},
		"ext3":  {8, []string{"mkfs.ext3", "-q", "-L", "drei"}, ""},
		"ext4":  {8, []string{"mkfs.ext4", "-q", "-L", "vier"}, ""},
		"xfs":   {320, []string{"mkfs.xfs", "-q", "-L", "xlabel"}, ""},
		"btrfs": {120, []string{"mkfs.btrfs", "-q", "-L", "butter"}, ""},
		"ntfs":  {8, []string{"mkfs.ntfs", "-q", "-F", "-f"}, ""},
		"exfat": {8, []string{"mkfs.exfat"}, ""},
		"fat12": {2, []string{"mkfs.fat", "-F", "12", "-n", "TWELVE"}, ""},
		"fat16": {16, []string{"mkfs.fat", "-F", "16", "-n", "SIXTEEN"}, ""},
		"fat32": {64, []string{"mkfs.fat", "-F", "32"}, ""},
		"swap":  {8, []string{"mkswap", "-q", "-L", "swapped"}, ""},
		"luks1": {8, []string{"cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000"}, "p"},
		"luks2": {20, []string{"cryptsetup", "luksFormat", "-q", "--type", "luks2", "--label", "vault", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"}, "p"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			testtool.Need(t, test.args[0], "blkid")
			name := sparse(t, test.mib)
			run(t, test.stdin, append(slices.Clone(test.args), name)...)
			c, labels := lookAtFile(t, name, 512)
			if got := names(c.Volume); !slices.Equal(got, []string{want}) {
				t.Fatalf("recognised %q, want %q", got, want)
			}
			sameAsBlkid(t, name, c.Volume, labels["/volume/signatures/0/label"])
			if kind, _ := c.MBR.Kind.Get(); kind != record.MBRNone || c.GPT.Use != record.UseNone || len(c.Partitions) != 0 {
				t.Errorf("a medium without partitions has the table %q, GPT %q, %d partitions", kind, c.GPT.Use, len(c.Partitions))
			}
			signatures, _ := c.Volume.Signatures.Get()
			if got := signatures[0].Encrypts(); got != strings.HasPrefix(want, "luks") {
				t.Errorf("Encrypts = %t", got)
			}
		})
	}
}

// A header of LUKS2 that was wiped leaves the second one.
func TestLUKS2SecondHeader(t *testing.T) {
	t.Parallel()
	testtool.Need(t, "cryptsetup")
	name := sparse(t, 20)
	run(t, "p", "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	c, _ := lookAtFile(t, name, 512)
	all, _ := c.Volume.Signatures.Get()
	if len(all) != 1 || all[0].Name != "luks2" || all[0].OffsetBytes != 16<<10 || all[0].Identifier == "" {
		t.Errorf("recognised %+v, want the second header at 16384", all)
	}
}

func place(p record.Partition) [3]int64 {
	return [3]int64{p.Index, p.StartBytes >> 20, p.SizeBytes >> 20}
}

func TestMBROfSfdisk(t *testing.T) {
	t.Parallel()
	testtool.Need(t, "sfdisk", "mkfs.ext4", "blkid")
	name := sparse(t, 64)
	run(t, "label: dos\nlabel-id: 0x1234abcd\n1M 8M c\n9M 40M 5\n10M 4M 83\n15M 5M 83\n21M 6M 82\n50M 10M 83\n", "sfdisk", "-q", name)
	ext4 := sparse(t, 5)
	run(t, "", "mkfs.ext4", "-q", "-L", "logical", ext4)
	b, err := os.ReadFile(ext4)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 15<<20); err != nil {
		t.Fatal(err)
	}
	c, labels := lookAtFile(t, name, 512)
	if kind, _ := c.MBR.Kind.Get(); kind != record.MBRPlain || len(c.MBR.Problems) != 0 {
		t.Errorf("kind %q, problems %q; want %q", kind, c.MBR.Problems, record.MBRPlain)
	}
	if id, _ := c.MBR.DiskSignature.Get(); id != "1234abcd" {
		t.Errorf("disk signature %q, want 1234abcd", id)
	}
	want := map[[3]int64]string{{1, 1, 8}: "0c", {2, 9, 40}: "05", {3, 50, 10}: "83", {5, 10, 4}: "83", {6, 15, 5}: "83", {7, 21, 6}: "82"}
	for _, p := range c.Partitions {
		if want[place(p)] != p.Type || p.Table != record.TableMBR {
			t.Errorf("partition %+v is not one that was made", p)
		}
		delete(want, place(p))
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	if got := names(c.Partitions[4].Volume); !slices.Equal(got, []string{"ext4"}) || labels["/partitions/4/volume/signatures/0/label"] != "logical" {
		t.Errorf("partition 6 holds %q with labels %q", got, labels)
	}
	if got, known := c.Partitions[1].Volume.PossiblyEncrypted.Get(); known {
		t.Errorf("the extended partition was judged: %t", got)
	}
}

func TestGPTOfSgdisk(t *testing.T) {
	t.Parallel()
	testtool.Need(t, "sgdisk", "mkfs.fat")
	name := sparse(t, 64)
	run(t, "", "sgdisk", "-n", "1:2048:+8M", "-t", "1:ef00", "-c", "1:EFI of Zoë", "-n", "5:0:+20M", "-t", "5:8300", "-u", "5:11111111-2222-3333-4444-555555555555",
		"-U", "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", name)
	run(t, "", "mkfs.fat", "--offset", "2048", "-F", "12", "-n", "BOOT", name, "8192")
	c, labels := lookAtFile(t, name, 512)
	for field, f := range map[string]record.Fact[string]{"primary": c.GPT.Primary, "backup": c.GPT.Backup} {
		if state, _ := f.Get(); state != record.GPTSound {
			t.Errorf("the %s copy is %q (%s)", field, state, f.Reason())
		}
	}
	if id, _ := c.GPT.DiskGUID.Get(); id != "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" || c.GPT.Use != record.UsePrimary || len(c.GPT.Problems) != 0 {
		t.Errorf("GPT %+v", c.GPT)
	}
	if kind, _ := c.MBR.Kind.Get(); kind != record.MBRProtective || len(c.Partitions) != 2 {
		t.Fatalf("kind %q, %d partitions; want protective and 2", kind, len(c.Partitions))
	}
	first, fifth := c.Partitions[0], c.Partitions[1]
	if place(first) != [3]int64{1, 1, 8} || first.Type != "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" || labels["/partitions/0/label"] != "EFI of Zoë" {
		t.Errorf("partition 1 is %+v, labels %q", first, labels)
	}
	if got := names(first.Volume); !slices.Equal(got, []string{"fat12"}) || labels["/partitions/0/volume/signatures/0/label"] != "BOOT" {
		t.Errorf("partition 1 holds %q, labels %q", got, labels)
	}
	if place(fifth) != [3]int64{5, 9, 20} || fifth.GUID != "11111111-2222-3333-4444-555555555555" || fifth.Type != "0fc63daf-8483-4772-8e79-3d69d8477de4" {
		t.Errorf("partition 5 is %+v", fifth)
	}
	if e, known := fifth.Volume.PossiblyEncrypted.Get(); !known || e {
		t.Errorf("a partition of zeros: possibly encrypted %t, %t", e, known)
	}
	// A disk with sectors of 4096 bytes that lies in a file tells its unit itself.
	if unit, _ := c.GPT.SectorBytes.Get(); unit != 512 {
		t.Errorf("the table counts in %d bytes", unit)
	}
	if again, _ := lookAtFile(t, name, 4096); len(again.Partitions) != 2 || place(again.Partitions[0]) != place(first) {
		t.Errorf("looked at with sectors of 4096 it has %d partitions", len(again.Partitions))
	}
}

// A volume on the whole medium is no partition table; entries written over it later are listed, and the doubt is said.
func TestFATWithPartitionTable(t *testing.T) {
	t.Parallel()
	testtool.Need(t, "mkfs.fat")
	name := sparse(t, 16)
	run(t, "", "mkfs.fat", "-F", "16", name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	look := func(entries ...[3]uint32) record.Contents {
		b := bytes.Clone(b)
		mbrWith(b, entries...)
		c, _ := lookAt(t, bytes.NewReader(b), int64(len(b)), 512)
		return c
	}
	for _, entries := range [][][3]uint32{nil, {{6, 63, 40000}}, {{6, 0, 100}}, {{6, 63, 0}}, {{0, 63, 100}}, {{6, 63, 1000}, {6, 1000, 1000}}} {
		c := look(entries...)
		if kind, _ := c.MBR.Kind.Get(); kind != record.MBRNone || len(c.Partitions) != 0 {
			t.Errorf("entries %d: kind %q, %d partitions", entries, kind, len(c.Partitions))
		}
	}
	c := look([3]uint32{6, 63, 1000}, [3]uint32{6, 1063, 1000})
	if kind, _ := c.MBR.Kind.Get(); kind != record.MBRPlain || len(c.Partitions) != 2 || len(c.MBR.Problems) != 1 {
		t.Errorf("sound entries: %+v, %d partitions", c.MBR, len(c.Partitions))
	}
	if got := names(c.Volume); !slices.Equal(got, []string{"fat16"}) {
		t.Errorf("recognised %q", got)
	}
}
