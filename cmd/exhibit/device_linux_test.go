package main

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const (
	deviceBytes = 48 << 20
	filledBytes = 16 << 20 // at most so much of /usr/share/doc
)

// A device with a file system is acquired, and what other people's tools say of device and image is the same: sha256sum
// and b3sum of the bytes, fls of the names, debugfs of every file's content.
func TestAcquireDevice(t *testing.T) {
	t.Parallel()
	testtool.NeedRoot(t)
	testtool.Need(t, "losetup", "mkfs.ext4", "debugfs", "fls", "sha256sum", "b3sum", "diff")
	station := filepath.Join(t.TempDir(), "station")
	if err := makeBare(station); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "source")
	files := fill(t, source)
	medium := filepath.Join(t.TempDir(), "medium.img")
	testtool.Run(t, "truncate", "-s", fmt.Sprint(deviceBytes), medium)
	testtool.Run(t, "mkfs.ext4", "-q", "-d", source, medium)
	device := testtool.Run(t, "losetup", "--find", "--show", "--read-only", "--direct-io=on", medium)
	t.Cleanup(func() { testtool.Run(t, "losetup", "--detach", device) })
	before := sum(t, "sha256sum", medium)

	a, image := acquireDevice(t, station, device)

	for alg, name := range map[record.Algorithm]string{record.SHA256: "sha256sum", record.BLAKE3: "b3sum"} {
		got := ""
		for _, d := range a.Digests {
			if d.Digest.Algorithm() == alg {
				got = d.Digest.Hex()
			}
		}
		if onDevice, onImage := sum(t, name, device), sum(t, name, image); got != onDevice || got != onImage {
			t.Errorf("%s: the record says %q, the device has %q, the image %q", name, got, onDevice, onImage)
		}
	}
	if after := sum(t, "sha256sum", medium); after != before {
		t.Errorf("the medium has %s after the acquisition, and had %s", after, before)
	}
	listed := testtool.Run(t, "fls", "-r", "-p", image)
	for _, name := range files {
		if !strings.Contains(listed, "\t"+name+"\n") {
			t.Errorf("fls does not list %q", name)
		}
	}
	read := t.TempDir()
	testtool.Run(t, "debugfs", "-R", "rdump / "+read, image)
	testtool.Run(t, "diff", "--recursive", "--exclude=lost+found", source, read)
}

// acquireDevice acquires as exhibit 7, verifies the folder, and returns the record and the image's path.
func acquireDevice(t *testing.T, station, device string) (record.Acquisition, string) {
	t.Helper()
	cmd := exec.Command("exhibit", "acquire", device, "--exhibit", "7", "--case", "case", "--passphrase-file", "pass", "--json")
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = station, append(os.Environ(), "EXHIBIT_HOME="+filepath.Join(station, "home")), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("exhibit acquire: %v\n%s%s", err, &stdout, &stderr)
	}
	var doc acquireDocument
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	m := doc.Acquisition.Medium
	name, _ := m.Name.Get()
	sector, _ := m.LogicalSectorBytes.Get()
	if readOnly, known := m.ReadOnly.Get(); !known || !readOnly || m.Kind != record.MediumDevice || "/dev/"+name != device || sector != 512 || m.SizeBytes != deviceBytes {
		t.Errorf("the record describes the medium as %+v", m)
	}
	if err := runIn(station, "verify", doc.Folder); err != nil {
		t.Error(err)
	}
	return doc.Acquisition, filepath.Join(station, doc.Folder, "7.raw")
}

// fill makes a folder with part of /usr/share/doc and some names that need care, and returns the files' names.
func fill(t *testing.T, to string) []string {
	t.Helper()
	var names []string
	left := int64(filledBytes)
	add := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		left -= int64(len(content)) + 4096
	}
	add("Zürich/дело № 7.txt", []byte("ordinary\n"))
	add("empty", nil)
	add("large", bytes.Repeat([]byte("a larger file, of several groups\n"), 1<<16))
	const doc = "/usr/share/doc"
	err := filepath.WalkDir(doc, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(io.LimitReader(f, 1<<20))
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err == nil && left > int64(len(b))+4096 {
			add(filepath.Join("doc", strings.TrimPrefix(path, doc)), b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d bytes left of %d", len(names), left, filledBytes)
	return names
}

// sum is the digest that sha256sum or b3sum prints.
func sum(t *testing.T, name, path string) string {
	t.Helper()
	digest, _, _ := strings.Cut(testtool.Run(t, name, path), " ")
	return digest
}
