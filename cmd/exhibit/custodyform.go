package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// onlyAfter are the fields that make sense only after another one was answered.
var onlyAfter = map[string]string{
	"authority-kind": "authority", "authority-issuer": "authority",
	"from-role": "from", "from-agency": "from", "from-id": "from",
	"to-role": "to", "to-agency": "to", "to-id": "to",
	"provider-role": "provider", "provider-agency": "provider", "provider-id": "provider",
	"extractor-role": "extractor", "extractor-agency": "extractor", "extractor-id": "extractor",
	"ground": "withhold", "authorised-by": "withhold",
	"court": "by-order", "copies": "by-order", "openings": "by-order", "attachment": "by-order",
}

// noUnknown are the fields in which the word unknown does not stand for what nobody knows.
var noUnknown = strings.Fields("at description kind lift event entry found seal unseal image package release ground authorised-by by-order remarks")

// form asks a person for what the flags leave out. Its questions are the fields of the verb.
type form struct {
	b     *eventBuilder
	v     verb
	giver string
	brief bool // the rest of what is not required is left out

	needed []string // flags that turned out to be needed by later answers
}

// wantsForm reports whether a person at a terminal is asked, for something required was not said.
func (o *handleOptions) wantsForm(u *ui, v verb) (bool, error) {
	if o.file != "" || !u.asks() {
		return false, nil
	}
	lacking, err := o.said.lacking(v)
	return len(lacking) > 0, err
}

// made is the event that is to be signed, by the form or as the flags say.
func (b *eventBuilder) made(v verb, giver string, asked bool) (built, error) {
	if !asked {
		return b.tried(v, giver)
	}
	var err error
	if b.chain, err = b.c.Chain(b.number); err != nil {
		return built{}, err
	}
	f := form{b: b, v: v, giver: giver}
	made, err := f.run()
	switch {
	case errors.Is(err, io.EOF):
		b.u.prompt("\n")
		return built{}, withHints(errors.New("the input ended before the event was signed: nothing was logged"), "see what can be given by flags with: exhibit custody "+v.name+" -h")
	case errors.Is(err, context.Canceled):
		b.u.prompt("\n")
		return built{}, fmt.Errorf("the form was left, and nothing was logged: %w", err)
	}
	return made, err
}

func (f *form) run() (built, error) {
	f.b.u.notef("exhibit %s: %s", clean(f.b.number), f.v.name)
	f.b.u.notef("Enter leaves out what is not required, a dot alone leaves out all of that to the end")
	f.b.u.notef("what you typed is shown again before anything is signed")
	for _, field := range f.v.fields() {
		if len(f.b.said[field.name]) > 0 || !f.applies(field.name) || f.brief && !f.required(field.name) && !f.alternative(field.name) {
			continue
		}
		if err := f.question(field); err != nil {
			return built{}, err
		}
	}
	var err error
	if f.needed, err = f.b.said.lacking(f.v); err != nil {
		f.tell(err) // and it is put right in the review
	}
	for _, field := range f.v.fields() {
		if slices.Contains(f.needed, "--"+field.name) {
			if err := f.question(field); err != nil {
				return built{}, err
			}
		}
	}
	return f.review()
}

// applies reports whether the field is asked for, after what was said before.
func (f *form) applies(name string) bool {
	said := f.b.said
	switch after := onlyAfter[name]; {
	case name == "despite": // nobody knows yet whether a rule stands against it
		return false
	case after != "" && len(said[after]) == 0:
		return false
	case slices.Contains(ofOrigin, name):
		return len(said["origin"]) > 0 && said["origin"][0] != record.OriginSeizure
	case name == "lift":
		return len(said["kind"]) == 0
	case name == "by-order":
		return len(said["authority"]) == 0
	case f.v.typ == record.TypeDestroyed && name == "image":
		return len(said["by-order"]) > 0
	case f.v.typ == record.TypeDestroyed && (name == "found" || name == "unseal"):
		return len(said["by-order"]) == 0
	}
	return true
}

// required reports whether an answer is needed, after what was said before.
func (f *form) required(name string) bool {
	said := f.b.said
	switch name {
	case "ground", "authorised-by":
		return len(said["withhold"]) > 0
	case "court", "copies":
		return len(said["by-order"]) > 0
	}
	return slices.Contains(strings.Fields(f.v.required), name) || slices.Contains(f.needed, "--"+name) || len(said["origin"]) > 0 && slices.Contains(originNeeds[said["origin"][0]], name)
}

// alternative reports whether the field is one of two of which one is needed: neither is required by itself, and both are asked for. If
// neither was answered the review says so.
func (f *form) alternative(name string) bool {
	switch f.v.typ {
	case record.TypeRestricted:
		return name == "kind" || name == "lift"
	case record.TypeTransmitted:
		return name == "image" || name == "package"
	}
	return false
}

var defaultForm = regexp.MustCompile(` \(default: ([^)]*)\)`)

// standard is what holds when the field is left out; empty for nothing.
func (f *form) standard(field field) string {
	switch m := defaultForm.FindStringSubmatch(field.usage); {
	case m == nil:
		return ""
	case field.name == "by":
		return f.b.holder()
	case field.name == "release":
		for _, e := range slices.Backward(f.b.chain) {
			if ev, ok := e.Predicate.(record.Event); ok && ev.Type() == record.TypeReleased {
				return strconv.FormatInt(ev.Header().Number, 10)
			}
		}
		return ""
	default:
		return m[1]
	}
}

