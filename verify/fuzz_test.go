package verify

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// FuzzVerify changes one file of a sound folder. The oracle: exit code 0 for the unmodified bytes and for nothing else.
// Files that a verifier ignores are left out; openings, which may be absent, are not: damaged ones are found.
func FuzzVerify(f *testing.F) {
	forged := exampleCase(f, 40, 50, 0)
	whole := forged.build()
	dirs := []string{"", forged.sealed[0].dir}
	var sound []fstest.MapFS
	var names [][]string
	for _, dir := range dirs {
		m := whole.fs(dir)
		sound = append(sound, m)
		names = append(names, slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(n string) bool {
			return ofHeads(n) || path.Base(n) == layout.Lock
		}))
	}
	for i := range uint16(12) {
		f.Add(i%2 == 0, i*3, i*40, uint16(1), []byte{byte(i)})
		f.Add(i%2 == 1, i*5, i*17, uint16(0), []byte(`,"a":1`))
		f.Add(i%2 == 1, i*2, uint16(0), uint16(65535), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, inCase bool, file, at, length uint16, put []byte) {
		i := 1
		if inCase {
			i = 0
		}
		name := names[i][int(file)%len(names[i])]
		old := sound[i][name].Data
		from := min(int(at), len(old))
		now := slices.Concat(old[:from], put, old[min(from+int(length), len(old)):])
		fsys := maps.Clone(sound[i])
		fsys[name] = &fstest.MapFile{Data: now, Mode: 0o444}
		r, err := Verify(t.Context(), fsys, "", forged.policy())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if same := bytes.Equal(old, now); (r.ExitCode() == ExitVerified) != same {
			t.Errorf("%s with %q in place of bytes %d to %d: exit code %d, the same bytes: %t\n%s", name, put, from, from+int(length), r.ExitCode(), same, show(r))
		}
	})
}

// FuzzCertificates requires that a file of certificates that is taken is those certificates in PEM, byte for byte.
func FuzzCertificates(f *testing.F) {
	a := newAuthority()
	f.Add(pemOf(a.cert.Raw, a.issue(newKey(), "attestation")))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := attest.ParseCertificates(b)
		if err != nil {
			if certs != nil {
				t.Error("an error and certificates")
			}
			return
		}
		var ders [][]byte
		for _, c := range certs {
			ders = append(ders, c.Raw)
		}
		if len(certs) == 0 || !bytes.Equal(pemOf(ders...), b) {
			t.Errorf("%q was taken for %d certificates", b, len(certs))
		}
	})
}
