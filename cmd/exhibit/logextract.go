package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// checkExtract refuses flags that do not go together.
func (o *exportOptions) checkExtract() error {
	switch {
	case !o.extract && len(o.from) > 0:
		return withHints(errors.New("--from belongs to --extract"), "see: exhibit log export -h")
	case !o.extract:
		return nil
	case o.exhibit == "":
		return withHints(errors.New("--extract belongs to --exhibit"), "name the exhibit: --exhibit NUMBER")
	case o.sigstore != "" || o.tlogProof != "":
		return withHints(errors.New("--extract writes FILE alone"), "leave --sigstore and --tlog-proof out")
	case !strings.HasSuffix(o.file, layout.ExtractSuffix):
		return withHints(fmt.Errorf("%q does not end in %s", o.file, layout.ExtractSuffix), "exhibit verify knows an extract by its name: call it FILE"+layout.ExtractSuffix)
	}
	return nil
}

// exportExtract writes one exhibit's entries of the home log.
func exportExtract(u *ui, c *custody.Case, o *exportOptions) error {
	var m ledger.Manifest
	err := writeArchive(o.file, layout.MaxExtract, func(write func(string, []byte) error) error {
		var err error
		total := 0
		m, err = c.Extract(o.exhibit, o.from, o.redact, func(name string, data []byte) error {
			if total += len(data); total > layout.MaxUnpacked {
				return errTooLarge
			}
			return write(name, data)
		})
		return err
	})
	switch {
	case errors.Is(err, errTooLarge):
		return withHints(err, "hand the whole log over: exhibit log export FILE --exhibit NUMBER")
	case errors.Is(err, custody.ErrNoRedaction):
		return withHints(err, "say what is withheld: exhibit custody disclose NUMBER --withhold FIELD --ground TEXT --authorised-by NAME --to NAME")
	case errors.Is(err, ledger.ErrBeyond):
		return misused(err, "--from is a size that the receiver has seen: ask for it, and see what the log has with: exhibit case show")
	case errors.Is(err, ledger.ErrNoEvents):
		return misused(err, "see which exhibits there are: exhibit case status")
	case err != nil:
		return err
	}
	doc := exportDocument{Schema: "exhibit-export/v1", Origin: m.Origin, Entries: m.Size, File: o.file, Exhibit: m.Exhibit, Count: m.Count, Last: m.Last}
	return u.result(doc, func() {
		u.linef("Wrote %s of exhibit %s, the last one entry %d of %d in log %s, into %q.", plural(m.Count, "event"), clean(m.Exhibit), m.Last, m.Size, m.Origin, o.file)
		u.linef("It shows that none between them is missing. That none came later is your word; only the whole log shows it.")
	})
}
