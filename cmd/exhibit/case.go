package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type caseDocument struct {
	Schema      string           `json:"schema"`
	Folder      string           `json:"folder"`
	Case        string           `json:"case"`
	Agency      string           `json:"agency"`
	Origin      string           `json:"origin"`
	Fingerprint string           `json:"fingerprint"`
	Opened      string           `json:"opened"`
	Entries     int64            `json:"entries"`
	Exhibits    []string         `json:"exhibits"`
	Signers     []signerDocument `json:"signers"`
}

type signerDocument struct {
	KeyID  string        `json:"keyId"`
	Kind   string        `json:"kind"`
	Events []record.Type `json:"events"`
	Holder string        `json:"holder,omitzero"` // as revealed
}

func newCaseCommand(u *ui) *cobra.Command {
	return group("case", "Open a case folder, join a case that others have, show it, change its keys, close it", newCaseCreateCommand(u), newCaseJoinCommand(u), newCaseShowCommand(u), newCaseStatusCommand(u), newCaseGapsCommand(u),
		newCaseAdmitCommand(u), newCaseWithdrawCommand(u), newCaseRekeyCommand(u), newCaseCloseCommand(u), newCaseLabelCommand(u))
}

type caseCreateOptions struct {
	number, agency, openedBy string
	key, station, log        string
	admit                    []string // NAME, or NAME=EVENT,...
	holders                  []string // NAME=PERSON
	joins                    *record.Joining
	pass                     passphraseFlags
}

// register adds the flags that a new log needs, whether it opens a case or joins one.
func (o *caseCreateOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.agency, "agency", "", "the agency's `NAME` (required)")
	f.StringVar(&o.openedBy, "opened-by", "", "`NAME` of the person who opens the log; kept as a commitment")
	f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs the genesis (required)")
	f.StringVar(&o.station, "station", "", "`NAME` of the station's key that will sign acquisitions (required)")
	f.StringVar(&o.log, "log-key", "", "`NAME` of the log key (required)")
	f.StringArrayVar(&o.admit, "admit", nil, "admit another `KEY` of this station: NAME for what its kind signs, or NAME=EVENT,EVENT; may be repeated")
	f.StringArrayVar(&o.holders, "holder", nil, "who holds an admitted key: `KEY=PERSON`; kept as a commitment. May be repeated")
	o.pass.register(f, true)
}

func newCaseCreateCommand(u *ui) *cobra.Command {
	var o caseCreateOptions
	return newCommand(command{
		use: "create DIR", short: "Open a case: make its folder, its log and its genesis",
		long: "Open a case: make its folder, its log and its genesis, the log's first entry. The genesis names the case, the keys\n" +
			"of the log and who may sign which event: the station's key acquisitions, the person's key every other event. It is\n" +
			"signed by the person's key. Its fingerprint is what others compare, by another channel, before they trust the case.",
		example: "  exhibit case create case-2026-001 --number 2026-001 --agency \"Example Police\" \\\n" +
			"      --key inspector --station lab1 --log-key lab1-log",
		args: cobra.ExactArgs(1), codes: []int{codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.number, "number", "", "the case's `NUMBER` (required)")
			o.register(f)
		},
		run: func(_ *cobra.Command, args []string) error { return runCaseCreate(u, args[0], &o) },
	})
}

// required names every flag at once that a new log needs and that was not given: the one that the command alone has, and the
// common ones.
func (o *caseCreateOptions) required(flag, value string) error {
	var lacking []string
	for _, f := range []struct{ flag, value string }{{flag, value}, {"agency", o.agency}, {"key", o.key},
		{"station", o.station}, {"log-key", o.log}} {
		if f.value == "" {
			lacking = append(lacking, "--"+f.flag)
		}
	}
	if len(lacking) > 0 {
		return withHints(fmt.Errorf("a new log needs %s", strings.Join(lacking, ", ")), "see: exhibit case create -h, exhibit case join -h")
	}
	return nil
}

// name puts the persons that --holder names to the keys that --admit names, in its order.
func (o *caseCreateOptions) name(admitted []custody.Admission) error {
	for _, text := range o.holders {
		key, person, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(o.admit, func(admit string) bool { return strings.SplitN(admit, "=", 2)[0] == key })
		switch {
		case person == "":
			return withHints(fmt.Errorf("--holder %.80q names no person", text), "write it as --holder KEY=PERSON")
		case i < 0:
			return withHints(fmt.Errorf("--holder %.80q: no --admit names the key", text), "admit it with --admit KEY; --opened-by names who signs the genesis")
		case admitted[i].Holder != "":
			return fmt.Errorf("--holder %.80q: the holder of that key is named twice", text)
		}
		admitted[i].Holder = person
	}
	return nil
}

func runCaseCreate(u *ui, dir string, o *caseCreateOptions) error {
	c, _, _, err := createCase(dir, o)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	return showCase(u, c, "Opened")
}

