//go:build linux

package faultdisk

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// remove takes a name away, and frees what nobody sees any longer; d.mu is held.
func (d *Destination) remove(dir *node, name string) {
	n := dir.entries[name]
	delete(dir.entries, name)
	dir.seen.mtime = time.Now()
	if n.links--; n.links == 0 {
		d.used -= n.allocated.total()
		n.allocated = nil
	}
}

func (f *destinationFS) unlink(parent uint64, name string, dir bool) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	p, status := f.d.change(parent)
	if status != fuse.OK {
		return status
	}
	n := p.entries[name]
	switch {
	case n == nil:
		return fuse.ENOENT
	case n.dir && !dir:
		return fuse.EISDIR
	case !n.dir && dir:
		return fuse.ENOTDIR
	case len(n.entries) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	}
	f.d.remove(p, name)
	return fuse.OK
}

// Unlink implements fuse.RawFileSystem.
func (f *destinationFS) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return f.unlink(in.NodeId, name, false)
}

// Rmdir implements fuse.RawFileSystem.
func (f *destinationFS) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return f.unlink(in.NodeId, name, true)
}

// Rename implements fuse.RawFileSystem, with RENAME_NOREPLACE and without; an exchange is refused.
func (f *destinationFS) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	from, status := f.d.change(in.NodeId)
	if status != fuse.OK {
		return status
	}
	to, status := f.d.find(in.Newdir)
	if status != fuse.OK {
		return status
	}
	n, there := from.entries[oldName], to.entries[newName]
	switch {
	case in.Flags&^unix.RENAME_NOREPLACE != 0:
		return fuse.EINVAL
	case n == nil:
		return fuse.ENOENT
	case n == there:
		return fuse.OK
	case there != nil && in.Flags&unix.RENAME_NOREPLACE != 0:
		return fuse.Status(unix.EEXIST)
	case there != nil && len(there.entries) > 0:
		return fuse.Status(unix.ENOTEMPTY)
	case there != nil:
		f.d.remove(to, newName)
	}
	delete(from.entries, oldName)
	to.entries[newName] = n
	from.seen.mtime, to.seen.mtime = time.Now(), time.Now()
	if from != to {
		from.tied[to], to.tied[from] = true, true
	}
	return fuse.OK
}

// Link implements fuse.RawFileSystem.
func (f *destinationFS) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	p, status := f.d.change(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n, status := f.d.find(in.Oldnodeid)
	switch {
	case status != fuse.OK:
		return status
	case p.entries[name] != nil:
		return fuse.Status(unix.EEXIST)
	}
	p.entries[name] = n
	p.seen.mtime = time.Now()
	n.links++
	return n.entry(out)
}

// list calls add with each name from the offset on, "." and ".." first, until it says that there is no more room.
func (f *destinationFS) list(in *fuse.ReadIn, add func(e fuse.DirEntry, n *node) bool) fuse.Status {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	dir, status := f.d.find(in.NodeId)
	if status != fuse.OK || in.Fh != f.d.life {
		return fuse.EIO
	}
	for i, name := range append([]string{".", ".."}, sortedNames(dir.entries)...) {
		n, kind := dir, uint32(syscall.S_IFDIR)
		if i >= 2 {
			n = dir.entries[name]
		}
		if !n.dir {
			kind = syscall.S_IFREG
		}
		if uint64(i) >= in.Offset && !add(fuse.DirEntry{Name: name, Ino: n.id, Mode: kind, Off: uint64(i) + 1}, n) {
			break
		}
	}
	return fuse.OK
}

// ReadDir implements fuse.RawFileSystem.
func (f *destinationFS) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.list(in, func(e fuse.DirEntry, _ *node) bool { return out.AddDirEntry(e) })
}
