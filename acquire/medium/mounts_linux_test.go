package medium

import "testing"

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
