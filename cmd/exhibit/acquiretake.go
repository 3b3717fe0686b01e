package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// openTakeOver opens image and map of another program; nil where none was named. The caller calls the function.
func (o *acquireOptions) openTakeOver(ctx context.Context) (*acquire.TakeOver, func(), error) {
	nothing := func() {}
	if o.takeOver == "" && o.mapFile == "" {
		return nil, nothing, nil
	}
	if o.takeOver == "" || o.mapFile == "" {
		return nil, nil, misused(errors.New("an image is taken over with its map"), "name both: --take-over IMAGE --map MAPFILE")
	}
	text, err := readSmall(o.mapFile, layout.MaxMap)
	if err != nil {
		return nil, nil, fmt.Errorf("map to take over: %w", err)
	}
	path, err := regular(o.takeOver)
	if err != nil {
		return nil, nil, fmt.Errorf("image to take over: %w", err)
	}
	m, err := medium.OpenWith(ctx, path, medium.Options{ReadTimeout: o.readTimeout, AsFile: true})
	if err != nil {
		return nil, nil, fmt.Errorf("image to take over: %w", err)
	}
	done := func() { m.Close() } //nolint:errcheck // opened for reading only
	return &acquire.TakeOver{Image: m, Map: text, Despite: o.despite != ""}, done, nil
}

// explainTake adds what an image that is taken over needs to the hints.
func (o *acquireOptions) explainTake(err error) error {
	switch {
	case o.takeOver == "":
		return err
	case errors.Is(err, acquire.ErrOtherMedium):
		return withHints(err, "see that image, map and medium belong together; if they do, as an SSD may change by itself or a drive may have died, add: --despite REASON")
	case exitCode(err) == codeResumable || exitCode(err) == codeInterrupted:
		return withHints(err, append(hintsFor(err), fmt.Sprintf("until all of it is copied add: --take-over %s --map %s", shellWord(o.takeOver), shellWord(o.mapFile)))...)
	}
	return err
}

func takenText(t record.TakenOver) string {
	compared := "none of it could be compared with the medium"
	if t.Sampled > 0 {
		compared = fmt.Sprintf("%s compared with the medium, %d of them different", plural(t.Sampled, "place"), t.Differing)
	}
	return fmt.Sprintf("%s in %s, not read from the medium; %s", size(t.Bytes), plural(t.Ranges, "range"), compared)
}