// createCase makes the folder, and returns the keys that can append to its log.
func createCase(dir string, o *caseCreateOptions) (*custody.Case, sign.Signer, sign.LogSigner, error) {
	fail := func(err error) (*custody.Case, sign.Signer, sign.LogSigner, error) { return nil, nil, nil, err }
	if err := o.required("number", o.number); err != nil {
		return fail(err)
	}
	store, err := openStore(false)
	if err != nil {
		return fail(err)
	}
	person, station, err := genesisKeys(store, o)
	if err != nil {
		return fail(err)
	}
	others, err := admissions(store, o.admit, o.key, o.station)
	if err != nil {
		return fail(err)
	}
	if err := o.name(others); err != nil {
		return fail(err)
	}
	signer, logKey, logPassphrase, err := unlockWithLog(store, person, o.log, &o.pass)
	if err != nil {
		return fail(err)
	}
	files, err := attestationFiles(store, o.log, o.station)
	if err != nil {
		return fail(err)
	}
	logKey, counter, err := store.newCounter(o.log, logPassphrase, logKey)
	if err != nil {
		return fail(err)
	}
	c, err := custody.Create(dir, custody.NewCase{
		Counter: identityOf(counter), Files: files, Joins: o.joins,
		Number: o.number, Agency: o.agency, OpenedBy: o.openedBy, Clock: now, Random: rand.Reader,
		Admit: append([]custody.Admission{
			{Key: person.PublicKey, Kind: record.KindPerson, Holder: o.openedBy, Events: append(personEvents(), record.TypeKeysChanged), Certificate: person.Certificate},
			{Key: station.PublicKey, Kind: record.KindStation, Events: stationEvents(), Certificate: station.Certificate},
		}, others...),
	}, signer, logKey)
	if err != nil && counter != nil {
		err = errors.Join(err, counter.Free())
	}
	if errors.Is(err, record.ErrMalformed) {
		return fail(misused(err, "number, agency and names are printable lines"))
	}
	if err != nil {
		return fail(err)
	}
	return c, signer, logKey, nil
}

