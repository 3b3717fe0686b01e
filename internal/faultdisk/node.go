//go:build linux

package faultdisk

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"
)

// block is what a destination allocates, and what survives a torn power cut as a whole or not at all.
const block = 4096

// node is a file or a directory of a destination, in two states: what everybody sees, and what a power cut leaves.
type node struct {
	id    uint64
	dir   bool
	links int // names that everybody sees

	keptLinks int    // names that a power cut leaves
	lookups   uint64 // what the kernel still knows of it

	seen, kept state
	entries    map[string]*node // of a directory, seen
	keptNames  map[string]*node // of a directory, kept
	tied       map[*node]bool   // directories to and from which names were renamed since the last sync: they are kept together

	data, keptData *os.File // of a file
	dirty          extents  // where data and keptData differ
	lowest         int64    // the smallest size since the last sync: from here on keptData is stale
	allocated      extents
}

type state struct {
	mode  uint32
	size  int64
	mtime time.Time
}

func (d *Destination) newNode(dir bool, mode uint32) (*node, error) {
	d.lastID++
	n := &node{id: d.lastID, dir: dir, seen: state{mode: mode & 0o7777, mtime: time.Now()}}
	n.kept = n.seen
	if dir {
		n.entries, n.keptNames, n.tied = map[string]*node{}, map[string]*node{}, map[*node]bool{}
	} else {
		var err error
		if n.data, err = os.Create(filepath.Join(d.store, fmt.Sprintf("%d", n.id))); err != nil {
			return nil, err
		}
		if n.keptData, err = os.Create(filepath.Join(d.store, fmt.Sprintf("%d.kept", n.id))); err != nil {
			return nil, errors.Join(err, n.data.Close())
		}
	}
	d.nodes[n.id] = n
	return n, nil
}

// sync makes a file or a directory survive; d.mu is held.
func (d *Destination) sync(n *node) error {
	if !n.dir {
		return n.syncData()
	}
	var err error
	for m := range n.tiedTogether() {
		before := m.keptNames
		m.kept, m.keptNames = m.seen, maps.Clone(m.entries)
		for _, x := range m.keptNames {
			x.keptLinks++
		}
		for _, x := range before {
			x.keptLinks--
			err = errors.Join(err, d.reap(x))
		}
		clear(m.tied)
	}
	return err
}

// reap lets a node go that has no name in either state and is not in use; d.mu is held.
func (d *Destination) reap(n *node) error {
	if n == d.root || n.links > 0 || n.keptLinks > 0 || n.lookups > 0 || d.nodes[n.id] != n {
		return nil
	}
	delete(d.nodes, n.id)
	return n.close()
}

// tiedTogether is the directory and all that must be kept with it: a rename from one into another happens in both or in
// neither, as in a file system with a journal.
func (n *node) tiedTogether() map[*node]bool {
	all := map[*node]bool{n: true}
	for todo := []*node{n}; len(todo) > 0; todo = todo[1:] {
		for m := range todo[0].tied {
			if !all[m] {
				all[m] = true
				todo = append(todo, m)
			}
		}
	}
	return all
}

func (n *node) syncData() error {
	err := errors.Join(n.keptData.Truncate(n.lowest), n.keptData.Truncate(n.seen.size))
	for _, s := range n.dirty {
		err = errors.Join(err, copySpan(n.keptData, n.data, span{s.from, min(s.to, n.seen.size)}))
	}
	n.kept, n.dirty, n.lowest = n.seen, nil, n.seen.size
	return err
}

// truncate sets a file's size.
func (n *node) truncate(size int64) error {
	if size < n.seen.size {
		n.lowest = min(n.lowest, size)
		n.dirty.cut(size)
	}
	n.seen.size, n.seen.mtime = size, time.Now()
	return n.data.Truncate(size)
}

// revert gives back what was kept; survives says which of the rest happened to reach the disk all the same.
func (n *node) revert(survives func() bool) error {
	if n.dir {
		n.seen, n.entries = n.kept, maps.Clone(n.keptNames)
		clear(n.tied)
		return nil
	}
	if n.lowest < n.kept.size { // cut off and perhaps written again
		n.dirty.add(span{n.lowest, n.kept.size})
	}
	size := n.kept.size
	if survives() {
		size = n.seen.size
	}
	err := n.data.Truncate(max(size, n.kept.size))
	for _, s := range n.dirty {
		for at := s.from; at < s.to; {
			end := min(at-at%block+block, s.to)
			if !survives() {
				err = errors.Join(err, restore(n.data, n.keptData, span{at, end}, n.kept.size))
			}
			at = end
		}
	}
	n.seen.size, n.seen.mode = size, n.kept.mode
	return errors.Join(err, n.data.Truncate(size), n.syncData())
}

// restore puts the kept bytes of a span back, and zeros where nothing was kept.
func restore(to, from *os.File, s span, keptSize int64) error {
	end := min(s.to, max(s.from, keptSize))
	err := copySpan(to, from, span{s.from, end})
	if end < s.to {
		_, e := to.WriteAt(make([]byte, s.to-end), end)
		err = errors.Join(err, e)
	}
	return err
}

func copySpan(to, from *os.File, s span) error {
	if s.from >= s.to {
		return nil
	}
	_, err := io.Copy(io.NewOffsetWriter(to, s.from), io.NewSectionReader(from, s.from, s.to-s.from))
	return err
}

func (n *node) close() error {
	if n.dir {
		return nil
	}
	return errors.Join(n.data.Close(), n.keptData.Close(), os.Remove(n.data.Name()), os.Remove(n.keptData.Name()))
}
