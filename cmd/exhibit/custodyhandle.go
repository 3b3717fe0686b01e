package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// field is something that an event can say: a flag of its command, and a member of a file of --from-file.
type field struct {
	name, usage string
	many        bool // may be given several times
}

// fields lists all, in the order of the help's sections; each verb names those it has beside the common ones.
var fields = []field{
	{"at", "`TIME` when it was, RFC 3339 with offset, if it is entered late: 2026-11-23T09:15:00+01:00 (default: now)", false},
	{"by", "who did it: `NAME` (default: the holder of the key, as the genesis reveals it)", false},
	{"by-role", "`ROLE` of who did it", false},
	{"by-agency", "`AGENCY` of who did it", false},
	{"by-id", "badge or identity `NUMBER` of who did it", false},
	{"place", "where, in `WORDS`", false},
	{"purpose", "why, in `WORDS`", false},
	{"authority", "the warrant, order or other ground: its `NUMBER`, or words", false},
	{"authority-kind", "`KIND` of that ground: " + strings.Join(record.AuthorityKinds, ", "), false},
	{"authority-issuer", "who gave that ground: `NAME` of the court, the office or the person", false},
	{"condition", "the state of exhibit and wrapping, in `WORDS`", false},
	{"witness", "who saw it: `NAME`", false},
	{"remarks", "anything else, in `WORDS`", false},
	{"attach", "`FILE` with a photograph, a video or a scan; it is copied into the case, and its digests are logged. May be repeated, 200 times at most", true},
	{"despite", "log it although a rule stands against it, for this `REASON`; every report shows it as a gap", false},

	{"from", "from whom it came: `NAME`", false},
	{"from-role", "`ROLE` of who gave it", false},
	{"from-agency", "`AGENCY` of who gave it", false},
	{"from-id", "badge or identity `NUMBER` of who gave it", false},
	{"holder-present", "whether who held it was there: `yes` or no", false},
	{"holder-signature", "what who held it did with the paper record: `signed` or refused", false},
	{"description", "what it is, as on the label, in `WORDS`", false},
	{"make", "`MAKER` of the device", false},
	{"model", "`MODEL` of the device", false},
	{"colour", "`COLOUR` of the device", false},
	{"serial", "serial `NUMBER` of the device", false},
	{"imei", "IMEI `NUMBER` of a telephone; may be repeated", true},
	{"mac", "MAC `ADDRESS` of the device; may be repeated", true},
	{"uin", "another identity `NUMBER`: of a card, an account, a service; may be repeated", true},
	{"capacity", "`CAPACITY` as the label states it: 128GB, 64GiB, or bytes", false},
	{"power", "power `STATE` when it was found: " + strings.Join(record.PowerStates, ", ") + "; locked and unlocked are on", false},
	{"origin", "`KIND` of way by which it came: " + strings.Join(record.OriginKinds, ", ") + " (default: seizure)", false},
	{"provider", "who handed it over, if it was not seized: `NAME` of the service, the foreign authority, the customs office", false},
	{"provider-role", "`ROLE` of who handed it over", false},
	{"provider-agency", "`AGENCY` of who handed it over", false},
	{"provider-id", "badge or identity `NUMBER` of who handed it over", false},
	{"extractor", "who took the data out of the system that held it: `NAME`", false},
	{"extractor-role", "`ROLE` of who took the data out", false},
	{"extractor-agency", "`AGENCY` of who took the data out", false},
	{"extractor-id", "badge or identity `NUMBER` of who took the data out", false},
	{"extracted-at", "`TIME` when the data was taken out, RFC 3339 with offset", false},
	{"part-of", "`NUMBER` of the exhibit that it was taken out of, as the card of a telephone", false},
	{"to", "to whom it goes: `NAME`", false},
	{"to-role", "`ROLE` of who gets it", false},
	{"to-agency", "`AGENCY` of who gets it", false},
	{"to-id", "badge or identity `NUMBER` of who gets it", false},
	{"to-key", "`IDENTIFIER` of the key that will accept it, 64 hex digits; then no other key can", false},
	{"release", "`EVENT` that is answered, named like that of correct --event (default: the open release)", false},
	{"event", "`EVENT` that is put right: its number; or, where several logs have that, ORIGIN:NUMBER with the beginning of the log's name, or the beginning of its leaf hash", false},
	{"entry", "`EVENT` that is endorsed: its number, ORIGIN:NUMBER, or its leaf hash or the beginning of it; may be repeated", true},
	{"kind", "`KIND` of restriction: " + strings.Join(record.RestrictionKinds, ", "), false},
	{"lift", "lift the restriction of this `EVENT` (its number, ORIGIN:NUMBER or leaf hash) in place of putting one on", false},
	{"method", "how it was destroyed, in `WORDS`", false},
	{"by-order", "`ORDER` by which data was erased: the event is about the data then, and not about the exhibit itself", false},
	{"court", "who gave the order: `NAME`", false},
	{"copies", "what became of copies that the log does not know, in `WORDS`", false},
	{"withhold", "personal `FIELD` of the earlier events that they do not get to read: a name as witness, or a whole pointer; several with commas between them, or repeated", true},
	{"ground", "why it is withheld, in `WORDS`", false},
	{"authorised-by", "who decided that it is withheld: `NAME`", false},
	{"openings", "`NUMBER` of an event of which the file of openings (names, free text) was erased; may be repeated. The word all: every one", true},
	{"attachment", "`SHA256` of an attachment that was erased, as exhibit custody show gives it; may be repeated. The word all: every one", true},
	{"found", "`NUMBER` of a seal that was on at the beginning; may be repeated. The word none: no seal was on", true},
	{"unseal", "`NUMBER` of a seal taken off; may be repeated", true},
	{"seal", "`NUMBER` of a seal put on, at the end; may be repeated", true},
	{"image", "`ACQUISITION` that it is about, in place of the exhibit itself; may be repeated. The word all: every one", true},
	{"label", "`NUMBER` or label of the copy, by which people find it", false},
	{"tool", "`NAME` of the program or the device that made the copy", false},
	{"tool-version", "`VERSION` of that program or device", false},
	{"digest", "`DIGEST` of the copy as that program or device gives it: sha256:HEX, md5:HEX, ...; may be repeated", true},
	{"package", "`FILE` that was sent; its size and digests are logged, the file stays where it is", false},
	{"reference", "the `NUMBER` or words under which it was sent, as those of a request", false},
	{"paper", "`FILE` with the scan of what was signed on paper; it is copied into the case as --attach does, and its digests are logged", false},
}

