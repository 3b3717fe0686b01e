//go:build linux

package faultdisk

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// DestinationOptions says what destination to make.
type DestinationOptions struct {
	SizeBytes int64  // what statfs says, and what fits; default 1 TiB
	Dir       string // where the data really goes: twice the size of what is written; default os.TempDir
}

// Destination is a directory that fails as told. It keeps two states: what everybody sees, and what a power cut leaves.
// Only fsync moves the one into the other: of a file its bytes, size and mode, of a directory its names. A file whose
// name was not synced with its directory is lost with its bytes; a name that was removed without a sync comes back.
// Hard links, renames and locks work; symbolic links and extended attributes do not. Methods may be called from any goroutine.
type Destination struct {
	dir, store string
	server     *fuse.Server
	guard      *guard
	served     chan struct{}
	hold       int // keeps the mount busy after Disconnect, so that nobody writes into the directory below it

	mu     sync.Mutex
	closed bool
	nodes  map[uint64]*node
	root   *node
	lastID uint64
	life   uint64 // what was opened in a former one is gone
	used   int64
	ops    int64
	lost   bool // every operation fails

	size, full, maxFile int64
	readOnly            bool
	bytesPerSecond      int64
	cutAfter            int64
}

// Mount makes a destination; Close ends it.
func Mount(opts DestinationOptions) (*Destination, error) {
	if opts.SizeBytes == 0 {
		opts.SizeBytes = 1 << 40
	}
	store, err := os.MkdirTemp(opts.Dir, "faultdisk-store-")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "faultdisk-dest-")
	if err != nil {
		return nil, errors.Join(err, os.Remove(store))
	}
	d := &Destination{
		dir: dir, store: store, served: make(chan struct{}), hold: -1, nodes: map[uint64]*node{}, lastID: fuse.FUSE_ROOT_ID - 1,
		size: opts.SizeBytes, full: math.MaxInt64, maxFile: math.MaxInt64, cutAfter: math.MaxInt64,
	}
	if d.root, err = d.newNode(true, 0o700); err != nil {
		return nil, errors.Join(err, os.Remove(store), os.Remove(dir))
	}
	d.server, err = fuse.NewServer(newDestinationFS(d), dir, mountOptions("faultdest"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mount %q: %w", dir, err), os.Remove(store), os.Remove(dir))
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
	return d, nil
}

// Path is the directory.
func (d *Destination) Path() string { return d.dir }

// Close unmounts and removes everything.
func (d *Destination) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed, d.lost = true, true
	d.mu.Unlock()
	var err error
	if d.hold >= 0 {
		err = unix.Close(d.hold)
	}
	err = errors.Join(err, unmount(d.dir, d.served, d.guard), os.Remove(d.dir))
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.nodes {
		err = errors.Join(err, n.close())
	}
	return errors.Join(err, os.Remove(d.store))
}

// set sets a fault.
func (d *Destination) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// Full lets n more bytes in, in blocks of 4096, and then answers ENOSPC. statfs goes on telling of free space.
func (d *Destination) Full(n int64) { d.set(func() { d.full = d.used + n }) }

// ReadOnly answers EROFS to everything that would change something, fsync included, as a file system does that was
// remounted after an error.
func (d *Destination) ReadOnly() { d.set(func() { d.readOnly = true }) }

// LimitFile answers EFBIG to what would make a file larger than n bytes.
func (d *Destination) LimitFile(n int64) { d.set(func() { d.maxFile = n }) }

// Slow lets writes through at that many bytes a second; 0 ends it.
func (d *Destination) Slow(bytesPerSecond int64) { d.set(func() { d.bytesPerSecond = bytesPerSecond }) }

// Vanish answers EIO to everything, as a file system does whose disk was pulled out.
func (d *Destination) Vanish() { d.set(func() { d.lost = true }) }

// Disconnect ends the file system under its users: everything fails with ENOTCONN. It cannot be taken back.
func (d *Destination) Disconnect() error {
	hold, err := unix.Open(d.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %q: %w", d.dir, err)
	}
	d.set(func() { d.hold = hold })
	if err := unix.Unmount(d.dir, unix.MNT_FORCE); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("abort the connection of %q: %w", d.dir, err)
	}
	return nil
}

// Heal takes back what Full, ReadOnly, LimitFile, Slow, Vanish and CutAfter have set.
func (d *Destination) Heal() {
	d.set(func() {
		d.full, d.maxFile, d.cutAfter = math.MaxInt64, math.MaxInt64, math.MaxInt64
		d.readOnly, d.bytesPerSecond, d.lost = false, 0, false
	})
}

// Ops is how many operations that change something or make it survive were asked for so far.
func (d *Destination) Ops() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// CutAfter lets the power go after n more operations as Ops counts them: from the next one on, everything fails with EIO
// and nothing more survives. PowerCut has to follow before the directory can be read again.
func (d *Destination) CutAfter(n int64) { d.set(func() { d.cutAfter = d.ops + n }) }

// PowerCut drops all that was not synced, and lets the power come back: what survived can be read and written at the same
// path. What was opened before fails with EIO for ever. Other faults are taken back.
func (d *Destination) PowerCut() error {
	return d.powerCut(func() bool { return false })
}

// PowerCutTorn is a PowerCut that keeps some of what was not synced, as real disks do: each block of 4096 bytes and each
// size by chance, decided by seed. Names are as in PowerCut.
func (d *Destination) PowerCutTorn(seed uint64) error {
	var i uint64
	return d.powerCut(func() bool {
		i++
		return mix(seed, i)&1 == 0
	})
}

func (d *Destination) powerCut(survives func() bool) error {
	d.Heal()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	var err error
	alive := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if n.links++; alive[n] {
			return
		}
		alive[n] = true
		err = errors.Join(err, n.revert(survives))
		for _, name := range sortedNames(n.entries) {
			walk(n.entries[name])
		}
	}
	for _, n := range d.nodes {
		n.links, n.lookups = 0, 0
	}
	walk(d.root)
	old := d.nodes
	d.nodes, d.used = map[uint64]*node{}, 0
	for _, n := range old {
		if !alive[n] {
			err = errors.Join(err, n.close())
			continue
		}
		if n != d.root { // a new number, so that nothing which the kernel knows of the old one is taken for it
			d.lastID++
			n.id = d.lastID
		}
		n.keptLinks = n.links
		n.allocated.cut(roundUp(n.seen.size))
		d.nodes[n.id] = n
		d.used += n.allocated.total()
	}
	return err
}

func roundUp(n int64) int64 { return (n + block - 1) / block * block }

// step counts an operation that changes something and says whether it may happen; d.mu is held.
func (d *Destination) step() fuse.Status {
	if d.ops++; d.ops > d.cutAfter {
		d.lost = true
	}
	switch {
	case d.lost:
		return fuse.EIO
	case d.readOnly:
		return fuse.EROFS
	}
	return fuse.OK
}

// slowDown waits as long as a slow destination takes for n bytes.
func (d *Destination) slowDown(n int64) {
	d.mu.Lock()
	rate := d.bytesPerSecond
	d.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	}
}
