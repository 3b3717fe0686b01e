package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// resumeFlags are what --resume does not take from the folder.
var resumeFlags = []string{"resume", "also", "key", "passphrase-file", "passphrase-fd", "log-passphrase-file", "on-error", "retries", "max-bad", "despite",
	"take-over", "map", "read-timeout", "device-timeout", "keep-writable", "live", "examiner", "stats", "json", "help"}

// runResume does whatever is missing of an acquisition that was stopped: reading, reading back, signing, sealing.
func runResume(cmd *cobra.Command, u *ui, args []string, o *acquireOptions) error {
	var wrong []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(resumeFlags, f.Name) {
			wrong = append(wrong, "--"+f.Name)
		}
	})
	if len(wrong) > 0 {
		return withHints(fmt.Errorf("--resume takes %s and everything else from the folder", strings.Join(wrong, ", ")),
			"type only: exhibit acquire [MEDIUM] --resume FOLDER, with --key and --passphrase-file where needed")
	}
	c, number, id, err := openPartial(u, o.resume)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	to, err := openDestinations(c, number, o.also)
	if err != nil {
		return err
	}
	defer to.close()
	state, err := to.resumable(number, id)
	if err != nil {
		return err
	}
	if state == nil && len(args) > 0 {
		return misused(errors.New("the image is complete: only the record is missing, and MEDIUM is not needed"), "type only: exhibit acquire --resume FOLDER")
	}
	keys, err := unlock(c, o.key, record.TypeAcquired, &o.pass)
	if err != nil {
		return err
	}
	var lost []*acquire.DestinationError
	stats := o.newStats()
	if state != nil {
		res, err := goOn(cmd, u, args, o, c, to, state, keys, stats)
		if err != nil {
			return err
		}
		lost = res.Lost
	}
	return signAndSeal(cmd.Context(), u, c, to, number, id, keys, lost, stats)
}

// openPartial opens the case that an acquisition folder lies in.
func openPartial(u *ui, folder string) (c *custody.Case, number, id string, err error) {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return nil, "", "", err
	}
	id = strings.TrimSuffix(filepath.Base(dir), layout.PartialSuffix)
	if !record.ValidAcquisitionID(id) {
		return nil, "", "", withHints(fmt.Errorf("%q is no acquisition folder", folder), "name the folder that ends in "+layout.PartialSuffix)
	}
	exhibitDir := filepath.Dir(dir)
	if c, err = openToAppend(u, filepath.Dir(filepath.Dir(exhibitDir))); err != nil {
		return nil, "", "", err
	}
	if number, err = layout.Decode(filepath.Base(exhibitDir)); err != nil {
		return nil, "", "", errors.Join(err, c.Close())
	}
	return c, number, id, nil
}

// resumable is that of the case's folder. Where only that was sealed yet, the second destination is to be sealed too.
func (t *destinations) resumable(exhibit, id string) (*acquire.State, error) {
	if len(t.roots) > 1 {
		_, sealed := t.roots[0].Lstat(id)
		if _, left := t.roots[1].Lstat(id + layout.PartialSuffix); sealed == nil && left == nil {
			return nil, nil
		}
	}
	return resumable(t.roots[0], exhibit, id)
}

// resumable says what is to be done, before a passphrase is asked for: nil for a finished record, or a statement, which is
// what a sealing that was interrupted at its last step leaves; else the place from which reading goes on.
func resumable(root *durable.Root, exhibit, id string) (*acquire.State, error) {
	if _, err := root.Lstat(id); err == nil {
		return nil, fmt.Errorf("acquisition %s is sealed already: there is nothing to resume", id)
	}
	partial, err := root.Sub(id + layout.PartialSuffix)
	if errors.Is(err, durable.ErrNotFolder) {
		err = withCode(codeMismatch, err)
	}
	if err != nil {
		return nil, err
	}
	defer partial.Close() //nolint:errcheck // opened for reading only
	if _, err = partial.Lstat(layout.Statement); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, notBeforeTheEnd(partial))
	}
	_, err = readUnsigned(partial, exhibit, id)
	if !errors.Is(err, acquire.ErrUnfinished) {
		return nil, err
	}
	state, err := acquire.ReadState(partial)
	if errors.Is(err, acquire.ErrNotResumable) {
		return nil, withHints(err, "nothing of it can be gone on from: acquire the medium again; the .partial folder stays as it is")
	}
	if err != nil {
		return nil, err
	}
	if state.Exhibit != exhibit || state.Acquisition.ID != id {
		return nil, misused(fmt.Errorf("what this folder holds is acquisition %s of exhibit %q", state.Acquisition.ID, state.Exhibit), "put the folder back where it was")
	}
	return &state, nil
}

