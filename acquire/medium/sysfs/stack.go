package sysfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// maxList bounds the files of mounts and swap areas.
const maxList = 16 << 20

// stack is what lies on the block devices.
type stack struct {
	root   Root
	mounts []Mount
	swaps  []string            // names
	mapped map[string]string   // the device mapper's name in /dev/mapper, to the kernel's
	btrfs  map[string][]string // every device of the file system that a device belongs to
}

// Mount is a line of /proc/self/mountinfo.
type Mount struct {
	Number string // major:minor; of Btrfs and the like one that no device has
	Point  string
	Kind   string // of the file system
	Source string
	Upper  string // of an overlay, the folder that is written to
}

func (r Root) readStack() (*stack, error) {
	s := &stack{root: r, mapped: map[string]string{}, btrfs: map[string][]string{}}
	text, err := r.readProc("self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read the mounts: %w", err)
	}
	for line := range strings.Lines(text) {
		if m, ok := ParseMount(strings.TrimSuffix(line, "\n")); ok {
			s.mounts = append(s.mounts, m)
		}
	}
	// A kernel without swapping has no such file.
	text, err = r.readProc("swaps")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the swap areas: %w", err)
	}
	maps, err := fs.Glob(r.Sys, "block/*/dm/name")
	if err != nil {
		return nil, fmt.Errorf("list the mapped devices: %w", err)
	}
	for _, file := range maps {
		if name, err := r.read(file); err == nil {
			s.mapped[string(name)] = strings.Split(file, "/")[1]
		}
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "partition" {
			s.swaps = append(s.swaps, s.name(Unescape(f[0])))
		}
	}
	groups, err := fs.Glob(r.Sys, "fs/btrfs/*/devices")
	if err != nil {
		return nil, fmt.Errorf("list the devices of Btrfs: %w", err)
	}
	for _, g := range groups {
		var names []string
		entries, _ := fs.ReadDir(r.Sys, g) // gone meanwhile: nothing is mounted
		for _, e := range entries {
			names = append(names, e.Name())
		}
		for _, n := range names {
			s.btrfs[n] = names
		}
	}
	return s, nil
}

func (r Root) readProc(name string) (string, error) {
	f, err := r.Proc.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxList))
	return string(b), err
}

// name gives the kernel's name of the device file at p.
func (s *stack) name(p string) string {
	if m, ok := strings.CutPrefix(p, "/dev/mapper/"); ok && s.mapped[m] != "" {
		return s.mapped[m]
	}
	return strings.ReplaceAll(strings.TrimPrefix(p, "/dev/"), "/", "!")
}

// look fills in what uses b.
func (s *stack) look(b *Block) {
	seen := map[string]bool{}
	s.above(b, b.Name, b.Number, b.Folder, seen)
	for _, p := range b.Partitions {
		s.above(b, p.Name, p.Number, b.Folder+"/"+p.Name, seen)
	}
}

// above adds the uses of one device, and of those that hold it.
func (s *stack) above(b *Block, name, number, folder string, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	for _, m := range s.mounts {
		source := s.name(m.Source)
		if m.Number == number || source == name || slices.Contains(s.btrfs[source], name) {
			b.Uses = append(b.Uses, Use{name, UseMounted, m.Point})
			b.System = b.System || slices.Contains([]string{"/", "/boot", "/boot/efi", "/usr"}, m.Point)
		}
	}
	if slices.Contains(s.swaps, name) {
		b.Uses = append(b.Uses, Use{name, UseSwap, ""})
	}
	holders, err := fs.ReadDir(s.root.Sys, folder+"/holders")
	if err != nil {
		return // a device without such a folder is held by none
	}
	for _, h := range holders {
		b.Uses = append(b.Uses, Use{name, UseHeld, h.Name()})
		at, err := s.root.resolve("block/" + h.Name())
		if err != nil {
			continue
		}
		number, _ := s.root.read(at + "/dev") // without a number nothing is found mounted by it; the source still is
		s.above(b, h.Name(), string(number), at, seen)
	}
}

// ParseMount reads "36 35 98:0 /root /mount/point options... - type source superoptions" (proc_pid_mountinfo(5)), without
// the newline. An empty source leaves nothing between two spaces.
func ParseMount(line string) (Mount, bool) {
	fields := strings.Split(line, " ")
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+3 || fields[2] == "" || fields[4] == "" {
		return Mount{}, false
	}
	m := Mount{Number: fields[2], Point: Unescape(fields[4]), Kind: Unescape(fields[dash+1]), Source: Unescape(fields[dash+2])}
	for _, option := range strings.Split(strings.Join(fields[dash+3:], " "), ",") {
		if upper, found := strings.CutPrefix(option, "upperdir="); found && m.Kind == "overlay" {
			m.Upper = Unescape(upper)
		}
	}
	return m, true
}

// Unescape undoes the kernel's \040 for a space and the like, as in the lists of mounts and swap areas.
func Unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
