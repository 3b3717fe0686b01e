package verify

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// check verifies and requires the exit code, and with it that codes and statuses agree.
func check(t testing.TB, fsys fs.FS, name string, p Policy, want int) Report {
	t.Helper()
	r, err := Verify(context.Background(), fsys, name, p)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if got := r.ExitCode(); got != want {
		t.Errorf("exit code %d, want %d\n%s", got, want, show(r))
	}
	if len(r.Lines) != lineCount {
		t.Errorf("%d lines, want %d", len(r.Lines), lineCount)
	}
	return r
}

func show(r Report) string {
	var b strings.Builder
	b.WriteString(string(r.Kind) + "\n")
	for _, l := range r.Lines {
		b.WriteString("  " + l.Title + ": " + l.Status.String() + ". " + l.Sentence + "\n")
		for _, f := range l.Findings {
			b.WriteString("    " + f.Severity.String() + ": " + f.String() + "\n")
		}
	}
	for _, f := range r.Notes {
		b.WriteString("  note: " + f.String() + "\n")
	}
	return b.String()
}

func statuses(r Report) string {
	var out []string
	for _, l := range r.Lines {
		out = append(out, l.Status.String())
	}
	return strings.Join(out, ", ")
}

func TestSoundCase(t *testing.T) {
	for name, f := range map[string]*forge{"small": smallCase(t), "large": largeCase(t)} {
		t.Run(name, func(t *testing.T) {
			r := check(t, f.build().fs(""), "", f.policy(), ExitVerified)
			if got, want := statuses(r), "verified, verified, verified, not checked, not checked, verified, not checked"; got != want {
				t.Errorf("statuses %s, want %s", got, want)
			}
			if r.Kind != KindCase || len(r.Acquisitions) != 2 || len(r.Exhibits) != 2 || len(r.Cases) != 1 || len(r.Notes) != 0 {
				t.Errorf("report of %s with %d acquisitions, %d exhibits, %d cases, notes %v", r.Kind, len(r.Acquisitions), len(r.Exhibits), len(r.Cases), r.Notes)
			}
			a := r.Acquisitions[0]
			if a.Examiner != "B. Beispiel" || a.Holder != "unknown" || a.Assurance != "software" || a.Index != 2 || a.ID != idA {
				t.Errorf("facts of the first acquisition: %+v", a)
			}
			if !strings.Contains(r.Lines[3].Sentence, "(5 of them) is a prefix of the next") {
				t.Errorf("line 4 says %q", r.Lines[3].Sentence)
			}
			t.Log(show(r))
		})
	}
}

func TestSoundFolderAlone(t *testing.T) {
	f := smallCase(t)
	files := f.build()
	for i, sealed := range f.sealed {
		r := check(t, files.fs(sealed.dir), "", f.policy(), ExitVerified)
		if r.Kind != KindAcquisition || r.Acquisitions[0].Index != sealed.index {
			t.Errorf("report of %s, entry %d, want %d", r.Kind, r.Acquisitions[0].Index, sealed.index)
		}
		if got, want := statuses(r), "verified, verified, verified, not checked, not checked, not checked, not checked"; got != want {
			t.Errorf("statuses %s, want %s", got, want)
		}
		if i == 0 {
			t.Log(show(r))
		}
	}
	r := check(t, files.fs(""), f.sealed[0].dir, f.policy(), ExitVerified)
	if r.Kind != KindAcquisition {
		t.Errorf("a folder named in its case is taken for %s", r.Kind)
	}
}

