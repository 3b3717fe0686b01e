//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// trustCase lets the station trust the bench's case, so that verify ends with 0.
func (b *bench) trustCase() error {
	c, err := custody.Open(b.caseDir)
	if err != nil {
		return err
	}
	out, err := b.exhibit("trust", "add", "genesis", c.Fingerprint().String(), "--name", "bench").CombinedOutput()
	if err != nil {
		return fmt.Errorf("trust: %w: %s", err, out)
	}
	return c.Close()
}

// runSelf is the work of a row that is measured as a process of its own.
func runSelf(ctx context.Context, work string, args []string) error {
	switch work {
	case "blake3":
		return selfBLAKE3(ctx, args[0])
	case "read":
		return selfRead(ctx, args[0], args[1], args[2])
	case "tree":
		return selfTree(args[0])
	case "append":
		pairs, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return selfAppend(ctx, args[0], pairs)
	case "append-tpm":
		pairs, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return selfAppendTPM(ctx, args[0], args[1], pairs)
	}
	return fmt.Errorf("no work %q", work)
}

// selfBLAKE3 hashes a file with two workers and writes its tree, as every acquisition does.
func selfBLAKE3(ctx context.Context, name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	out, err := os.CreateTemp("/dev/shm", "exhibit-bench-tree-")
	if err != nil {
		return errors.Join(err, in.Close())
	}
	tree := hashtree.NewWriter(out)
	res, err := pass.Run(ctx, in, pass.Options{Tree: tree, Workers: 2})
	if err == nil {
		_, err = tree.Finish(res.SizeBytes)
	}
	return errors.Join(err, in.Close(), out.Close(), os.Remove(out.Name()))
}

// selfTree makes the tree file of 20 TiB from injected values.
func selfTree(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	const size = 20 << 40
	tree := hashtree.NewWriter(f)
	for g := range hashtree.Groups(size) {
		if err := tree.Put(g, hashtree.Value{byte(g), byte(g >> 8), byte(g >> 16), byte(g >> 24)}); err != nil {
			return err
		}
	}
	if _, err := tree.Finish(size); err != nil {
		return err
	}
	if _, err := hashtree.Open(f, hashtree.FileSize(size)); err != nil {
		return err
	}
	return f.Close()
}

// selfAppend prints the median times of one append at both sizes, and last their ratio.
func selfAppend(ctx context.Context, dir string, pairs int) error {
	small, err := newLog(ctx, filepath.Join(dir, "small"), 10)
	if err != nil {
		return err
	}
	large, err := newLog(ctx, filepath.Join(dir, "large"), 100_000)
	if err != nil {
		return err
	}
	var ratios []float64
	for range pairs * 5 {
		a, err := small.appendOne(ctx)
		if err != nil {
			return err
		}
		b, err := large.appendOne(ctx)
		if err != nil {
			return err
		}
		ratios = append(ratios, a.Seconds()/b.Seconds())
	}
	fmt.Printf("last append: %v in a log of about 10, %v in one of about 100,000\n", small.took, large.took)
	fmt.Printf("%.4f\n", median(ratios))
	return nil
}

type benchLog struct {
	c      *custody.Case
	signer sign.Signer
	log    sign.LogSigner
	took   time.Duration
	next   int
}

// newLog makes a case whose log has n entries, made by batches that sync once.
func newLog(ctx context.Context, dir string, n int) (*benchLog, error) {
	b := &benchLog{}
	person, err := b.newPerson(dir)
	if err != nil {
		return nil, err
	}
	store, err := sign.OpenStore(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	if _, err := store.Create("l", "log", []byte("bench")); err != nil {
		return nil, err
	}
	if b.log, err = store.UnlockLog("l", []byte("bench")); err != nil {
		return nil, err
	}
	return b, b.fill(ctx, dir, custody.NewCase{Admit: []custody.Admission{person}}, n)
}

func (b *benchLog) appendBatch(ctx context.Context, n int) error {
	var events []custody.Unlogged
	for range n {
		e, open, err := b.event()
		if err != nil {
			return err
		}
		events = append(events, custody.Unlogged{Event: e, Openings: open})
	}
	_, err := b.c.AppendBatch(ctx, events, b.signer, b.log, clock)
	return err
}

func (b *benchLog) appendOne(ctx context.Context) (time.Duration, error) {
	e, open, err := b.event()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	_, err = b.c.Append(ctx, e, open, b.signer, b.log, clock)
	b.took = time.Since(begun)
	return b.took, err
}

func (b *benchLog) event() (record.Event, record.Openings, error) {
	b.next++
	var open record.Openings
	p, err := open.Commit(rand.Reader, "/seizure/description", "a thing")
	if err != nil {
		return nil, nil, err
	}
	e := record.NewSeized(strconv.Itoa(b.next), clock(), "not given")
	e.Seizure.Description = p
	return e, open, nil
}

func clock() record.Time {
	return record.NewTime(time.Now(), record.ClockSystem, record.Unknown[bool]("a benchmark"))
}
