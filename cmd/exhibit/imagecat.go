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
}

func newImageCatCommand(u *ui) *cobra.Command {
	var o catOptions
	return newCommand(command{
		use: "cat PATH", short: "Write an image's media bytes to standard output",
		long: "Write an image's media bytes to standard output: all of them, or some from a place on. PATH is an acquisition folder, or\n" +
			"an image file; name the first segment of a split image. Nothing is verified: to know that the bytes are those that\n" +
			"were acquired use exhibit verify.",
		example: "  exhibit image cat exhibits/7/20261123T081500Z-1a2b3c4d | sha256sum\n  exhibit image cat disk.001 --offset 1048576 --length 512 | xxd",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.Int64Var(&o.offset, "offset", 0, "begin at byte `N` of the media")
			f.Int64Var(&o.length, "length", 0, "write `N` bytes (default: all to the end)")
			f.Lookup("length").DefValue = ""
		},
		run: func(cmd *cobra.Command, args []string) error {
			o.toEnd = !cmd.Flags().Changed("length")
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
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return withImage(path, func(_ imageDocument, r *image.Reader) error { return u.cat(ctx, r, o) })
	}
	a, err := openAcquired(path)
	if err != nil {
		return err
	}
	return errors.Join(u.cat(ctx, a.media, o), a.Close())
}

// cat refuses a range that is not all there: fewer bytes than were asked for look like all of them in a pipe.
func (u *ui) cat(ctx context.Context, img restore.Image, o catOptions) error {
	if o.toEnd {
		o.length = img.Size() - o.offset
	}
	if o.offset < 0 || o.length < 0 || o.offset > img.Size() || o.length > img.Size()-o.offset {
		return misused(fmt.Errorf("the image has %d bytes: there are no %d from byte %d on", img.Size(), max(o.length, 0), o.offset), "see: exhibit image info FILE")
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