// common is how many of fields every verb has.
const common = 15

// verb is a command that logs one type of event.
type verb struct {
	name     string
	typ      record.Type
	short    string
	long     string
	example  string // after the command's name and number
	has      string // fields beside the common ones
	required string
}

var verbs = []verb{
	{"seize", record.TypeSeized, "Begin an exhibit's chain of custody: what was seized, where, from whom",
		"What came by another way than a seizure names that by --origin; then who handed it over, who extracted it and when.",
		`--description "laptop, black, one drive" --place "12 Example Street" --serial X-99 --power off --seal S-1001`,
		"from from-role from-agency from-id holder-present holder-signature description make model colour serial imei mac uin capacity power " +
			"origin provider provider-role provider-agency provider-id extractor extractor-role extractor-agency extractor-id extracted-at part-of seal",
		"description"},
	{"receive", record.TypeReceived, "Log that an exhibit came from somebody who signs nothing here",
		"Whoever signs holds the exhibit then. From somebody with a key in the case it comes by release and accept.",
		`--from "H. Older" --place "Example store"`, "from from-role from-agency from-id part-of found unseal seal paper", "from place"},
	{"seal", record.TypeSealed, "Log that seals were put on an exhibit", "", `--seal S-1002`, "seal found", "seal"},
	{"unseal", record.TypeUnsealed, "Log that seals were taken off an exhibit", "",
		`--unseal S-1001 --purpose imaging`, "unseal found", "unseal purpose"},
	{"release", record.TypeReleased, "Hand an exhibit over: the giver's side",
		"The handover is open until the receiver has logged: exhibit custody accept, or refuse.",
		`--to "B. Lab" --purpose imaging`, "to to-role to-agency to-id to-key image found", "to purpose"},
	{"accept", record.TypeAccepted, "Take an exhibit over: the receiver's side",
		"Signed by the giver's own key, the handover is reported as one-sided; so is one that the receiver signed on paper.",
		`--found S-1001 --key blab`, "release found seal image paper", "found"},
	{"refuse", record.TypeRefused, "Refuse an exhibit that was released, or take the release back", "",
		`--remarks "seal broken"`, "release found image paper", "remarks"},
	{"examine", record.TypeExamined, "Log an examination of an exhibit, or of its images", "",
		`--purpose "search for chats" --image all`, "image found unseal seal", "purpose"},
	{"inspect", record.TypeInspected, "Log that an exhibit, or an image, was looked at without a copy", "",
		`--by "P. Rosecutor" --purpose "viewing"`, "image found unseal seal", "purpose"},
	{"copy", record.TypeCopiedElsewhere, "Log a copy that another program or a device made",
		"Of the image that --image names, or else of the exhibit itself. Its digests are held against the record: a copy that differs is a gap.\n" +
			"What this program copies logs itself: exhibit image convert.",
		`--image 20261123T081500Z-1a2b3c4d --label 7-C1 --tool dc3dd --tool-version 7.3.1 --digest sha256:... --to "X. Pert" --purpose report`,
		"to to-role to-agency to-id image label tool tool-version digest found unseal seal", "label tool to purpose"},
	{"return", record.TypeReturned, "Log that an exhibit was given back for good", "",
		`--to "H. Older" --authority "order 12/2026"`, "to to-role to-agency to-id found unseal seal paper", "to authority"},
	{"destroy", record.TypeDestroyed, "Log that an exhibit was destroyed, or its data erased by order",
		"Nothing is deleted: the event says what was done with the thing itself. With --by-order it names data that an order had erased:\n" +
			"of the images given by --image, and of all copies of them in the log, the image and the tree; attachments; files of openings.\n" +
			"What is named may be absent then, and exhibit verify calls it absent by order; the files to remove are listed.",
		`--method shredded --authority "order 12/2026" --witness "W. Itness"`, "method by-order court copies openings attachment found unseal image paper", "method witness"},
	{"restrict", record.TypeRestricted, "Restrict an exhibit, or lift a restriction",
		"While a restriction is in force, examine, copy, disclose, transmit and exhibit image convert,\n" +
			"cat and restore are refused.",
		`--kind privilege --authority "order 7/2026"`, "kind lift paper", "authority"},
	{"disclose", record.TypeDisclosed, "Log that an exhibit's image, or the record of it, was given to somebody",
		"With --withhold the log names the personal fields of the earlier events that were left out, on what ground and by whose decision. The\n" +
			"commitments stay, so every proof holds; exhibit verify says of them: not disclosed.",
		`--to "D. Efence" --purpose "disclosure to the defence" --image all`, "to to-role to-agency to-id image paper withhold ground authorised-by", "to purpose"},
	{"transmit", record.TypeTransmitted, "Log that images, or a package, were sent to another authority",
		"Name what was sent: the images that it holds by --image, the file by --package, or both. Nothing is sent or packed: how it went says --remarks.",
		`--to "C. Entral" --to-agency "Example Authority" --purpose "request 12/2026" --image all --package out.zip`,
		"to to-role to-agency to-id image package reference paper", "to to-agency purpose"},
	{"endorse", record.TypeEndorsed, "Vouch, with a second key, for what an earlier event says",
		"Whoever signs says that they saw the event and that it was so. The key must be another than the one that signed the event: choose it\n" +
			"by --key. exhibit verify and exhibit custody show say who endorsed what.",
		`--entry 3 --key second --remarks "I was there"`, "entry", "entry"},
	{"note", record.TypeNoted, "Log a note about an exhibit", "", `--remarks "moved to shelf 3"`, "image found", "remarks"},
	{"correct", record.TypeCorrected, "Put an earlier event right by a new one", "The earlier event stays as it is.",
		`--event 3 --remarks "the seal's number is S-1012"`, "event", "event remarks"},
}

