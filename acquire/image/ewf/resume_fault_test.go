package ewf_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/durable/faulttest"
)

// The function that Flush returned waits for a file that became full meanwhile, and tells what went wrong with it.
func TestFlushWhileAppending(t *testing.T) {
	j := newJob(random(6, 24*chunkBytes))
	for _, fail := range []bool{false, true} {
		_, dir := scratch(t)
		broken := errors.New("broken")
		fails := false
		root, err := durable.OpenRootFaults(dir, func(op durable.Op, name string) error {
			if fails && op == durable.OpSync && name == "x.E01" {
				return broken
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		w, err := j.start(root)
		if err != nil {
			t.Fatal(err)
		}
		c := j.compressor(t)
		if err := j.appendTo(c, w, 2*chunkBytes); err != nil {
			t.Fatal(err)
		}
		sync, err := w.Flush()
		if err != nil {
			t.Fatal(err)
		}
		fails = fail
		err = j.appendTo(c, w, 5*chunkBytes)
		if len(w.Written()) != 2 {
			t.Fatalf("%d segments", len(w.Written()))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := sync(); errors.Is(err, broken) != fail || err != nil && !fail {
			t.Errorf("the sync failing is %v, and Flush's function says: %v", fail, err)
		}
		if err := w.Abort(); errors.Is(err, broken) != fail {
			t.Errorf("the sync failing is %v, and Abort says: %v", fail, err)
		}
	}
}

// Every call that changes the disk fails once: the run says so, and what is left can be gone on from, as far as it was
// made durable, and becomes the same image.
func TestWriterFaults(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	var size int64 // that was made durable
	faulttest.Each(t, func(root *durable.Root) error {
		size = 0
		w, err := j.start(root)
		if err != nil {
			return err
		}
		for err == nil && w.Size() < j.opts.SizeBytes {
			if err = j.appendTo(c, w, min(w.Size()+j.flush, j.opts.SizeBytes)); err == nil {
				if err = flush(w); err == nil {
					size = w.Size()
				}
			}
		}
		if err == nil {
			_, err = w.Finish(j.trailer())
		}
		return errors.Join(err, w.Abort())
	}, func(t *testing.T, dir string, err error) {
		if err != nil {
			completeLeft(t, j, c, dir, size)
		}
		if !same(contents(t, dir), want) {
			t.Error("the files are other ones")
		}
	})
}

func completeLeft(t *testing.T, j job, c *ewf.Compressor, dir string, size int64) {
	t.Helper()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w, err := j.resume(root, size)
	if err != nil {
		t.Fatalf("resume after %d bytes: %v", size, err)
	}
	if _, err := j.complete(c, w); err != nil {
		t.Fatalf("after %d bytes: %v", size, err)
	}
}

// The same for the run that goes on.
func TestResumeFaults(t *testing.T) {
	j := resumable(t)
	c := j.compressor(t)
	want := finished(t, j)
	for _, size := range []int64{0, 2 * j.flush, j.opts.SizeBytes} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			faulttest.Case{
				Prepare: func(t *testing.T, dir string) {
					left := maps.Clone(want)
					left["x.E04"] = random(1, 100)
					if size == 0 {
						left["x.E01"] = left["x.E01"][:5_000]
						place(t, dir, left)
						return
					}
					place(t, dir, left, "x.E01")
				},
				Run: func(root *durable.Root) error {
					w, err := j.resume(root, size)
					if err != nil {
						return err
					}
					_, err = j.complete(c, w)
					return errors.Join(err, w.Abort())
				},
				Check: func(t *testing.T, dir string, err error) {
					if err != nil {
						completeLeft(t, j, c, dir, size)
					}
					if !same(contents(t, dir), want) {
						t.Error("the files are other ones")
					}
				},
			}.Each(t)
		})
	}
}

// FuzzResumeWriter changes the files of an interrupted run. Either that is seen, and nothing else is changed, or the
// image becomes one in whose structure our reader sees nothing wrong.
func FuzzResumeWriter(f *testing.F) {
	j := resumable(f)
	root, dir := scratch(f)
	w, err := j.start(root)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := j.complete(nil, w); err != nil {
		f.Fatal(err)
	}
	want := map[string][]byte{}
	for _, s := range w.Written() {
		if want[s.Name], err = os.ReadFile(filepath.Join(dir, s.Name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(uint32(13), []byte("header"), uint32(0), uint8(3))
	f.Add(uint32(1700), []byte{1, 2, 3}, uint32(90_000), uint8(1))
	f.Add(uint32(130_000), []byte{0xff}, uint32(0), uint8(0))
	f.Fuzz(func(t *testing.T, at uint32, change []byte, cut uint32, flushes uint8) {
		size := min(int64(flushes)*j.flush, j.opts.SizeBytes)
		files := maps.Clone(want)
		name := fmt.Sprintf("x.E%02d", 1+at%2)
		p := bytes.Clone(files[name])
		copy(p[int(at)%len(p):], change)
		files[name] = p[:max(0, len(p)-int(cut))]
		root, dir := scratch(t)
		place(t, dir, files)
		w, err := j.resume(root, size)
		if err != nil {
			if !errors.Is(err, ewf.ErrPartial) || w != nil {
				t.Errorf("%v, %v; want ErrPartial", w, err)
			}
			if !same(contents(t, dir), files) {
				t.Error("it was refused, and files were changed")
			}
			return
		}
		if w.Size() != size {
			t.Errorf("resumed at %d, want %d", w.Size(), size)
		}
		if _, err := j.complete(nil, w); err != nil {
			t.Fatal(err)
		}
		r, err := ewf.Open(os.DirFS(dir), slices.Sorted(maps.Keys(want)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, n := range r.Notes() {
			if n.Damage && !strings.Contains(n.Text, "header") { // those texts were not looked at
				t.Errorf("our reader notes %+v", n)
			}
		}
	})
}
