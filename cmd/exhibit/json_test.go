package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/verify"
)

// documents lists every type that a command prints with --json, with the heading of docs/json.md that describes it.
// verify.document has no name here; its parts stand for it, and its own fields come from what it prints.
var documents = map[string]struct {
	heading string
	types   []reflect.Type
}{
	"acquireDocument":     {"acquire", []reflect.Type{reflect.TypeFor[acquireDocument]()}},
	"phaseDocument":       {"acquire", []reflect.Type{reflect.TypeFor[phaseDocument]()}},
	"partDocument":        {"acquire", []reflect.Type{reflect.TypeFor[partDocument]()}},
	"caseDocument":        {"case", []reflect.Type{reflect.TypeFor[caseDocument]()}},
	"closedDocument":      {"case", []reflect.Type{reflect.TypeFor[closedDocument]()}},
	"keysChangedDocument": {"case", []reflect.Type{reflect.TypeFor[keysChangedDocument]()}},
	"withdrawnDocument":   {"case", []reflect.Type{reflect.TypeFor[withdrawnDocument]()}},
	"signerDocument":      {"case", []reflect.Type{reflect.TypeFor[signerDocument]()}},
	"eventDocument":       {"events", []reflect.Type{reflect.TypeFor[eventDocument]()}},
	"chainDocument":       {"events", []reflect.Type{reflect.TypeFor[chainDocument]()}},
	"anchorsDocument":     {"log anchor", []reflect.Type{reflect.TypeFor[anchorsDocument](), reflect.TypeFor[anchor.Pending]()}},
	"anchorDocument":      {"log anchor", []reflect.Type{reflect.TypeFor[anchorDocument]()}},
	"witnessDocument":     {"witness", []reflect.Type{reflect.TypeFor[witnessDocument]()}},
	"cosignDocument":      {"witness", []reflect.Type{reflect.TypeFor[cosignDocument]()}},
	"exportDocument":      {"log export", []reflect.Type{reflect.TypeFor[exportDocument]()}},
	"importDocument":      {"log import", []reflect.Type{reflect.TypeFor[importDocument]()}},
	"imageDocument":       {"image", []reflect.Type{reflect.TypeFor[imageDocument]()}},
	"restoreDocument":     {"restore", []reflect.Type{reflect.TypeFor[restoreDocument]()}},
	"convertDocument":     {"image convert", []reflect.Type{reflect.TypeFor[convertDocument]()}},
	"missingDocument":     {"image", []reflect.Type{reflect.TypeFor[missingDocument](), reflect.TypeFor[segmentRun](), reflect.TypeFor[chunkRange]()}},
	"e01Document":         {"image", []reflect.Type{reflect.TypeFor[e01Document](), reflect.TypeFor[sectorRange]()}},
	"errorDocument":       {"error", []reflect.Type{reflect.TypeFor[errorDocument]()}},
	"labelDocument":       {"label", []reflect.Type{reflect.TypeFor[labelDocument]()}},
	"tokenDocument":       {"token", []reflect.Type{reflect.TypeFor[tokenDocument]()}},
	"keyDocument":         {"key", []reflect.Type{reflect.TypeFor[keyDocument]()}},
	"keysDocument":        {"key", []reflect.Type{reflect.TypeFor[keysDocument]()}},
	"enrolDocument":       {"enrol", []reflect.Type{reflect.TypeFor[enrolDocument]()}},
	"tpmDocument":         {"tpm", []reflect.Type{reflect.TypeFor[tpmDocument]()}},
	"trustDocument":       {"trust", []reflect.Type{reflect.TypeFor[trustDocument]()}},
	"demoDocument":        {"demo", []reflect.Type{reflect.TypeFor[demoDocument]()}},
	"versionDocument":     {"version", []reflect.Type{reflect.TypeFor[versionDocument]()}},
	"manDocument":         {"man", []reflect.Type{reflect.TypeFor[manDocument]()}},
	"copyDocument":        {"events", []reflect.Type{reflect.TypeFor[copyDocument]()}},
	"stateDocument":       {"events", []reflect.Type{reflect.TypeFor[stateDocument]()}},
	"statusDocument":      {"events", []reflect.Type{reflect.TypeFor[statusDocument]()}},
	"endorsementDocument": {"events", []reflect.Type{reflect.TypeFor[endorsementDocument]()}},
	"handoverDocument":    {"events", []reflect.Type{reflect.TypeFor[handoverDocument]()}},
	"elsewhereDocument":   {"events", []reflect.Type{reflect.TypeFor[elsewhereDocument]()}},
	"hashCheckDocument":   {"events", []reflect.Type{reflect.TypeFor[hashCheckDocument]()}},
	"eventSignerDocument": {"events", []reflect.Type{reflect.TypeFor[eventSignerDocument]()}},

	"progressDocument":  {"progress", []reflect.Type{reflect.TypeFor[progressDocument]()}},
	"devicesDocument":   {"devices", []reflect.Type{reflect.TypeFor[devicesDocument]()}},
	"deviceDocument":    {"devices", []reflect.Type{reflect.TypeFor[deviceDocument]()}},
	"partitionDocument": {"devices", []reflect.Type{reflect.TypeFor[partitionDocument]()}},
	"useDocument":       {"devices", []reflect.Type{reflect.TypeFor[useDocument]()}},

	"quoteDocument":         {"acquire", []reflect.Type{reflect.TypeFor[quoteDocument]()}},
	"restoreTargetDocument": {"restore", []reflect.Type{reflect.TypeFor[restoreTargetDocument]()}},
	"unreadDocument":        {"restore", []reflect.Type{reflect.TypeFor[unreadDocument]()}},

	"verifyDocument": {"verify", []reflect.Type{reflect.TypeFor[verifyDocument]()}},

	"verify's document": {"verify", []reflect.Type{reflect.TypeFor[verify.Line](), reflect.TypeFor[verify.CaseFacts](),
		reflect.TypeFor[verify.AcquisitionFacts](), reflect.TypeFor[verify.ErasedFacts](), reflect.TypeFor[verify.ExhibitFacts](), reflect.TypeFor[verify.EndorsementFacts](), reflect.TypeFor[verify.ClosedFacts](), reflect.TypeFor[verify.Finding]()}},
}