// admissions are the keys that --admit names, none of them one of those that were seen.
func admissions(store keyStore, admit []string, seen ...string) ([]custody.Admission, error) {
	var out []custody.Admission
	for _, admit := range admit {
		name, events, some := strings.Cut(admit, "=")
		info, err := store.Info(name)
		switch {
		case err != nil:
			return nil, err
		case slices.Contains(seen, name):
			return nil, fmt.Errorf("key %q is named twice", name)
		case info.Kind == sign.KindLog:
			return nil, withHints(fmt.Errorf("key %q is a log key, which signs checkpoints only", name), "choose another with --admit NAME")
		}
		seen = append(seen, name)
		if some && events == "" {
			return nil, withHints(fmt.Errorf("--admit %q admits the key for nothing", admit), fmt.Sprintf("the events are: %v", record.SignedTypes))
		}
		a := custody.Admission{Key: info.PublicKey, Kind: info.Kind, Certificate: info.Certificate}
		if a.Events, err = eventsOf(info.Kind, events); err != nil {
			return nil, fmt.Errorf("--admit %q: %w", admit, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// eventsOf reads what a key of that kind may sign; an empty list is what its kind signs.
func eventsOf(kind, list string) ([]record.Type, error) {
	if list == "" && kind == record.KindStation {
		return stationEvents(), nil
	}
	if list == "" {
		return personEvents(), nil
	}
	var out []record.Type
	for event := range strings.SplitSeq(list, ",") {
		if !slices.Contains(record.SignedTypes, record.Type(event)) || slices.Contains(out, record.Type(event)) {
			return nil, withHints(fmt.Errorf("%q is no event, or stands twice", event), fmt.Sprintf("the events are: %v", record.SignedTypes))
		}
		out = append(out, record.Type(event))
	}
	return out, nil
}

// identityOf is what the genesis says of a counter; nil of none.
func identityOf(c *tpm.Counter) *record.Counter {
	if c == nil {
		return nil
	}
	id := c.Identity()
	return &id
}

// attestationFiles are what the case keeps of keys in a TPM: what shows that they are, and the certificates that an agency
// has issued for them.
func attestationFiles(store keyStore, names ...string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range names {
		info, err := store.Info(name)
		if err != nil {
			return nil, err
		}
		if info.Attestation != nil {
			files[layout.KeyAttestationFile(info.KeyID)] = info.Attestation
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	certificates, err := store.machine.certificates()
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, err
	}
	files[layout.EnrolmentFile] = certificates
	return files, nil
}

// stationEvents are those about images, which the station makes.
func stationEvents() []record.Type { return []record.Type{record.TypeAcquired, record.TypeCopied} }

// personEvents are all the others, but for the change of keys: that is for whoever opens the log, and whom it admits for it by
// name.
func personEvents() []record.Type {
	return slices.DeleteFunc(slices.Clone(record.EventTypes), func(t record.Type) bool { return slices.Contains(stationEvents(), t) })
}

func genesisKeys(store keyStore, o *caseCreateOptions) (person, station sign.Info, err error) {
	if person, err = store.Info(o.key); err != nil {
		return person, station, err
	}
	if station, err = store.Info(o.station); err != nil {
		return person, station, err
	}
	if person.Kind != record.KindPerson {
		return person, station, withHints(fmt.Errorf("key %q is of kind %s, and a person's key signs the genesis", o.key, person.Kind), "choose another with --key NAME")
	}
	if station.Kind != record.KindStation {
		return person, station, withHints(fmt.Errorf("key %q is of kind %s, and a station's key signs acquisitions", o.station, station.Kind), "choose another with --station NAME")
	}
	return person, station, nil
}

func newCaseShowCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "show [DIR]", short: "Show a case's number, fingerprint, signers and exhibits",
		long: "Show a case's number, fingerprint, signers and exhibits, as the folder tells them. To know that it is sound use:\n" +
			"exhibit verify DIR",
		args: cobra.MaximumNArgs(1), codes: []int{codeMismatch, codeMissing},
		run: func(_ *cobra.Command, args []string) error {
			c, err := custody.Open(append(args, ".")[0])
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // opened for reading
			return showCase(u, c, "Case folder")
		},
	})
}

// openToAppend opens a case and says of entries that an append logs beside its own, and of a log that is in use.
func openToAppend(u *ui, dir string) (*custody.Case, error) {
	c, err := openMaybeClosed(u, dir)
	if err != nil {
		return nil, err
	}
	if e, closed, err := c.Closed(); err == nil && closed { // that it cannot be known is for the append to say
		return nil, errors.Join(closedError(c, e), c.Close())
	}
	return c, nil
}

// closedError says that nothing can be appended, before anything is asked for.
func closedError(c *custody.Case, e custody.Entry) error {
	return withHints(fmt.Errorf("%w: it was %s", ledger.ErrClosed, closedText(e)), "a case that must go on after all gets a log of its own for that: exhibit log continue --because TEXT",
		fmt.Sprintf("verify it as before with: exhibit verify %q", c.Dir()))
}

// openMaybeClosed is openToAppend for what can be done with a log that was closed, too.
func openMaybeClosed(u *ui, dir string) (*custody.Case, error) {
	c, err := custody.Open(dir)
	if err != nil {
		return nil, err
	}
	c.Recovered = func(l ledger.Logged) {
		u.notef("entry %d was left by an interrupted append and is logged now; look at it with: exhibit log show --case %q", l.Index, dir)
	}
	c.Waiting = func(held error) { u.notef("waiting for the log, which is in use: %s", clean(held.Error())) }
	return c, nil
}

func showCase(u *ui, c *custody.Case, verb string) error {
	g := c.Genesis()
	doc := caseDocument{Schema: "exhibit-case/v1", Folder: c.Dir(), Case: g.Case, Agency: g.Agency, Origin: g.Origin,
		Fingerprint: c.Fingerprint().String(), Opened: g.Time.UTC, Exhibits: []string{}, Signers: []signerDocument{}}
	keys, err := c.Keys()
	if err != nil {
		return err
	}
	for _, s := range keys.Signers(ledger.Next) {
		name, err := c.Holder(s.KeyID)
		if err != nil {
			return err
		}
		doc.Signers = append(doc.Signers, signerDocument{s.KeyID, s.Kind, s.Events, name})
	}
	for e, err := range c.Entries() {
		if err != nil {
			return err
		}
		doc.Entries = e.Index + 1
		break
	}
	entries, err := fs.ReadDir(c.FS(), layout.ExhibitsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if number, err := layout.Decode(e.Name()); err == nil {
			doc.Exhibits = append(doc.Exhibits, number)
		}
	}
	return u.result(doc, func() {
		u.linef("%s %q", verb, doc.Folder)
		u.linef("Case:        %s", clean(doc.Case))
		u.linef("Agency:      %s", clean(doc.Agency))
		u.linef("Opened:      %s", doc.Opened)
		u.linef("Log:         %s, %s", doc.Origin, entriesText(doc.Entries))
		u.linef("Fingerprint: %s", sign.Fingerprint(doc.Fingerprint))
		for _, s := range doc.Signers {
			holder := ""
			if s.Holder != "" {
				holder = " of " + clean(s.Holder)
			}
			u.linef("Signer:      %s key %s%s, for %v", s.Kind, s.KeyID[:16], holder, s.Events)
		}
		for _, e := range doc.Exhibits {
			u.linef("Exhibit:     %s", clean(e))
		}
	})
}

func entriesText(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