// notBeforeTheEnd refuses a statement in a folder whose record is not finished: sealing removes what a run goes on from before
// it removes the record.
func notBeforeTheEnd(partial *durable.Root) error {
	_, unsigned := partial.Lstat(layout.Unsigned)
	_, state := partial.Lstat(layout.Resume)
	if errors.Is(unsigned, fs.ErrNotExist) && state == nil {
		return foreignStatement(partial)
	}
	return nil
}

// foreignStatement is the error of a statement that nobody has logged: only sealing puts it there, after the log has it.
func foreignStatement(partial *durable.Root) error {
	return withHints(withCode(codeMismatch, fmt.Errorf("%q in %q was put there by somebody else: the log does not have it", layout.Statement, partial.Name())),
		"keep a copy of that file, remove it from the folder, and go on; if the log was put back from an older copy, bring the newer one")
}

// goOn reads what is missing.
func goOn(cmd *cobra.Command, u *ui, args []string, o *acquireOptions, c *custody.Case, to *destinations, state *acquire.State, keys *unlocked, stats *acquire.Stats) (acquire.Result, error) {
	if err := attested(state, keys); err != nil {
		return acquire.Result{}, err
	}
	state, from, err := newer(state, to, keys)
	if err != nil {
		return acquire.Result{}, err
	}
	opts, err := o.resumeOptions(state)
	if err != nil {
		return acquire.Result{}, err
	}
	opts.Attest = keys.signer.Sign
	take, takeDone, err := o.openTakeOver(cmd.Context())
	if err != nil {
		return acquire.Result{}, err
	}
	defer takeDone()
	opts.TakeOver = take
	var m *medium.Medium
	path := ""
	if state.Phase != acquire.PhaseRereading {
		if path, err = mediumOf(args, state); err != nil {
			return acquire.Result{}, err
		}
		o.asFile = state.Acquisition.Medium.Kind != record.MediumImage
		o.incomplete = true // it must have the segments that it had
		o.wasWritable = state.WritableBefore
		if m, err = o.openMedium(cmd.Context(), u, path); err != nil {
			return acquire.Result{}, err
		}
		defer m.Close() //nolint:errcheck // opened for reading only
	}
	if err := o.resumption(c, path, state, &opts); err != nil {
		return acquire.Result{}, err
	}
	p := newProgress(u)
	opts.Progress, opts.Stats = p, stats
	res, err := acquire.Resume(cmd.Context(), m, from, opts)
	p.end()
	if errors.Is(err, acquire.ErrOtherMedium) {
		return acquire.Result{}, withHints(err, "attach the medium that was read before; if it is that one, as an SSD may change by itself, add: --despite REASON")
	}
	if err != nil {
		return acquire.Result{}, o.explainTake(to.explain(path, state.Acquisition.ID, err))
	}
	return res, nil
}

func (o *acquireOptions) resumeOptions(state *acquire.State) (acquire.ResumeOptions, error) {
	opts := acquire.ResumeOptions{State: *state, Openings: state.Openings, Despite: o.despite != "", Retries: o.retries, Clock: now}
	var err error
	if o.onError != "" {
		if opts.OnError, err = o.chooseOnError(); err != nil {
			return opts, err
		}
	}
	if opts.MaxBadBytes, err = parseSize(o.maxBad); err != nil {
		return opts, err
	}
	if o.retries < 0 || o.readTimeout < 0 || o.deviceTimeout < 0 {
		return opts, withHints(errors.New("--retries and the time-outs are not negative"), "see: exhibit acquire -h")
	}
	return opts, nil
}