// sections cuts a document at its headings of the second level.
func sections(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, part := range strings.Split("\n"+string(text), "\n## ")[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		out[heading] = body
	}
	return out
}

// TestJSONDocumented requires each field of each document to stand, as code, in its section of docs/json.md.
func TestJSONDocumented(t *testing.T) {
	described := sections(t, "../../docs/json.md")
	for name, d := range documents {
		text, ok := described[d.heading]
		if !ok {
			t.Errorf("docs/json.md has no section %q", d.heading)
		}
		tags := map[string]bool{}
		for _, typ := range d.types {
			jsonTags(typ, tags)
		}
		for tag := range tags {
			if !strings.Contains(text, "`"+tag+"`") {
				t.Errorf("docs/json.md, section %q, lacks the field %q of %s", d.heading, tag, name)
			}
		}
	}
	report, err := encodeDocument(verify.Report{})
	if err != nil {
		t.Fatal(err)
	}
	top := regexp.MustCompile(`(?m)^ {2}"([a-zA-Z]+)":`).FindAllStringSubmatch(string(report), -1)
	if len(top) < 7 {
		t.Errorf("the report has only %d fields", len(top))
	}
	for _, m := range top {
		if !strings.Contains(described["verify"], "`"+m[1]+"`") {
			t.Errorf("docs/json.md, section verify, lacks the field %q of the report", m[1])
		}
	}
}

// jsonTags collects the names of a type's fields in JSON. Types of package record end it: what is signed is described in
// docs/format.md; and so do the events in a document, which have a section of their own.
func jsonTags(typ reflect.Type, tags map[string]bool) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		jsonTags(typ.Elem(), tags)
		return
	case reflect.Struct:
	default:
		return
	}
	if typ.PkgPath() == reflect.TypeFor[record.Digest]().PkgPath() && typ != reflect.TypeFor[record.MediaDigest]() {
		return
	}
	for i := range typ.NumField() {
		if tag, ok := typ.Field(i).Tag.Lookup("json"); ok {
			if name, _, _ := strings.Cut(tag, ","); name != "" { // else it is embedded
				tags[name] = true
			}
			if inner := typ.Field(i).Type; inner != reflect.TypeFor[eventDocument]() && inner != reflect.TypeFor[[]eventDocument]() {
				jsonTags(inner, tags)
			}
		}
	}
}

// TestSchemasDocumented requires that no document is left out above, and that each schema's name stands in docs/json.md.
func TestSchemasDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	schema := regexp.MustCompile(`^exhibit-[a-z-]+/v[0-9]+$`)
	schemas := []string{verify.Schema}
	for _, f := range parseCommand(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && schema.MatchString(s) {
					schemas = append(schemas, s)
				}
			case *ast.TypeSpec:
				if _, known := documents[n.Name.Name]; strings.HasSuffix(n.Name.Name, "Document") && !known {
					t.Errorf("the type %s is not in the list of documents", n.Name.Name)
				}
			}
			return true
		})
	}
	slices.Sort(schemas)
	schemas = slices.Compact(schemas)
	if len(schemas) < 10 {
		t.Errorf("only these schemas were found: %v", schemas)
	}
	for _, s := range schemas {
		if !strings.Contains(string(text), "`"+s+"`") {
			t.Errorf("docs/json.md lacks the schema %q", s)
		}
	}
}

// parseCommand reads the sources of this package, tests apart.
func parseCommand(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no sources here: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// TestSignedDocumented requires each member of everything that is signed to stand in docs/format.md, as code or in a
// sample.
func TestSignedDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[record.CaseOpened](), reflect.TypeFor[record.Seized](), reflect.TypeFor[record.Acquired](), reflect.TypeFor[record.Copied](), reflect.TypeFor[record.Handled](), reflect.TypeFor[record.CaseClosed](),
		reflect.TypeFor[record.Opening](), reflect.TypeFor[record.Personal](), reflect.TypeFor[verify.TrustEntry]()} {
		signedTags(typ, tags)
	}
	if len(tags) < 60 {
		t.Errorf("only %d members were found", len(tags))
	}
	for tag := range tags {
		if !strings.Contains(string(text), "`"+tag+"`") && !strings.Contains(string(text), `"`+tag+`":`) {
			t.Errorf("docs/format.md lacks the member %q", tag)
		}
	}
}

func signedTags(typ reflect.Type, tags map[string]bool) {
	if get, ok := typ.MethodByName("Get"); ok { // a record.Fact
		signedTags(get.Type.Out(0), tags)
		return
	}
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice:
		signedTags(typ.Elem(), tags)
	case reflect.Struct:
		for i := range typ.NumField() {
			if tag, ok := typ.Field(i).Tag.Lookup("json"); ok {
				name, _, _ := strings.Cut(tag, ",")
				tags[name] = true
				signedTags(typ.Field(i).Type, tags)
			}
		}
	}
}
