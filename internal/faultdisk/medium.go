//go:build linux

package faultdisk

import (
	"io"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// mediumFS serves the files that the loop devices lie over, and nothing else: one for each attachment, with the node
// number 2 for the first.
type mediumFS struct {
	fuse.RawFileSystem
	d *Disk
}

func newMediumFS(d *Disk) *mediumFS {
	return &mediumFS{fuse.NewDefaultRawFileSystem(), d}
}

const firstNode = fuse.FUSE_ROOT_ID + 1

// plug returns the attachment behind a node, or nil.
func (m *mediumFS) plug(node uint64) *plug {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	if i := node - firstNode; node >= firstNode && i < uint64(len(m.d.plugs)) {
		return m.d.plugs[i]
	}
	return nil
}

func (m *mediumFS) attr(node uint64, out *fuse.Attr) fuse.Status {
	if node == fuse.FUSE_ROOT_ID {
		*out = fuse.Attr{Ino: node, Mode: syscall.S_IFDIR | 0o700, Nlink: 2}
		return fuse.OK
	}
	p := m.plug(node)
	if p == nil {
		return fuse.ENOENT
	}
	m.d.mu.Lock()
	size := uint64(p.size)
	m.d.mu.Unlock()
	*out = fuse.Attr{Ino: node, Mode: syscall.S_IFREG | 0o600, Nlink: 1, Size: size, Blocks: size / 512, Blksize: 4096}
	return fuse.OK
}

// Lookup implements fuse.RawFileSystem. Nothing it answers is valid for any time: the kernel asks again.
func (m *mediumFS) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if header.NodeId != fuse.FUSE_ROOT_ID {
		return fuse.ENOTDIR
	}
	m.d.mu.Lock()
	for i, p := range m.d.plugs {
		if p.name == name {
			out.NodeId = firstNode + uint64(i)
		}
	}
	m.d.mu.Unlock()
	if out.NodeId == 0 {
		return fuse.ENOENT
	}
	return m.attr(out.NodeId, &out.Attr)
}

// GetAttr implements fuse.RawFileSystem.
func (m *mediumFS) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return m.attr(in.NodeId, &out.Attr)
}

// Open implements fuse.RawFileSystem. Direct I/O: no page cache over the file, whoever reads it.
func (m *mediumFS) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

// Read implements fuse.RawFileSystem.
func (m *mediumFS) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	p := m.plug(in.NodeId)
	if p == nil {
		return nil, fuse.ENOENT
	}
	off := int64(in.Offset)
	content, status := m.d.read(p, off, off+int64(in.Size))
	n := 0
	if status == fuse.OK {
		n, _ = content.ReadAt(buf[:in.Size], off)
		if n == 0 && in.Size > 0 {
			status = fuse.EIO
		}
	}
	m.d.record(p, OpRead, off, int64(in.Size), status)
	return fuse.ReadResultData(buf[:n]), status
}

// read decides what becomes of a read, and lets it wait as long as it has to.
func (d *Disk) read(p *plug, from, to int64) (content io.ReaderAt, status fuse.Status) {
	d.mu.Lock()
	f := &d.faults
	f.reads++
	die, unplug := f.die.fires(to, f.reads), f.unplug.fires(to, f.reads)
	var delay time.Duration
	for _, s := range f.slow {
		if s.touches(from, to) {
			delay = max(delay, s.delay)
		}
	}
	var release chan struct{}
	for _, h := range f.hangs {
		if h.touches(from, to) {
			release = h.release
			d.hanging++
			break
		}
	}
	p.dead = p.dead || die
	d.mu.Unlock()

	d.wait(delay, release)
	if unplug && d.pull(p) != nil {
		return nil, fuse.EIO
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if release != nil {
		d.hanging--
	}
	select {
	case <-d.closed:
		return nil, fuse.EIO
	default:
	}
	if p.dead || f.unreadable(from, to) {
		return nil, fuse.EIO
	}
	return d.content, fuse.OK
}

// wait lets a read be slow, or hang until it is released; Close ends both.
func (d *Disk) wait(delay time.Duration, release <-chan struct{}) {
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.closed:
		}
	}
	if release != nil {
		select {
		case <-release:
		case <-d.closed:
		}
	}
}

