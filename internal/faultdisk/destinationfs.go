//go:build linux

package faultdisk

import (
	"errors"
	"io"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// destinationFS answers the kernel for a Destination. Nothing it answers is valid for any time, so the kernel keeps no
// names and no attributes; node numbers are the kernel's, too. A file handle is the life in which it was opened.
type destinationFS struct {
	fuse.RawFileSystem
	d *Destination
}

func newDestinationFS(d *Destination) *destinationFS {
	return &destinationFS{fuse.NewDefaultRawFileSystem(), d}
}

func (f *destinationFS) String() string { return "faultdest" }

func sortedNames(m map[string]*node) []string { return slices.Sorted(maps.Keys(m)) }

// find returns a node for reading; d.mu is held.
func (d *Destination) find(id uint64) (*node, fuse.Status) {
	if d.lost {
		return nil, fuse.EIO
	}
	n := d.nodes[id]
	if n == nil {
		return nil, fuse.EIO // of a former life
	}
	return n, fuse.OK
}

// change returns a node for changing it or making it survive; d.mu is held.
func (d *Destination) change(id uint64) (*node, fuse.Status) {
	if status := d.step(); status != fuse.OK {
		return nil, status
	}
	return d.find(id)
}

func (n *node) attr(out *fuse.Attr) {
	kind, links := uint32(syscall.S_IFREG), uint32(n.links)
	if n.dir {
		kind, links = syscall.S_IFDIR, 2
	}
	*out = fuse.Attr{Ino: n.id, Mode: kind | n.seen.mode, Nlink: links, Size: uint64(n.seen.size),
		Blocks: uint64(n.allocated.total() / 512), Blksize: block}
	out.SetTimes(&n.seen.mtime, &n.seen.mtime, &n.seen.mtime)
}

func (n *node) entry(out *fuse.EntryOut) fuse.Status {
	out.NodeId, out.Generation = n.id, 1
	n.attr(&out.Attr)
	n.lookups++
	return fuse.OK
}

// Forget implements fuse.RawFileSystem.
func (f *destinationFS) Forget(id, lookups uint64) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if n := f.d.nodes[id]; n != nil {
		n.lookups -= min(n.lookups, lookups)
		_ = f.d.reap(n) // Close says what could not be removed
	}
}

// Lookup implements fuse.RawFileSystem.
func (f *destinationFS) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	dir, status := f.d.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n := dir.entries[name]
	if n == nil {
		return fuse.ENOENT
	}
	return n.entry(out)
}

// GetAttr implements fuse.RawFileSystem.
func (f *destinationFS) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.find(in.NodeId)
	if status == fuse.OK {
		n.attr(&out.Attr)
	}
	return status
}

// SetAttr implements fuse.RawFileSystem: size, mode and time; the owner is taken and forgotten.
func (f *destinationFS) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.change(in.NodeId)
	if status != fuse.OK {
		return status
	}
	if size, ok := in.GetSize(); ok {
		if int64(size) > f.d.maxFile {
			return fuse.Status(unix.EFBIG)
		}
		if err := n.truncate(int64(size)); err != nil {
			return fuse.EIO
		}
		f.d.used -= n.allocated.cut(roundUp(int64(size)))
	}
	if mode, ok := in.GetMode(); ok {
		n.seen.mode = mode
	}
	if t, ok := in.GetMTime(); ok {
		n.seen.mtime = t
	}
	n.attr(&out.Attr)
	return fuse.OK
}

// make puts a new file or directory into a directory; d.mu is held.
func (d *Destination) make(parent uint64, name string, dir bool, mode uint32) (*node, fuse.Status) {
	p, status := d.change(parent)
	switch {
	case status != fuse.OK:
		return nil, status
	case p.entries[name] != nil:
		return nil, fuse.Status(unix.EEXIST)
	case d.used+block > min(d.full, d.size):
		return nil, fuse.Status(unix.ENOSPC)
	}
	n, err := d.newNode(dir, mode)
	if err != nil {
		return nil, fuse.EIO
	}
	p.entries[name], n.links = n, 1
	p.seen.mtime = time.Now()
	return n, fuse.OK
}

// Mkdir implements fuse.RawFileSystem.
func (f *destinationFS) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.make(in.NodeId, name, true, in.Mode)
	if status != fuse.OK {
		return status
	}
	return n.entry(out)
}

