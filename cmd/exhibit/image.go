package main

import (
	"context"
	"crypto/md5"  // an E01 states one
	"crypto/sha1" // the same
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

type imageDocument struct {
	Schema    string          `json:"schema"`
	Format    string          `json:"format"`
	Segments  []string        `json:"segments"`
	SizeBytes int64           `json:"sizeBytes"`
	Digests   []record.Digest `json:"digests"`
	E01       *e01Document    `json:"ewf,omitzero"` // what the image states about itself
}

func newImageCommand(u *ui) *cobra.Command {
	return group("image", "Look at an image, copy it into another format, or write it back", newImageInfoCommand(u), newImageCatCommand(u), newImageHashCommand(u),
		newImageConvertCommand(u), newImageRestoreCommand(u))
}

func newImageInfoCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "info FILE", short: "Show an image's format, segments and size",
		long: "Show an image's format, segments and size, and what an E01 states about itself, none of which is checked. Name the\n" +
			"first segment of a split image: disk.001, disk.E01. Of an E01 of which segments are missing, say which, and which\n" +
			"sectors stood in them (exit 5).",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing},
		run: func(cmd *cobra.Command, args []string) error {
			return withImage(args[0], func(doc imageDocument, r *image.Reader) error {
				if missing := allThere(r); missing != nil {
					u.code = codeMissing
					for _, h := range hintsFor(missing) {
						u.notef("hint: %s", h)
					}
				}
				return u.result(doc, func() { printImage(u, doc) })
			})
		},
	})
}

func newImageHashCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "hash FILE", short: "Compute BLAKE3 and SHA-256 of an image's media bytes",
		long: "Compute BLAKE3 and SHA-256 of an image's media bytes, all segments in order, as b3sum and sha256sum would of the\n" +
			"whole. Of an E01 also the digests that it states about itself, which must hold, and every chunk that is damaged.\n" +
			"To check an image against its record use exhibit verify.",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		run: func(cmd *cobra.Command, args []string) error { return runImageHash(cmd.Context(), u, args[0]) },
	})
}

func runImageHash(ctx context.Context, u *ui, path string) error {
	return withImage(path, func(doc imageDocument, r *image.Reader) error {
		if err := allThere(r); err != nil {
			return err
		}
		p := newProgress(u)
		p.Phase("hashing", doc.SizeBytes)
		digests, err := hashMedia(ctx, r, p)
		p.end()
		if err != nil {
			return damagedImage(ctx, u, r, err)
		}
		doc.Schema, doc.Digests = "exhibit-image-hash/v1", digests
		err = u.result(doc, func() {
			for _, d := range digests {
				u.linef("%-7s %s", d.Algorithm(), d.Hex())
			}
		})
		return errors.Join(err, statedHold(r, digests), damagedParts(u, r))
	})
}

// hashMedia reads r once.
func hashMedia(ctx context.Context, r *image.Reader, p *progress) ([]record.Digest, error) {
	algorithms, hashes := []record.Algorithm{record.SHA256}, []hash.Hash{sha256.New()}
	if e := r.E01(); e != nil {
		if e.Stored().MD5 != nil {
			algorithms, hashes = append(algorithms, record.MD5), append(hashes, md5.New())
		}
		if e.Stored().SHA1 != nil {
			algorithms, hashes = append(algorithms, record.SHA1), append(hashes, sha1.New())
		}
	}
	tree := new(hashtree.Hasher)
	opts := pass.Options{Linear: hashes, Sinks: []io.Writer{tree}, Progress: p.Done}
	if _, err := pass.Run(ctx, r, opts); err != nil {
		return nil, err
	}
	out := []record.Digest{record.BLAKE3Digest(tree.Root())}
	for i, alg := range algorithms {
		d, err := record.NewDigest(alg, hashes[i].Sum(nil))
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// withImage opens the image that begins with the file path, inside its folder.
func withImage(path string, use func(imageDocument, *image.Reader) error) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	names, r, err := findImage(root.FS(), filepath.Base(path))
	if err != nil {
		return errors.Join(err, root.Close())
	}
	doc := imageDocument{Schema: "exhibit-image-info/v1", Format: formatOf(r), Segments: names, SizeBytes: r.Size(), Digests: []record.Digest{}}
	if e := r.E01(); e != nil {
		doc.E01 = newE01Document(e)
	}
	return errors.Join(use(doc, r), r.Close(), root.Close())
}

func printImage(u *ui, doc imageDocument) {
	u.linef("Format:   %s", doc.Format)
	u.linef("Size:     %s", size(doc.SizeBytes))
	u.linef("Segments: %d", len(doc.Segments))
	for _, s := range doc.Segments {
		u.linef("  %s", clean(s))
	}
	if doc.E01 != nil {
		doc.E01.show(u)
	}
}