// fields returns those that the verb has.
func (v verb) fields() []field {
	own := strings.Fields(v.has)
	return slices.Concat(fields[:common], slices.Collect(func(yield func(field) bool) {
		for _, f := range fields[common:] {
			if slices.Contains(own, f.name) && !yield(f) {
				return
			}
		}
	}))
}

type handleOptions struct {
	caseDir, key, file string
	handover, answer   string
	verify             bool
	said               draft
	pass               passphraseFlags
}

func newHandleCommands(u *ui) []*cobra.Command {
	var out []*cobra.Command
	for _, v := range verbs {
		out = append(out, newHandleCommand(u, v))
	}
	return out
}

func newHandleCommand(u *ui, v verb) *cobra.Command {
	o := handleOptions{said: draft{}}
	values := map[string]*[]string{}
	images := v.typ != record.TypeDestroyed && slices.ContainsFunc(v.fields(), func(f field) bool { return f.name == "image" })
	long := v.short + ".\n"
	if v.long != "" {
		long += v.long + "\n"
	}
	return newCommand(command{
		use: v.name + " NUMBER", short: v.short,
		long: long + "On a terminal a form asks for what the flags leave out, if something required is among it.\n" +
			"Names and free text stand in the log only as commitments. What nobody knows is written as the word unknown. An event that\n" +
			"contradicts what the log says of the exhibit is refused with the rule's name (docs/format.md, section 5.10).",
		example: "  exhibit custody " + v.name + " 7 " + v.example,
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.SortFlags = false
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs (default: the one the case admits)")
			f.StringVar(&o.file, "from-file", "", "take what is not given by flags from a JSON `FILE` (docs/json.md)")
			for _, field := range v.fields() {
				values[field.name] = f.StringArray(field.name, nil, field.usage+requiredText(v, field.name))
			}
			switch v.typ {
			case record.TypeReleased:
				f.StringVar(&o.handover, "handover", "", "write the log with the release to a new `FILE`, for a receiver who keeps a log of their own")
			case record.TypeAccepted, record.TypeRefused:
				f.StringVar(&o.handover, "handover", "", "take in the giver's log from this `FILE`, and answer the release in it")
				f.StringVar(&o.answer, "answer", "", "write the log with the answer to a new `FILE`, for the giver to take in")
			}
			if images {
				f.BoolVar(&o.verify, "verify", false, "hash the images here and now, and log what was found")
			}
			o.pass.register(f, true)
		},
		run: func(cmd *cobra.Command, args []string) error {
			for name, value := range values {
				if cmd.Flags().Changed(name) {
					o.said[name] = *value
				}
			}
			return runHandle(cmd.Context(), u, v, args[0], &o)
		},
	})
}