func TestImageByName(t *testing.T) {
	f := smallCase(t)
	one, two := f.build().fs(f.sealed[0].dir), f.build().fs(f.sealed[1].dir)
	tests := []struct {
		fsys fstest.MapFS
		name string
		kind Kind
		code int
	}{
		{one, "7%2Fa.raw", KindImage, ExitVerified},
		{two, "8.002", KindImage, ExitVerified},
		{one, "7%2Fa.tree", KindAcquisition, ExitVerified},
		{one, "statement.dsse.json", KindAcquisition, ExitVerified},
		{one, "stranger.raw", KindAcquisition, ExitUnknown},
	}
	one["stranger.raw"] = &fstest.MapFile{Data: []byte("x")}
	for _, tt := range tests {
		r := check(t, tt.fsys, tt.name, f.policy(), tt.code)
		if r.Kind != tt.kind || r.Name != tt.name {
			t.Errorf("%s: report of %s %q, want %s", tt.name, r.Kind, r.Name, tt.kind)
		}
	}
	if _, err := Verify(t.Context(), one, "nothing.raw", f.policy()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that does not exist: %v", err)
	}
	if _, err := Verify(t.Context(), one, "../x", f.policy()); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a name outside: %v", err)
	}
}

func TestWithoutTrust(t *testing.T) {
	f := smallCase(t)
	files := f.build()
	digits := f.fingerprint().String()
	for _, dir := range []string{"", f.sealed[0].dir} {
		r := check(t, files.fs(dir), "", Policy{}, ExitUnknown)
		l := r.Lines[1]
		if l.Status != Unknown || r.Lines[0].Status != Verified || r.Lines[2].Status != Verified {
			t.Errorf("statuses %s", statuses(r))
		}
		groups := digits[:4] + " " + digits[4:8] + " "
		if !strings.Contains(l.Sentence, groups) || !strings.Contains(l.Findings[0].Text, groups) ||
			!strings.Contains(l.Findings[0].Advice, "exhibit trust add genesis "+digits) {
			t.Errorf("line 2 does not say what to compare: %q, %+v", l.Sentence, l.Findings)
		}
	}
	check(t, files.fs(""), "", trusting(smallCase(t).fingerprint()), ExitUnknown)
}

func TestNothingIsNeverVerified(t *testing.T) {
	if got := (Report{}).ExitCode(); got != ExitUnknown {
		t.Errorf("the zero Report has exit code %d", got)
	}
	var all []Line
	for n := 1; n <= lineCount; n++ {
		all = append(all, Line{Number: n, Status: Verified, Checked: 1})
	}
	if got := (Report{Kind: KindCase, Lines: all}).ExitCode(); got != ExitVerified {
		t.Fatalf("seven verified lines: %d", got)
	}
	for name, change := range map[string]func(*Report){
		"no kind":                        func(r *Report) { r.Kind = "" },
		"partial":                        func(r *Report) { r.Kind = KindPartial },
		"nothing":                        func(r *Report) { r.Kind = KindNothing },
		"six lines":                      func(r *Report) { r.Lines = r.Lines[:6] },
		"nothing checked":                func(r *Report) { r.Lines[0].Checked = 0 },
		"not checked":                    func(r *Report) { r.Lines[1].Status = NotChecked },
		"by order":                       func(r *Report) { r.Lines[2].Status = AbsentByOrder },
		"alone, by order":                func(r *Report) { r.Kind, r.Lines[0].Status = KindAcquisition, AbsentByOrder },
		"custody of nothing, by order":   func(r *Report) { r.Lines[5].Status, r.Lines[5].Checked = AbsentByOrder, 0 },
		"custody of an extract by order": func(r *Report) { r.Kind, r.Lines[5].Status = KindExtract, AbsentByOrder },
		"only by order":                  func(r *Report) { r.Lines[0].Status, r.Lines[0].Checked = AbsentByOrder, 0 },
		"custody":                        func(r *Report) { r.Lines[5].Status = Unknown },
		"a line twice":                   func(r *Report) { r.Lines[1] = r.Lines[0] },
		"a finding":                      func(r *Report) { r.Lines[4].Findings = []Finding{{Severity: Missing}} },
	} {
		r := Report{Kind: KindCase, Lines: append([]Line(nil), all...)}
		change(&r)
		if got := r.ExitCode(); got != ExitUnknown {
			t.Errorf("%s: exit code %d, want %d", name, got, ExitUnknown)
		}
	}
	for name, change := range map[string]func(*Report){
		"line 4":           func(r *Report) { r.Lines[3].Status = Failed },
		"a finding":        func(r *Report) { r.Lines[6].Findings = []Finding{{Severity: Mismatch}} },
		"strange severity": func(r *Report) { r.Lines[6].Findings = []Finding{{Severity: 9}} },
		"beats unknown":    func(r *Report) { r.Lines[0].Status, r.Lines[5].Status = Unknown, Failed },
		"beats partial":    func(r *Report) { r.Kind, r.Lines[0].Status = KindPartial, Failed },
	} {
		r := Report{Kind: KindCase, Lines: append([]Line(nil), all...)}
		change(&r)
		if got := r.ExitCode(); got != ExitMismatch {
			t.Errorf("%s: exit code %d, want %d", name, got, ExitMismatch)
		}
	}
}

