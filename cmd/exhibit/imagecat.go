package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
)

// catBytes are read and written at a time.
const catBytes = 1 << 20

type catOptions struct {
	offset, length int64
	toEnd          bool
	incomplete     bool
	mapFile        string
	despite        string
}

func newImageCatCommand(u *ui) *cobra.Command {
	var o catOptions
	return newCommand(command{
		use: "cat PATH", short: "Write an image's media bytes to standard output",
		long: "Write an image's media bytes to standard output: all of them, or some from a place on. PATH is an acquisition folder, or\n" +
			"an image file; name the first segment of a split image. Nothing is verified: to know that the bytes are those that\n" +
			"were acquired use exhibit verify.\n\n" +
			"Of an E01 of which segments are missing nothing is written, unless --incomplete says so: then what stood in them is\n" +
			"zeros, and listed in a map that ddrescue understands (exit 5).",
		example: "  exhibit image cat exhibits/7/20261123T081500Z-1a2b3c4d | sha256sum\n  exhibit image cat disk.001 --offset 1048576 --length 512 | xxd",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.Int64Var(&o.offset, "offset", 0, "begin at byte `N` of the media")
			f.Int64Var(&o.length, "length", 0, "write `N` bytes (default: all to the end)")
			f.BoolVar(&o.incomplete, "incomplete", false, "write zeros in the place of what stood in missing segments of an E01; needs --map")
			f.StringVar(&o.mapFile, "map", "", "list in the new `FILE` what is missing, and what the image says that its medium did not give")
			f.StringVar(&o.despite, "despite", "", despiteUsage)
			f.Lookup("length").DefValue = ""
		},
		run: func(cmd *cobra.Command, args []string) error {
			o.toEnd = !cmd.Flags().Changed("length")
			if f := cmd.Flags().Lookup("despite"); f.Changed && o.despite == "" {
				return misused(errors.New("--despite is empty"), "say why, or leave it out")
			}
			return runImageCat(cmd.Context(), u, args[0], o)
		},
	})
}

func runImageCat(ctx context.Context, u *ui, path string, o catOptions) error {
	if u.json {
		return misused(errors.New("image cat writes bytes, and no JSON"), "leave --json out")
	}
	if f, ok := u.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return misused(errors.New("standard output is a terminal: an image's bytes could do anything to it"), "redirect the bytes to a file or a program, for example: | xxd | head")
	}
	if o.incomplete != (o.mapFile != "") {
		return misused(errors.New("--incomplete and --map belong together: zeros that nothing lists could be taken for what the medium held"),
			"give both: --incomplete --map FILE")
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dir, err := folderOf(path, info.IsDir())
	if err == nil {
		err = mayGiveOut(u, dir, "", "", o.despite)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return withImage(path, func(_ imageDocument, r *image.Reader) error { return u.catImage(ctx, r, o) })
	}
	if o.incomplete {
		return misused(errors.New("--incomplete is for an image file, and not for a folder, of which the record says what it holds"), "name the first file of the image in it")
	}
	a, err := openAcquired(path)
	if err != nil {
		return err
	}
	return errors.Join(u.cat(ctx, a.media, o), a.Close())
}

// catImage refuses an image of which segments are missing, unless it was said that it may be.
func (u *ui) catImage(ctx context.Context, r *image.Reader, o catOptions) error {
	if !o.incomplete {
		if err := allThere(r); err != nil {
			return err
		}
		return u.cat(ctx, r, o)
	}
	h := newHoled(r)
	err := o.fit(r.Size())
	var text []byte
	if err == nil {
		text, err = h.mapText()
	}
	if err == nil {
		err = writeNew(o.mapFile, text, false)
	}
	if err == nil {
		err = u.cat(ctx, h, o)
	}
	if m := missingOf(r); m != nil && err == nil {
		err = withHints(withCode(codeMissing, fmt.Errorf("not all of it is the medium's: %s", m)), "where there are zeros instead, says "+shellWord(o.mapFile))
	}
	return err
}

// fit sets the length of a range to the end, and refuses a range that is not all there: fewer bytes than were asked for look like all of them in a pipe.
func (o *catOptions) fit(size int64) error {
	if o.toEnd {
		o.length = size - o.offset
	}
	if o.offset < 0 || o.length < 0 || o.offset > size || o.length > size-o.offset {
		return misused(fmt.Errorf("the image has %d bytes: there are no %d from byte %d on", size, max(o.length, 0), o.offset), "see: exhibit image info FILE")
	}
	return nil
}

// cat writes the range, reading it in blocks.
func (u *ui) cat(ctx context.Context, img restore.Image, o catOptions) error {
	if err := o.fit(img.Size()); err != nil {
		return err
	}
	buffer := make([]byte, catBytes)
	for off, end := o.offset, o.offset+o.length; off < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buffer[:min(catBytes, end-off)]
		n, err := img.ReadAt(p, off)
		if n < len(p) {
			return e01Error(fmt.Errorf("read the image at byte %d: %w", off+int64(n), cmp.Or(err, io.ErrUnexpectedEOF)))
		}
		if _, err := u.stdout.Write(p); errors.Is(err, syscall.EPIPE) {
			return nil // who reads has enough
		} else if err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		off += int64(n)
	}
	return nil
}
