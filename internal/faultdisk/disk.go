//go:build linux

package faultdisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Range is a run of sectors, counted in the device's own sectors.
type Range struct{ First, Count int64 }

// Options says what medium to make. The zero value of each field is a default.
type Options struct {
	SizeBytes   int64       // default 16 MiB; a multiple of SectorBytes
	SectorBytes int         // default 512; 4096 refuses what is not aligned to it, as a 4Kn drive does
	Seed        uint64      // of the Pattern, when there is no Content
	Content     io.ReaderAt // what a whole medium would answer; must serve SizeBytes and be safe for concurrent use
	Partitions  []Range     // up to four, in sectors, written into an MBR over the content and told to the kernel
	ReadOnly    bool        // the device's read-only flag is set from the start
	Store       Store       // in place of Content: what is written goes there. Nil: every write fails
}

// Store keeps what is written to a device. It must be safe for concurrent use, as an *os.File is.
type Store interface {
	io.ReaderAt
	io.WriterAt
}

func (o *Options) fill() error {
	if o.SizeBytes == 0 {
		o.SizeBytes = 16 << 20
	}
	if o.SectorBytes == 0 {
		o.SectorBytes = 512
	}
	if o.SizeBytes < 0 || o.SizeBytes%int64(o.SectorBytes) != 0 {
		return fmt.Errorf("a medium of %d bytes has no whole number of sectors of %d", o.SizeBytes, o.SectorBytes)
	}
	if len(o.Partitions) > 4 {
		return fmt.Errorf("an MBR has room for 4 partitions, not %d", len(o.Partitions))
	}
	if o.Store != nil {
		if o.Content != nil || o.Partitions != nil {
			return errors.New("a medium has either a Store or Content and Partitions")
		}
		o.Content = o.Store
	}
	if o.Content == nil {
		o.Content = Pattern{Seed: o.Seed, SizeBytes: o.SizeBytes}
	}
	if o.Partitions != nil {
		o.Content = withPartitions(o.Content, o.Partitions)
	}
	return nil
}

// Disk is a block device whose faults are switched at run time. Its methods may be called from any goroutine.
type Disk struct {
	opts   Options
	dir    string // the FUSE mount
	server *fuse.Server
	guard  *guard
	served chan struct{} // closed when the server has ended
	closed chan struct{} // closed by Close: nothing waits any longer

	mu      sync.Mutex
	content io.ReaderAt
	faults  faults
	plugs   []*plug // the attachments, in order; the last is the present one
	log     []Access
	hanging int // reads that wait for Release
}

// plug is one attachment of the medium: a file in the FUSE mount and the loop device over it.
type plug struct {
	name string
	loop *loop
	size int64 // what the device says of itself
	dead bool  // every read fails
}

// Attach makes a device; Close ends it.
func Attach(opts Options) (*Disk, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "faultdisk-")
	if err != nil {
		return nil, err
	}
	d := &Disk{opts: opts, dir: dir, content: opts.Content, served: make(chan struct{}), closed: make(chan struct{})}
	d.faults.reset()
	d.server, err = fuse.NewServer(newMediumFS(d), dir, mountOptions("faultdisk"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount %q: %w", dir, err), os.Remove(dir))
	}
	go func() {
		defer close(d.served)
		d.server.Serve()
	}()
	if d.guard, err = guardMount(dir); err == nil {
		err = d.server.WaitMount()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.plugIn(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// mountOptions asks for requests of 1 MiB, so that one read of a device is one request, and for enough of them at a time
// that some which hang do not stop the others.
func mountOptions(name string) *fuse.MountOptions {
	return &fuse.MountOptions{
		Name: name, FsName: name, DirectMountStrict: true, MaxWrite: 1 << 20, MaxBackground: 128, AllowOther: true, DisableReadDirPlus: true,
		ExtraCapabilities: fuse.CAP_ASYNC_DIO, // without it one read that hangs would hold up all others of its loop device
		DisableSplice:     true,               // a pipe is too small for such requests, and each would be logged
	}
}

// plugIn attaches the medium under a new name.
func (d *Disk) plugIn() error {
	d.mu.Lock()
	p := &plug{name: fmt.Sprintf("disk-%d.img", len(d.plugs)+1), size: d.opts.SizeBytes}
	d.plugs = append(d.plugs, p)
	d.mu.Unlock()
	var flags uint32
	if d.opts.Partitions != nil {
		flags |= unix.LO_FLAGS_PARTSCAN
	}
	if d.opts.ReadOnly {
		flags |= unix.LO_FLAGS_READ_ONLY
	}
	l, err := attachLoop(filepath.Join(d.dir, p.name), d.opts.SectorBytes, flags)
	if err != nil {
		return err
	}
	d.mu.Lock()
	p.loop = l
	d.mu.Unlock()
	for i, r := range d.opts.Partitions {
		s := d.span(r)
		if err := l.addPartition(i+1, s.from, s.to-s.from); err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) present() *plug {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plugs[len(d.plugs)-1]
}

// Path is the device's name, /dev/loopN; after Revive it is another one.
func (d *Disk) Path() string { return d.present().loop.path }

// Content is what a whole medium would answer.
func (d *Disk) Content() io.ReaderAt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.content
}

// SizeBytes is the size the medium was made with, whatever the device says by now.
func (d *Disk) SizeBytes() int64 { return d.opts.SizeBytes }

// SectorBytes is the size of a sector.
func (d *Disk) SectorBytes() int { return d.opts.SectorBytes }

// Close lets every read go that hangs, detaches, unmounts, and waits until both have happened. Somebody who still has the
// device open is an error after ten seconds.
func (d *Disk) Close() error {
	d.mu.Lock()
	select {
	case <-d.closed:
		d.mu.Unlock()
		return nil
	default:
	}
	close(d.closed)
	plugs := d.plugs
	d.mu.Unlock()
	var err error
	for _, p := range plugs {
		if p.loop != nil {
			err = errors.Join(err, p.loop.detach())
		}
	}
	return errors.Join(err, unmount(d.dir, d.served, d.guard), os.Remove(d.dir))
}
