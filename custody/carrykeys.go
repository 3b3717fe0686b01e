package custody

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// keyFile is one file of keys/ that goes along with a log.
type keyFile struct {
	name     string // below a case folder
	max      int64
	required bool
	check    func([]byte) error // what can be required of it alone
}

// keyFiles are those of the keys of a log: the certificate of each signer, what shows that a signer or log key is in a TPM,
// and last what the agency issued for such keys.
func keyFiles(keys *ledger.Keys) []keyFile {
	var files []keyFile
	for _, id := range keys.All() {
		files = append(files, keyFile{layout.KeyFile(id), layout.MaxCertificate, true, func(b []byte) error { return sign.CheckCertificate(b, id) }})
	}
	kinds := keys.Kinds()
	for _, id := range slices.Sorted(maps.Keys(kinds)) {
		files = append(files, keyFile{layout.KeyAttestationFile(id), layout.MaxAttest, false, func(b []byte) error {
			_, err := attest.OpenKeyFile(b, id, kinds[id])
			return err
		}})
	}
	return append(files, keyFile{layout.EnrolmentFile, layout.MaxEnrolment, false, func(b []byte) error {
		_, err := attest.ParseCertificates(b)
		return err
	}})
}

// exportKeys hands the files of the home log's keys to write.
func (c *Case) exportKeys(keys *ledger.Keys, write func(name string, data []byte) error) error {
	for _, f := range keyFiles(keys) {
		b, err := c.root.ReadFile(f.name, f.max)
		if errors.Is(err, fs.ErrNotExist) && !f.required {
			continue
		}
		if err == nil {
			err = write(f.name, b)
		}
		if err != nil {
			return missing(err)
		}
	}
	return nil
}

// readKeyFiles reads those of a log that was handed over, and requires that each is what its name says. In the case the
// certificates that the other agency issued get a name of their own.
func readKeyFiles(fsys fs.FS, keys *ledger.Keys, origin string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, f := range keyFiles(keys) {
		if !f.required {
			if _, err := fs.Stat(fsys, f.name); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		b, err := ledger.ReadForeign(fsys, f.name, f.max)
		if err != nil {
			return nil, err
		}
		if err := f.check(b); err != nil {
			return nil, fmt.Errorf("%q: %w: %w", f.name, record.ErrMalformed, err)
		}
		if f.name == layout.EnrolmentFile {
			f.name = layout.EnrolmentOf(origin)
		}
		out[f.name] = b
	}
	return out, nil
}

// keepKeyFiles keeps the files of the keys of the log of that origin. What is there stays, but for what its agency issued; and of the
// home log's own keys nobody else says what holds them.
func (c *Case) keepKeyFiles(origin string, files map[string][]byte) error {
	issued := layout.EnrolmentOf(origin)
	own, err := c.Keys()
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, f := range keyFiles(own) {
		ours[f.name] = !f.required
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if ours[name] {
			continue
		}
		write := c.root.CreateEx
		if name == issued { // an agency issues more certificates in time
			write = c.root.Replace
		}
		if err := write(name, files[name]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