func TestNoEvidence(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("x")}
	for name, tt := range map[string]struct {
		fsys   fstest.MapFS
		folder string
		kind   Kind
	}{
		"empty":     {fstest.MapFS{}, "", KindNothing},
		"a picture": {fstest.MapFS{"holiday.jpg": file}, "", KindNothing},
		"unsigned":  {fstest.MapFS{"unsigned.json": file, "7.raw": file}, "", KindPartial},
		"reading":   {fstest.MapFS{"journal": file, "7.raw": file}, "", KindPartial},
		"bare case": {fstest.MapFS{"case.json": file}, "", KindCase},
	} {
		want := ExitUnknown
		if tt.kind == KindCase {
			want = ExitMismatch // a case.json of one byte is malformed
		}
		if r := check(t, tt.fsys, "", Policy{FolderName: tt.folder}, want); r.Kind != tt.kind {
			t.Errorf("%s: taken for %s, want %s", name, r.Kind, tt.kind)
		}
	}
	f := smallCase(t)
	p := f.policy()
	p.FolderName = idA + ".partial"
	if r := check(t, f.build().fs(f.sealed[0].dir), "", p, ExitUnknown); r.Kind != KindPartial {
		t.Errorf("a complete folder called .partial is taken for %s", r.Kind)
	}
	f = newForge(t)
	check(t, f.build().fs(""), "", f.policy(), ExitUnknown)
	f.seize("7")
	check(t, f.build().fs(""), "", f.policy(), ExitUnknown)
}

func TestCancelled(t *testing.T) {
	f := largeCase(t)
	ctx, cancel := context.WithCancel(t.Context())
	p := f.policy()
	p.Progress = cancelAt{cancel}
	r, err := Verify(ctx, f.build().fs(""), "", p)
	if !errors.Is(err, context.Canceled) || r.Kind != "" || r.Lines != nil {
		t.Errorf("report %v, error %v, want a zero report and context.Canceled", r, err)
	}
}

type cancelAt struct{ cancel func() }

func (c cancelAt) Phase(string, int64) {}
func (c cancelAt) Done(int64)          { c.cancel() }

func TestReportAsJSON(t *testing.T) {
	f := smallCase(t)
	b, err := json.Marshal(check(t, f.build().fs(""), "", Policy{}, ExitUnknown))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["schema"] != Schema || got["exitCode"] != float64(5) || got["kind"] != "case" {
		t.Errorf("document %s", b)
	}
	for _, want := range []string{`"number":1,"title":"image","status":"verified"`, `"severity":"unknown"`, `"fingerprint":"` + f.fingerprint().String()} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("the document lacks %s: %s", want, b)
		}
	}
	zero, err := json.Marshal(Report{})
	if err != nil || !bytes.Contains(zero, []byte(`"exitCode":5,"kind":"nothing"`)) {
		t.Errorf("zero report as JSON: %s, %v", zero, err)
	}
}