// unreadable says whether a read fails, and counts it at the flaky sectors. Disk.mu is held.
func (f *faults) unreadable(from, to int64) bool {
	fails := false
	for _, b := range f.bad {
		fails = fails || b.touches(from, to)
	}
	for _, fl := range f.flaky {
		counts := from >= fl.from && to <= fl.to
		for at := max(from, fl.from); at < min(to, fl.to); at += fl.sector {
			s := at / fl.sector
			if fl.failed[s] < fl.fails {
				fails = true
				if counts {
					fl.failed[s]++
				}
			}
		}
	}
	return fails
}

func (d *Disk) record(p *plug, op Op, off, n int64, status fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	device := p.name
	if p.loop != nil {
		device = p.loop.path
	}
	d.log = append(d.log, Access{Op: op, Device: device, Offset: off, Length: n, Err: syscall.Errno(status)})
}

// refuse logs an attempt to change the medium and fails it.
func (m *mediumFS) refuse(node uint64, op Op, off, n int64) fuse.Status {
	p := m.plug(node)
	if p == nil {
		return fuse.ENOENT
	}
	m.d.record(p, op, off, n, fuse.EIO)
	return fuse.EIO
}

// Write implements fuse.RawFileSystem. Only a Store is ever written to.
func (m *mediumFS) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	off, n := int64(in.Offset), int64(len(data))
	p := m.plug(in.NodeId)
	if p == nil {
		return 0, fuse.ENOENT
	}
	if m.d.opts.Store == nil || !m.d.takes(p, off, off+n) {
		return 0, m.refuse(in.NodeId, OpWrite, off, n)
	}
	if _, err := m.d.opts.Store.WriteAt(data, off); err != nil {
		return 0, m.refuse(in.NodeId, OpWrite, off, n)
	}
	m.d.record(p, OpWrite, off, n, fuse.OK)
	return uint32(n), fuse.OK
}

// takes says whether a write succeeds. Writes are not counted; by its offset, one kills or unplugs as a read does.
func (d *Disk) takes(p *plug, from, to int64) bool {
	d.mu.Lock()
	f := &d.faults
	p.dead = p.dead || to > f.die.offset
	unplug, fails := to > f.unplug.offset, p.dead || to > p.size
	for _, s := range f.stuck {
		fails = fails || s.touches(from, to)
	}
	d.mu.Unlock()
	if unplug {
		_ = d.pull(p) // the write fails in any case
	}
	return !fails && !unplug
}

// Fallocate implements fuse.RawFileSystem; the loop device makes a discard into one.
func (m *mediumFS) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return m.refuse(in.NodeId, OpDiscard, int64(in.Offset), int64(in.Length))
}

// SetAttr implements fuse.RawFileSystem. Times may be set: the kernel does that by itself.
func (m *mediumFS) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if size, ok := in.GetSize(); ok {
		return m.refuse(in.NodeId, OpTruncate, int64(size), 0)
	}
	return m.attr(in.NodeId, &out.Attr)
}

// Fsync implements fuse.RawFileSystem; a flush of the device's cache becomes one.
func (m *mediumFS) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	p := m.plug(in.NodeId)
	if p == nil {
		return fuse.ENOENT
	}
	m.d.record(p, OpSync, 0, 0, fuse.OK)
	return fuse.OK
}

// StatFs implements fuse.RawFileSystem: without a block size the loop device would offer no discard, and none were seen.
func (m *mediumFS) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	return fuse.OK
}

// Flush implements fuse.RawFileSystem.
func (m *mediumFS) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (m *mediumFS) String() string { return "faultdisk" }