func requiredText(v verb, name string) string {
	if slices.Contains(strings.Fields(v.required), name) {
		return " (required)"
	}
	return ""
}

func runHandle(ctx context.Context, u *ui, v verb, number string, o *handleOptions) error {
	if err := checkNumber(number); err != nil {
		return err
	}
	form, err := o.readSaid(u, v, number)
	if err != nil {
		return err
	}
	out, err := o.outFile(v)
	if err != nil {
		return err
	}
	c, err := openToAppend(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	keyID, err := chosenKey(c, o.key, v.typ)
	if err != nil {
		return err
	}
	giver, err := takeHandover(ctx, c, v, o.handover)
	if err != nil {
		return err
	}
	b := eventBuilder{ctx: ctx, u: u, c: c, number: number, said: o.said, verify: o.verify, keyID: keyID}
	built, err := b.made(v, giver, form)
	if err != nil {
		return err
	}
	keys, err := unlock(c, o.key, v.typ, &o.pass)
	if err != nil {
		return err
	}
	despite := record.DespiteOf(built.event)
	attached := attacher{ctx: ctx, c: c, exhibit: number, typ: v.typ, path: built.path, despite: despite != nil}
	if err := attached.all(o.said, built, despite, &b.openings); err != nil {
		return ruleHints(err)
	}
	if giver != "" {
		if _, err := c.Anchor(ctx, giver, keys.signer, keys.log, now); err != nil {
			return err
		}
	}
	if _, err := c.Append(ctx, built.event, b.openings, keys.signer, keys.log, now); err != nil {
		return ruleHints(err)
	}
	if out != "" {
		if _, err := writeLog(c, number, false, out); err != nil {
			return withHints(err, fmt.Sprintf("the event is logged; write the file with: exhibit log export FILE --exhibit %q", number))
		}
	}
	if err := showHistory(u, c, number); err != nil {
		return err
	}
	toRemove(u, c, built.event, b.chain)
	b.sayChanged()
	return nil
}

// readSaid adds what a file says to the flags, and requires that all is there, or that a form can ask for it.
func (o *handleOptions) readSaid(u *ui, v verb, number string) (form bool, err error) {
	if form, err = o.wantsForm(u, v); err != nil || form {
		return form, err
	}
	if o.file != "" {
		if err := o.said.addFile(o.file, v, number); err != nil {
			return false, err
		}
	}
	return false, o.said.check(v)
}

// outFile is the new file that the log is to be written into for others; empty for none.
func (o *handleOptions) outFile(v verb) (string, error) {
	out := o.answer
	if v.typ == record.TypeReleased {
		out = o.handover
	}
	if out == "" {
		return "", nil
	}
	return out, checkNewFile(out)
}

// takeHandover takes in the log of the giver, whose origin it returns; empty without a handover file to read.
func takeHandover(ctx context.Context, c *custody.Case, v verb, file string) (origin string, err error) {
	if file == "" || v.typ == record.TypeReleased {
		return "", nil
	}
	f, release, err := openForeign(ctx, file)
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := takeLog(ctx, c, f); err != nil {
		return "", err
	}
	return f.Genesis.Origin, nil
}

// chosenKey returns the identifier of the key that will sign, before anything is asked for.
func chosenKey(c *custody.Case, name string, t record.Type) (string, error) {
	store, err := openStore(false)
	if err != nil {
		return "", err
	}
	infos, err := store.List()
	if err != nil {
		return "", err
	}
	info, err := chooseKey(infos, c, name, t)
	if err != nil {
		return "", err
	}
	return info.PublicKey.KeyID(), nil
}

func ruleHints(err error) error {
	if errors.Is(err, custody.ErrNothingDespite) {
		return withHints(err, "leave out --despite")
	}
	e, ok := errors.AsType[*custody.RuleError](err)
	if !ok {
		return err
	}
	see := fmt.Sprintf("see what the log says of it with: exhibit custody show %q", e.Exhibit)
	if e.Type == record.TypeSeized {
		if e.Is(custody.ErrSeized) {
			return withHints(err, fmt.Sprintf("what was given back and comes again is logged with: exhibit custody receive %q; another item needs a number of its own", e.Exhibit))
		}
		see = "see what the log says of the others with: exhibit case status"
	}
	if slices.ContainsFunc(e.Breaches, func(b state.Breach) bool { return b.Rule == record.RuleRecoveryPhrase }) {
		see = "leave the words out: whoever is given the record could read them"
	}
	return withHints(err, see, "if it is so all the same, log it with --despite REASON; every report will show that")
}
