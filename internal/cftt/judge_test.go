//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// A judge that finds nothing wrong with a wrong image is worth nothing.
func TestJudge(t *testing.T) {
	want := bytes.Repeat([]byte{7}, 4*512)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		files map[string][]byte
		good  bool
	}{
		"whole":           {map[string][]byte{"1.raw": want}, true},
		"segments":        {map[string][]byte{"1.001": want[:512], "1.002": want[512:]}, true},
		"one bit":         {map[string][]byte{"1.raw": append(bytes.Clone(want[:100]), append([]byte{6}, want[101:]...)...)}, false},
		"short":           {map[string][]byte{"1.raw": want[:len(want)-1]}, false},
		"long":            {map[string][]byte{"1.raw": append(bytes.Clone(want), 0)}, false},
		"missing segment": {map[string][]byte{"1.001": want[:512]}, false},
	} {
		folder := filepath.Join(dir, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, b := range c.files {
			if err := os.WriteFile(filepath.Join(folder, file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var o outcome
		err := new(bench).same(&o, acquisition{number: "1", folder: folder}, want, "source")
		if err != nil || (len(o.wrong) == 0) != c.good || strings.Contains(o.text(), "not as expected") == c.good {
			t.Errorf("%s: %q, %v", name, o.text(), err)
		}
	}
	if err := new(bench).same(new(outcome), acquisition{number: "2", folder: dir}, want, "source"); err == nil {
		t.Error("no image is no error")
	}
	o := outcome{}
	o.exit("acquire", 0, 3, "said")
	o.digests("acquire", "00", want, "md5")
	if len(o.wrong) != 3 {
		t.Errorf("a wrong exit code and a missing digest give %q", o.wrong)
	}
}

func TestUnread(t *testing.T) {
	name := filepath.Join(t.TempDir(), "map")
	text := "# Mapfile. Created by exhibit 1\n# current_pos  current_status  current_pass\n0x00001000     +               1\n" +
		"#      pos        size  status\n0x00000000  0x00000200  +\n0x00000200  0x00000400  -\n0x00000600  0x00000A00  +\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := unread(name, 512)
	if want := []faultdisk.Range{{First: 1, Count: 2}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got := holed([]byte("aabbccdd"), 2, []faultdisk.Range{{First: 1, Count: 2}}); string(got) != "aa\x00\x00\x00\x00dd" {
		t.Errorf("holed gives %q", got)
	}
}
