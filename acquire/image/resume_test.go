package image_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// An interrupted run wrote more than it had made durable, and ends after the first byte of any segment.
func TestResume(t *testing.T) {
	want := content(3*mib + 700)
	for _, segment := range []int64{0, mib, mib + 511} {
		for _, size := range []int{0, 1, mib - 1, mib, mib + 1, 2*mib + 5, len(want)} {
			for _, more := range []int{0, 1, mib + 9} {
				r, dir := root(t)
				opts := image.WriterOptions{Name: "x", SegmentBytes: segment}
				w, err := image.NewWriter(r, opts)
				if err != nil {
					t.Fatal(err)
				}
				torn := append(slices.Clone(want[:size]), bytes.Repeat([]byte{0xee}, min(more, len(want)-size))...)
				if _, err := w.Write(torn); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(w.Flush()(), w.Abort()); err != nil {
					t.Fatal(err)
				}
				if w, err = image.Resume(r, opts, int64(size)); err != nil {
					t.Fatalf("segments of %d, %d bytes and %d more: %v", segment, size, more, err)
				}
				if w.Size() != int64(size) {
					t.Errorf("resumed at %d, want %d", w.Size(), size)
				}
				if _, err := w.Write(want[size:]); err != nil {
					t.Fatal(err)
				}
				segments, err := w.Finish()
				if err != nil {
					t.Fatal(err)
				}
				readBack(t, os.DirFS(dir), segments, want)
			}
		}
	}
}

func TestExtend(t *testing.T) {
	want := content(4*mib + 99)
	for _, segment := range []int64{0, mib, mib + 511} {
		for _, resume := range []bool{false, true} {
			r, dir := root(t)
			opts := image.WriterOptions{Name: "x", SegmentBytes: segment}
			w, err := image.NewWriter(r, opts)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Write(want[:mib])
			if err := errors.Join(err, w.Extend(int64(len(want)))); err != nil {
				t.Fatal(err)
			}
			if _, err := w.WriteAt(want[3*mib:], 3*mib); err != nil {
				t.Fatal(err)
			}
			if resume {
				if err := errors.Join(w.Flush()(), w.Abort()); err != nil {
					t.Fatal(err)
				}
				if w, err = image.ResumeExtended(r, opts, int64(len(want))); err != nil {
					t.Fatal(err)
				}
			}
			got := make([]byte, 3*mib+99)
			if _, err := w.ReadAt(got, mib); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:2*mib], make([]byte, 2*mib)) || !bytes.Equal(got[2*mib:], want[3*mib:]) {
				t.Errorf("segments of %d: what was extended is not zero, or what was written at its end is lost", segment)
			}
			if _, err := w.WriteAt(want[mib:3*mib], mib); err != nil {
				t.Fatal(err)
			}
			for _, off := range []int64{-1, int64(len(want))} {
				if n, err := w.ReadAt(make([]byte, 1), off); n != 0 || err == nil {
					t.Errorf("ReadAt(%d) = %d, %v; want an error", off, n, err)
				}
			}
			if _, err := w.Write([]byte{1}); err == nil {
				t.Error("Write after Extend succeeded")
			}
			segments, err := w.Finish()
			if err != nil {
				t.Fatal(err)
			}
			readBack(t, os.DirFS(dir), segments, want)
		}
	}
}

// What an interrupted run left behind the durable place is never seen again, in files of their own neither.
func TestExtendAfterResume(t *testing.T) {
	r, dir := root(t)
	if err := os.WriteFile(filepath.Join(dir, "x.002"), bytes.Repeat([]byte{0xee}, 2*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.001"), bytes.Repeat([]byte{1}, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := image.Resume(r, image.WriterOptions{Name: "x", SegmentBytes: mib}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Extend(2 * mib); err != nil {
		t.Fatal(err)
	}
	segments, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	readBack(t, os.DirFS(dir), segments, append(bytes.Repeat([]byte{1}, 5), make([]byte, 2*mib-5)...))
}

func TestResumeRefuses(t *testing.T) {
	r, dir := root(t)
	opts := image.WriterOptions{Name: "x", SegmentBytes: mib}
	for _, size := range []int64{0, 1, mib, 3 * mib} {
		if w, err := image.Resume(r, opts, size); !errors.Is(err, image.ErrPartial) {
			t.Errorf("nothing there, %d bytes: %v, %v; want ErrPartial", size, w, err)
		}
	}
	write(t, r, content(2*mib), mib, mib)
	if _, err := image.Resume(r, opts, 3*mib); !errors.Is(err, image.ErrPartial) {
		t.Errorf("a segment is missing: %v, want ErrPartial", err)
	}
	if _, err := image.Resume(r, opts, mib+1); !errors.Is(err, durable.ErrSealed) {
		t.Errorf("a sealed segment would be cut: %v, want ErrSealed", err)
	}
	w, err := image.Resume(r, opts, 2*mib)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	readBack(t, os.DirFS(dir), segments, content(2*mib))
}