// hint is the usage of the field's flag, for who types no flag.
func hint(field field) string {
	text := defaultForm.ReplaceAllString(field.usage, "")
	text = regexp.MustCompile("`[^`]*`").ReplaceAllStringFunc(text, func(s string) string { return strings.ToLower(strings.Trim(s, "`")) })
	return text
}

// question asks for one field until the answer can be taken, or is left out. What was said before stays when nothing is typed, and
// is taken away by a dash.
func (f *form) question(field field) error {
	u, name := f.b.u, field.name
	before, required := f.b.said[name], f.required(name)
	u.prompt("\n  " + hint(field) + "\n")
	switch {
	case len(before) > 0 && required:
		u.prompt("  Enter keeps what is there\n")
	case len(before) > 0:
		u.prompt("  Enter keeps what is there, a dash alone takes it away\n")
	}
	var values []string
	for {
		line, err := u.ask(f.b.ctx, f.label(field, before, values))
		switch {
		case errors.Is(err, errAnswer):
			f.tell(err)
			continue
		case err != nil:
			return err
		case line == "" && len(values) > 0, line == "" && len(before) > 0:
			return nil
		case line == "-" && len(before) > 0 && !required:
			delete(f.b.said, name)
			return nil
		case line == "." && len(values) == 0 && !required:
			f.brief = true
			return nil
		case line == "" && !required:
			return nil
		case line == "":
			u.notef("%s", requiredHint(name))
			continue
		}
		next := append(slices.Clone(values), line)
		if err := f.try(field, next); err != nil {
			f.tell(err)
			continue
		}
		values, before = next, nil
		f.b.said[name] = values
		if !field.many {
			return nil
		}
	}
}

func requiredHint(name string) string {
	switch {
	case name == "found":
		return "found is required; if no seal was on, write the word none"
	case slices.Contains(noUnknown, name):
		return name + " is required"
	default:
		return name + " is required; what nobody knows is written as the word unknown"
	}
}

// label comes before the answer, which may be written from right to left.
func (f *form) label(field field, before, values []string) string {
	standard := f.standard(field)
	switch {
	case len(values) > 0:
		return fmt.Sprintf("%s, number %d (Enter: no more): ", field.name, len(values)+1)
	case len(before) > 0:
		return fmt.Sprintf("%s [%s]: ", field.name, clean(strings.Join(before, ", ")))
	case f.required(field.name):
		return field.name + " (required): "
	case standard != "":
		return fmt.Sprintf("%s [%s]: ", field.name, clean(standard))
	default:
		return field.name + ": "
	}
}

// try checks an answer as the flag's value is checked.
func (f *form) try(field field, values []string) error {
	b := *f.b
	b.said = maps.Clone(b.said)
	b.said[field.name] = values
	return b.checkField(field)
}

// tell says why an answer is not taken.
func (f *form) tell(err error) {
	f.b.u.notef("%s", clean(err.Error()))
	for _, h := range hintsFor(err) {
		f.b.u.notef("hint: %s", clean(h))
	}
}

// review shows what was said and lets it be put right, until it is signed or left.
func (f *form) review() (built, error) {
	u := f.b.u
	listed := f.list()
	for {
		u.forget()
		line, err := u.ask(f.b.ctx, "\nA number puts that answer right, the name of a question (as remarks) adds one.\nSign and log it? y, n or a number: ")
		if err != nil && !errors.Is(err, errAnswer) {
			return built{}, err
		}
		switch strings.ToLower(line) {
		case "y", "yes":
			made, err := f.finish()
			if err == nil || exitCode(err) != codeFailed {
				return made, err
			}
			f.tell(err)
		case "n", "no":
			return built{}, withHints(errors.New("the form was left: nothing was logged"), "what was typed can be given by flags: exhibit custody "+f.v.name+" -h")
		default:
			field, ok := f.chosen(line, listed)
			if err != nil {
				f.tell(err)
				continue
			}
			if !ok {
				u.notef("%.40q is neither y nor n, nor a number of the list, nor the name of a question", line)
				continue
			}
			if err := f.question(field); err != nil {
				return built{}, err
			}
			listed = f.list()
		}
	}
}

// list shows what was said and what holds without being said, numbered from 1.
func (f *form) list() (listed []field) {
	u := f.b.u
	u.prompt("\n")
	u.notef("exhibit %s: %s", clean(f.b.number), f.v.name)
	for _, field := range f.v.fields() {
		said := f.b.said[field.name]
		standard := f.standard(field)
		if len(said) == 0 && (standard == "" || !f.applies(field.name)) {
			continue
		}
		listed = append(listed, field)
		if len(said) == 0 {
			u.prompt(fmt.Sprintf("%4d  %s: [%s]\n", len(listed), field.name, clean(standard)))
		}
		for i, value := range said {
			number := fmt.Sprintf("%4d", len(listed))
			if i > 0 {
				number = "    "
			}
			u.prompt(fmt.Sprintf("%s  %s: %s\n", number, field.name, clean(value)))
		}
	}
	return listed
}

// chosen is the field that a line of the review names.
func (f *form) chosen(line string, listed []field) (field, bool) {
	if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(listed) {
		return listed[n-1], true
	}
	all := f.v.fields()
	i := slices.IndexFunc(all, func(f field) bool { return f.name == strings.TrimPrefix(line, "--") })
	if i < 0 {
		return field{}, false
	}
	return all[i], true
}

// finish makes the event of what was said and tries the rules.
func (f *form) finish() (built, error) {
	said := f.b.said
	if err := said.check(f.v); err != nil {
		return built{}, err
	}
	f.b.openings, f.b.said = nil, maps.Clone(said)
	made, err := f.b.tried(f.v, f.giver)
	f.b.said = said
	return made, err
}
