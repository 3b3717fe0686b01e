package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/verify"
)

func newVerifyCommand(u *ui) *cobra.Command {
	var trust, require string
	var toLog verifyLog
	return newCommand(command{
		use: "verify PATH", short: "Check a case, an acquisition folder, an image or an exported bundle",
		long: "Check a case folder, an acquisition folder, or an image inside one, and say in seven lines what is proven and what is\n" +
			"not. Exit 0 only when every required line was checked and holds. Trust comes from --trust or from exhibit trust add,\n" +
			"never from the folder itself: a case that is not trusted yet ends with 5 and shows its fingerprint, to be compared by\n" +
			"another channel. See: exhibit trust add -h\n\n" +
			"Of statements that exhibit log export --sigstore wrote, name a bundle (N.sigstore.json, the genesis 0.sigstore.json beside\n" +
			"it), or trusted_root.json for all in its folder. Then lines 2 and 3 are required; no image is looked at.\n\n" +
			"With --require it ends with 5, too, unless every acquisition was time-stamped (timestamp), or cosigned by a quorum of\n" +
			"witnesses (witness), that this station trusts, or was signed and logged by keys in a TPM that an authority which it trusts has\n" +
			"enrolled (hardware).\n\n" +
			"Nothing is written. With --log what was found of the images is logged afterwards, one event of type verified an exhibit, in\n" +
			"the case's own log; also that an image did not hold, which every later verification shows. The exit code stays that of the\n" +
			"verification. Images of which data was erased by order, or that the log does not know, are left out.",
		example: "  exhibit verify case-2026-001\n  exhibit verify case-2026-001/exhibits/7/20261123T081500Z-1a2b3c4d --trust trust.json\n" +
			"  exhibit verify bundles/2.sigstore.json",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&trust, "trust", "", "use this trust `FILE` in place of the station's own")
			f.BoolVar(&toLog.log, "log", false, "log what was found of the images of each exhibit; a case folder only")
			f.StringVar(&toLog.key, "key", "", "with --log, `NAME` of the person's key that signs (default: the one the case admits)")
			f.StringVar(&toLog.by, "by", "", "with --log, who verified: `NAME` (default: the holder of the key, as the genesis reveals it)")
			toLog.pass.register(f, true)
			f.StringVar(&require, "require", "", "require, too, what stands in `LIST`: witness, timestamp, hardware, with commas between them")
		},
		run: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("trust") && trust == "" { // an empty variable in a script must not mean other trust than was meant
				return withHints(errors.New("--trust names no file"), "name the trust file, or leave --trust out to use the station's own")
			}
			var required []string
			if cmd.Flags().Changed("require") {
				required = strings.Split(require, ",")
			}
			for _, what := range required {
				if !slices.Contains(verify.Requirements, what) {
					return withHints(fmt.Errorf("%.40q is nothing that can be required", what), "it can be: "+strings.Join(verify.Requirements, ", "))
				}
			}
			return runVerify(cmd.Context(), u, args[0], trust, required, &toLog)
		},
	})
}

func runVerify(ctx context.Context, u *ui, path, trustFile string, required []string, toLog *verifyLog) error {
	if err := toLog.check(); err != nil {
		return err
	}
	trust, err := readTrust(trustFile)
	if err != nil {
		return err
	}
	if toLog.log {
		if err := toLog.open(u, path); err != nil {
			return err
		}
		defer toLog.c.Close() //nolint:errcheck // everything written is synced already
	}
	report, err := verifyPath(ctx, u, path, trust, required...)
	if err != nil {
		return err
	}
	u.code = report.ExitCode()
	if toLog.log {
		logged, err := toLog.append(ctx, u, report)
		if err != nil {
			return toLog.failed(u, path, report, err)
		}
		return toLog.show(u, path, report, logged)
	}
	return u.result(report, func() { printReport(u, path, report) })
}

// verifyPath opens the folder of path, so that nothing outside it can be read, and verifies what lies there.
func verifyPath(ctx context.Context, u *ui, path string, trust []verify.TrustEntry, required ...string) (verify.Report, error) {
	// A final link that the user typed is followed; links found inside are not. The path is made absolute, because the
	// folder's own name counts: .partial.
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return verify.Report{}, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return verify.Report{}, err
	}
	dir, name := real, ""
	if !info.IsDir() {
		dir, name = filepath.Split(real)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return verify.Report{}, err
	}
	p := newProgress(u)
	report, err := verify.Verify(ctx, root.FS(), name, verify.Policy{Trust: trust, Require: required, FolderName: filepath.Base(filepath.Clean(dir)), Progress: p})
	p.end()
	if err := errors.Join(err, root.Close()); err != nil {
		return verify.Report{}, err
	}
	return report, nil
}

func printReport(u *ui, path string, r verify.Report) {
	for _, l := range r.Lines {
		u.linef("%d. %-14s %s", l.Number, l.Status, clean(l.Sentence))
		for _, f := range l.Findings {
			u.linef("     - %s", clean(f.String()))
		}
	}
	for _, n := range r.Notes {
		u.linef("   %s", clean(n.String()))
	}
	u.linef("")
	for _, c := range r.Cases {
		u.linef("Case %s, %s", clean(c.Number), clean(c.Agency))
		if e := c.Closed; e != nil {
			u.linef("Its log was closed by entry %d at %s, by %s, key %s", e.Index, e.Time.Wall(), clean(named("", e.By, "somebody not named")), e.KeyID[:16])
		}
	}
	for _, a := range r.Acquisitions {
		what := "acquisition " + clean(a.ID)
		if a.CopyOf != "" {
			what = clean(a.ID) + ", a copy of acquisition " + clean(a.CopyOf)
		}
		u.linef("Exhibit %s, %s, %s", clean(a.Exhibit), what, size(a.SizeBytes))
	}
	for _, e := range r.Exhibits {
		for _, by := range e.Endorsements {
			u.linef("Exhibit %s, event %d%s: endorsed by %s, key %s (event %d%s)", clean(e.Exhibit), by.Of, state.InLog(by.OfLog), clean(named("", by.Name, "somebody not named")),
				by.KeyID[:16], by.Number, state.InLog(by.Log))
		}
	}
	switch code := r.ExitCode(); {
	case code == codeDone && r.Kind == verify.KindBundle:
		u.linef("VERIFIED: what %q states was signed and logged as it says. No image was looked at, and no custody.", path)
	case code == codeDone && r.Kind == verify.KindExtract:
		u.linef("VERIFIED: the events in %q were signed and logged as they say, none between them is missing. Later ones can have been left out. No image was looked at.", path)
	case code == codeDone:
		u.linef("VERIFIED: %q holds in every required line%s.", path, erasedText(r))
	case code == codeMismatch:
		u.linef("FAILED: %q does not match its record; see the lines above.", path)
	default:
		u.linef("NOT VERIFIED: nothing contradicts, but something required is missing or unknown; see the lines above.")
	}
}

// erasedText says that not everything is here, where that changes no outcome.
func erasedText(r verify.Report) string {
	for _, l := range r.Lines {
		if l.Status == verify.AbsentByOrder {
			return ", except for what is absent by order"
		}
	}
	return ""
}