// attested requires a state to be the one that this key signed: who can write into the folder must not choose what was
// read.
func attested(state *acquire.State, keys *unlocked) error {
	message, signature := state.Attested()
	if err := keys.signer.PublicKey().Verify(message, signature); err != nil {
		return withHints(withCode(codeMismatch, fmt.Errorf("what the folder says of the interrupted run is not what this key attested: %w", err)),
			"use the key that the acquisition was begun with; if it was that one, the folder was changed: acquire the medium again")
	}
	return nil
}

// newer compares the states at two destinations and takes the newer: nothing that is safe anywhere is read again. The other
// destination is brought in line, or is lost if it was lost before.
func newer(state *acquire.State, to *destinations, keys *unlocked) (*acquire.State, []acquire.Destination, error) {
	if len(to.all) < 2 {
		return state, to.all, nil
	}
	if len(state.Acquisition.Destinations) < 2 {
		return nil, nil, misused(errors.New("the acquisition was begun with one destination"), "leave out --also")
	}
	root, err := to.all[1].Root.Sub(state.Acquisition.ID + layout.PartialSuffix)
	if err != nil {
		return nil, nil, withHints(err, "leave out --also to go on at the first destination alone")
	}
	defer root.Close() //nolint:errcheck // opened for reading only
	other, err := acquire.ReadState(root)
	if errors.Is(err, fs.ErrNotExist) && len(state.Previous) == 0 { // it was to get the very first state
		return state, to.all, nil
	}
	if err == nil {
		err = attested(&other, keys)
	}
	if err == nil && (other.Exhibit != state.Exhibit || other.Acquisition.ID != state.Acquisition.ID) {
		err = misused(fmt.Errorf("the second folder holds acquisition %s of exhibit %q", other.Acquisition.ID, other.Exhibit))
	}
	if err != nil {
		return nil, nil, withHints(err, "leave out --also to go on at the first destination alone")
	}
	if state.Behind(&other) > 0 {
		return &other, []acquire.Destination{to.all[1], to.all[0]}, nil
	}
	return state, to.all, nil
}

// mediumOf is the medium that was named, or else the drive with the serial number that the first run was told.
func mediumOf(args []string, state *acquire.State) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if h, ok := state.Acquisition.Medium.Hardware.Get(); ok {
		if serial, ok := h.Serial.Get(); ok {
			return "serial:" + serial, nil
		}
	}
	return "", misused(errors.New("reading is not finished, and the medium told no serial number to find it by"),
		"name the medium: exhibit acquire MEDIUM --resume FOLDER")
}

// resumption commits to who went on, and why.
func (o *acquireOptions) resumption(c *custody.Case, path string, state *acquire.State, opts *acquire.ResumeOptions) (err error) {
	at := "/circumstances/resumptions/" + strconv.Itoa(len(state.Circumstances.Resumptions)) + "/"
	k := &opts.Resumption
	if k.CommandLine, err = opts.Openings.Commit(rand.Reader, at+"commandLine", commandLine()); err != nil {
		return err
	}
	if k.MediumPath, err = opts.Openings.Commit(rand.Reader, at+"mediumPath", clean(path)); err != nil {
		return err
	}
	operator := o.examiner
	if operator == "" {
		operator = openedBy(c)
	}
	if k.Operator, err = opts.Openings.CommitFact(rand.Reader, at+"operator", operator, "not given"); err != nil {
		return err
	}
	if k.Live, err = opts.Openings.CommitFact(rand.Reader, at+"live", o.live, "not given"); err != nil {
		return err
	}
	k.Despite, err = opts.Openings.CommitFact(rand.Reader, at+"despite", o.despite, "not given")
	return err
}