// Create implements fuse.RawFileSystem.
func (f *destinationFS) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.make(in.NodeId, name, false, in.Mode)
	if status != fuse.OK {
		return status
	}
	out.Fh = f.d.life
	return n.entry(&out.EntryOut)
}

// Open implements fuse.RawFileSystem.
func (f *destinationFS) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	_, status := f.d.find(in.NodeId)
	if status == fuse.OK && f.d.readOnly && in.Flags&unix.O_ACCMODE != unix.O_RDONLY {
		status = fuse.EROFS
	}
	out.Fh = f.d.life
	return status
}

// OpenDir implements fuse.RawFileSystem.
func (f *destinationFS) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return f.Open(cancel, in, out)
}

// Read implements fuse.RawFileSystem.
func (f *destinationFS) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.find(in.NodeId)
	if status != fuse.OK || in.Fh != f.d.life {
		return nil, fuse.EIO
	}
	got, err := n.data.ReadAt(buf[:in.Size], int64(in.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fuse.EIO
	}
	return fuse.ReadResultData(buf[:got]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (f *destinationFS) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	f.d.slowDown(int64(len(data)))
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.change(in.NodeId)
	switch {
	case status != fuse.OK:
		return 0, status
	case in.Fh != f.d.life:
		return 0, fuse.EIO
	}
	s := span{int64(in.Offset), int64(in.Offset) + int64(len(data))}
	if in.Flags&unix.O_APPEND != 0 {
		s = span{n.seen.size, n.seen.size + int64(len(data))}
	}
	if s.to = min(s.to, f.d.maxFile); s.to <= s.from {
		return 0, fuse.Status(unix.EFBIG)
	}
	s = f.d.allocate(n, s)
	if s.to <= s.from {
		return 0, fuse.Status(unix.ENOSPC)
	}
	if _, err := n.data.WriteAt(data[:s.to-s.from], s.from); err != nil {
		return 0, fuse.EIO
	}
	n.dirty.add(s)
	n.seen.size, n.seen.mtime = max(n.seen.size, s.to), time.Now()
	return uint32(s.to - s.from), fuse.OK
}

// allocate takes the blocks of a span, and returns how much of it has room; d.mu is held.
func (d *Destination) allocate(n *node, s span) span {
	room := func(s span) span { return span{s.from - s.from%block, roundUp(s.to)} }
	for s.to > s.from && n.allocated.missing(room(s)) > min(d.full, d.size)-d.used {
		s.to = (s.to - 1) / block * block
	}
	if s.to > s.from {
		d.used += n.allocated.add(room(s))
	}
	return s
}

// Fallocate implements fuse.RawFileSystem: reserving, with or without the size.
func (f *destinationFS) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.change(in.NodeId)
	s := span{int64(in.Offset), int64(in.Offset + in.Length)}
	switch {
	case status != fuse.OK:
		return status
	case in.Mode&^unix.FALLOC_FL_KEEP_SIZE != 0:
		return fuse.Status(unix.EOPNOTSUPP)
	case in.Fh != f.d.life:
		return fuse.EIO
	case s.to > f.d.maxFile:
		return fuse.Status(unix.EFBIG)
	case f.d.allocate(n, s) != s:
		return fuse.Status(unix.ENOSPC)
	}
	if in.Mode == 0 && s.to > n.seen.size && n.truncate(s.to) != nil {
		return fuse.EIO
	}
	return fuse.OK
}

// Flush implements fuse.RawFileSystem: closing a file makes nothing survive.
func (f *destinationFS) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// Fsync implements fuse.RawFileSystem.
func (f *destinationFS) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, status := f.d.change(in.NodeId)
	switch {
	case status != fuse.OK:
		return status
	case in.Fh != f.d.life || f.d.sync(n) != nil:
		return fuse.EIO
	}
	return fuse.OK
}

// FsyncDir implements fuse.RawFileSystem.
func (f *destinationFS) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.Fsync(cancel, in)
}

// StatFs implements fuse.RawFileSystem.
func (f *destinationFS) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.lost {
		return fuse.EIO
	}
	free := uint64(max(0, f.d.size-f.d.used) / block)
	*out = fuse.StatfsOut{Blocks: uint64(f.d.size / block), Bfree: free, Bavail: free, Files: 1 << 20, Ffree: 1 << 20,
		Bsize: block, Frsize: block, NameLen: 255}
	return fuse.OK
}
