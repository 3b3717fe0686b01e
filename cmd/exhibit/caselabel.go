package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/internal/label"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type labelDocument struct {
	Schema     string   `json:"schema"`
	Exhibit    string   `json:"exhibit"`
	Origin     string   `json:"origin"`
	Size       int64    `json:"size"`
	Checkpoint string   `json:"checkpoint"`
	Text       string   `json:"text"`
	Files      []string `json:"files"`
}

type labelOptions struct{ caseDir, png, svg string }

func newCaseLabelCommand(u *ui) *cobra.Command {
	var o labelOptions
	return newCommand(command{
		use: "label NUMBER", short: "Draw the label for an exhibit's bag: a QR code and the same in words",
		long: "Draw the label for an exhibit's bag: its number, the log's name, and the size and SHA-256 of the log's newest checkpoint, as a\n" +
			"QR code and in words. Whoever gets bag and case later can hold one against the other: sha256sum CASE/logs/*/checkpoints/SIZE.\n" +
			"A label holds no name and no case number. Without a file it is told what the label would say.",
		example: "  exhibit case label 7 --png bag-7.png --svg bag-7.svg",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.png, "png", "", "draw it into a new `FILE`, for a label printer")
			f.StringVar(&o.svg, "svg", "", "draw it into a new `FILE`, for a browser or a layout program")
		},
		run: func(_ *cobra.Command, args []string) error { return runLabel(u, args[0], &o) },
	})
}

func runLabel(u *ui, exhibit string, o *labelOptions) error {
	c, err := custody.Open(o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // opened for reading
	if _, err := history(c, exhibit); err != nil {
		return err
	}
	l, err := newLabel(c, exhibit)
	if err != nil {
		return err
	}
	doc := labelDocument{Schema: "exhibit-label/v1", Exhibit: exhibit, Origin: l.Origin, Size: l.Size, Checkpoint: "sha256:" + l.Checkpoint, Text: l.Text(), Files: []string{}}
	for _, to := range []struct {
		file string
		draw func() ([]byte, error)
	}{{o.png, l.PNG}, {o.svg, l.SVG}} {
		if to.file == "" {
			continue
		}
		b, err := to.draw()
		if err == nil {
			err = writeNew(to.file, b, false)
		}
		if err != nil {
			return err
		}
		doc.Files = append(doc.Files, to.file)
	}
	return u.result(doc, func() {
		u.linef("Exhibit:      %s", clean(exhibit))
		u.linef("Log:          %s", l.Origin)
		u.linef("Checkpoint:   %d, sha256:%s", l.Size, l.Checkpoint)
		for _, name := range doc.Files {
			u.linef("Drawn:        %s", clean(name))
		}
	})
}

// newLabel takes the newest checkpoint, whose signatures are checked, of the home log.
func newLabel(c *custody.Case, exhibit string) (label.Label, error) {
	logFS, err := c.LogFS()
	if err != nil {
		return label.Label{}, err
	}
	note, err := fs.ReadFile(logFS, layout.Checkpoint)
	if err != nil {
		return label.Label{}, withCode(codeMissing, fmt.Errorf("the newest checkpoint: %w", err))
	}
	keys, err := c.Keys()
	if err != nil {
		return label.Label{}, err
	}
	cp, err := keys.OpenCheckpoint(note)
	if err != nil {
		return label.Label{}, err
	}
	sum := sha256.Sum256(note)
	return label.Label{Exhibit: exhibit, Origin: cp.Origin, Size: cp.Size, Checkpoint: hex.EncodeToString(sum[:])}, nil
}
