package medium

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/exhibit-forensics/exhibit/acquire/medium/sysfs"
)

func TestParseMount(t *testing.T) {
	for line, want := range map[string]mount{
		`36 35 98:0 /mnt1 /mnt/a\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: {98 << 8, "/mnt/a b", "ext3", "/dev/root", ""},
		`36 35 0:40 / /mnt rw - btrfs /dev/sd\134x rw`:                                         {40, "/mnt", "btrfs", `/dev/sd\x`, ""},
		`36 35 0:41 / /mnt rw - tmpfs  rw`:                                                     {41, "/mnt", "tmpfs", "", ""},
		`36 35 0:42 / /m rw - overlay none rw,lowerdir=/l,upperdir=/a\040b/u,workdir=/w`:       {42, "/m", "overlay", "none", "/a b/u"},
	} {
		if got, ok := parseMount(line); !ok || got != want {
			t.Errorf("%s\ngot  %+v, %t\nwant %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "36 35 98:0 / / rw", "36 35 x:0 / / rw - ext3 a b", "1 2 3:4 - a b"} {
		if got, ok := parseMount(line); ok {
			t.Errorf("%q was taken for %+v", line, got)
		}
	}
}

func TestMountOf(t *testing.T) {
	mounts := []mount{{dev: 1, point: "/"}, {dev: 2, point: "/pro"}, {dev: 3, point: "/proc"}, {dev: 4, point: "/proc"}}
	for path, want := range map[string]uint64{"/proc": 4, "/": 1, "/etc": 1} {
		if m, ok := mountOf(mounts, path); !ok || m.dev != want {
			t.Errorf("%s is on %+v, want %d", path, m, want)
		}
	}
}

// escape does what the kernel does to the names in mountinfo.
func escape(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(s)
}

// Whatever is mounted wherever is read as it was written, and what is not a line of mountinfo never panics.
func FuzzParseMount(f *testing.F) {
	f.Add("/mnt/a b", "ext4", "/dev/sda1", "rw", uint8(8))
	f.Add("/", "overlay", "", "rw,upperdir=/a\\040b,workdir=/w", uint8(0))
	f.Add("-", "-", "- -", "- - -", uint8(255))
	f.Fuzz(func(t *testing.T, point, kind, source, options string, major uint8) {
		parseMount(options)
		if sysfs.Unescape(escape(point)) != point {
			t.Errorf("%q became %q", point, sysfs.Unescape(escape(point)))
		}
		if point == "-" || point == "" || kind == "" || !utf8.ValidString(options) || strings.ContainsAny(options, "\n") {
			return
		}
		line := fmt.Sprintf("36 35 %d:0 / %s rw,noatime master:1 - %s %s %s", major, escape(point), escape(kind), escape(source), options)
		m, ok := parseMount(line)
		if !ok || m.dev != uint64(major)<<8 || m.point != point || m.kind != kind || m.source != source {
			t.Errorf("%q was taken for %+v, %t", line, m, ok)
		}
	})
}

func FuzzLogicalVolume(f *testing.F) {
	f.Add("my-group", "a-b")
	f.Add("vg", "")
	f.Fuzz(func(t *testing.T, group, volume string) {
		if strings.HasPrefix(volume, "-") || strings.HasSuffix(group, "-") || group == "" {
			return // LVM takes no such names
		}
		double := strings.NewReplacer("-", "--")
		if g, v := logicalVolume(double.Replace(group) + "-" + double.Replace(volume)); g != group || v != volume {
			t.Errorf("group %q and volume %q became %q and %q", group, volume, g, v)
		}
	})
}
