package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const typePrefix = "https://github.com/exhibit-forensics/exhibit/"

// bundleFiles are what a verifier is given.
type bundleFiles struct {
	kind                        string // the last word of the predicate type
	bundle, root, key, artifact []byte
}

func export(t *testing.T, h handCase, args ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundles")
	out, err := exec.Command("exhibit", append([]string{"log", "export", "--case", h.dir, "--sigstore", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("exhibit log export: %v\n%s", err, out)
	}
	return dir
}

func read(t *testing.T, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// offline runs a tool where there is no network, not even to itself.
func offline(t *testing.T, tool string, args ...string) (string, error) {
	t.Helper()
	unshare := testtool.Need(t, "unshare")[0]
	ns := []string{"--net"}
	if os.Geteuid() != 0 {
		ns = append(ns, "--map-root-user")
	}
	cmd := exec.Command(unshare, append(append(ns, tool), args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// verifiers run each tool on the files, as somebody would type it who has never heard of Exhibit.
func verifiers(t *testing.T) map[string]func(*testing.T, bundleFiles) (string, error) {
	tools := testtool.Need(t, "cosign", "bundlecheck")
	put := func(t *testing.T, f bundleFiles) (dir string) {
		dir = t.TempDir()
		for name, b := range map[string][]byte{"bundle": f.bundle, "root": f.root, "key": f.key, "artifact": f.artifact} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir + "/"
	}
	return map[string]func(*testing.T, bundleFiles) (string, error){
		"cosign": func(t *testing.T, f bundleFiles) (string, error) {
			d := put(t, f)
			return offline(t, tools[0], "verify-blob-attestation", "--bundle", d+"bundle", "--trusted-root", d+"root", "--key", d+"key",
				"--type", typePrefix+f.kind+"/v1", d+"artifact")
		},
		"sigstore-go": func(t *testing.T, f bundleFiles) (string, error) {
			d := put(t, f)
			return offline(t, tools[1], d+"root", d+"key", d+"bundle", d+"artifact")
		},
	}
}

// exportedCase is a demonstration's case with its bundles.
type exportedCase struct {
	handCase
	bundles string
}

// files are what a verifier needs for entry i, whose predicate type is kind and which is about artifact.
func (x exportedCase) files(t *testing.T, i, kind string, artifact []byte) bundleFiles {
	t.Helper()
	b := read(t, x.bundles, i+".sigstore.json")
	var f struct {
		Material struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("bundle %s: %v", i, err)
	}
	return bundleFiles{kind, b, read(t, x.bundles, "trusted_root.json"), read(t, x.bundles, f.Material.PublicKey.Hint+".pub"), artifact}
}

// predicate returns the predicate's bytes, which a statement without another artifact is about.
func predicate(t *testing.T, envelope []byte) []byte {
	t.Helper()
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	b, err := record.EncodeJSON(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inBundle changes a bundle in a place.
func inBundle(t *testing.T, b []byte, change func(material map[string]any, envelope map[string]any)) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	material, ok1 := all["verificationMaterial"].(map[string]any)
	envelope, ok2 := all["dsseEnvelope"].(map[string]any)
	if !ok1 || !ok2 {
		t.Fatal("the bundle has not the members that it must have")
	}
	change(material, envelope)
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(out, b) {
		t.Fatal("nothing was changed")
	}
	return out
}

// eachEntry changes the log entries of a bundle, of which there is one for each line of the checkpoint.
func eachEntry(t *testing.T, b []byte, change func(n int, entry, proof map[string]any)) []byte {
	t.Helper()
	return inBundle(t, b, func(material, _ map[string]any) {
		entries, ok := material["tlogEntries"].([]any)
		if !ok || len(entries) != 2 {
			t.Fatalf("the bundle has not two log entries: %v", material["tlogEntries"])
		}
		for n, e := range entries {
			entry, ok1 := e.(map[string]any)
			proof, ok2 := entry["inclusionProof"].(map[string]any)
			if !ok1 || !ok2 {
				t.Fatal("the bundle has not the members that it must have")
			}
			change(n, entry, proof)
		}
	})
}

// bundleHarms are what a verifier must notice; each is sound in all else.
var bundleHarms = map[string]func(*testing.T, *bundleFiles, exportedCase){
	"artifact": func(_ *testing.T, f *bundleFiles, _ exportedCase) { f.artifact = flip(1000)(f.artifact) },
	"signature": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = poke(`"sig":"`, 20)(f.bundle)
	},
	"statement": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = inBundle(t, f.bundle, func(_, envelope map[string]any) {
			text, _ := envelope["payload"].(string)
			payload, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			envelope["payload"] = base64.StdEncoding.EncodeToString(swap(`"number":2`, `"number":3`)(payload))
		})
	},
	"proof": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(_ int, _, proof map[string]any) {
			proof["hashes"] = []any{base64.StdEncoding.EncodeToString(make([]byte, 32))}
		})
	},
	"proof of the second line": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(n int, _, proof map[string]any) {
			if n == 1 {
				proof["hashes"] = []any{base64.StdEncoding.EncodeToString(make([]byte, 32))}
			}
		})
	},
	"index": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(_ int, entry, proof map[string]any) { entry["logIndex"], proof["logIndex"] = "1", "1" })
	},
	"checkpoint": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(_ int, _, proof map[string]any) {
			proof["checkpoint"] = inCheckpoint(t, proof, swap("\n3\n", "\n4\n"))
		})
	},
	"first line": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(_ int, _, proof map[string]any) { proof["checkpoint"] = inCheckpoint(t, proof, pokeSignature(0)) })
	},
	"second line": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.bundle = eachEntry(t, f.bundle, func(_ int, _, proof map[string]any) { proof["checkpoint"] = inCheckpoint(t, proof, pokeSignature(1)) })
	},
	"key of another": func(t *testing.T, f *bundleFiles, x exportedCase) { f.key = x.files(t, "1", "seized", nil).key },
	"log of another case": func(t *testing.T, f *bundleFiles, _ exportedCase) {
		f.root = read(t, export(t, newHandCase(t)), "trusted_root.json")
	},
	// A statement that the key did sign, and that does not stand where its bundle says.
	"leaf": func(t *testing.T, f *bundleFiles, x exportedCase) {
		*f = x.files(t, "1", "seized", predicate(t, read(t, x.dir, x.log, "statement", "000000", "1.dsse.json")))
		var genesis map[string]any
		if err := json.Unmarshal(read(t, x.bundles, "0.sigstore.json"), &genesis); err != nil {
			t.Fatal(err)
		}
		f.bundle = inBundle(t, f.bundle, func(material, _ map[string]any) {
			other, ok := genesis["verificationMaterial"].(map[string]any)
			if !ok {
				t.Fatal("the genesis' bundle is another")
			}
			material["tlogEntries"] = other["tlogEntries"]
		})
	},
}

func inCheckpoint(t *testing.T, proof map[string]any, change func([]byte) []byte) map[string]any {
	t.Helper()
	c, ok1 := proof["checkpoint"].(map[string]any)
	text, ok2 := c["envelope"].(string)
	changed := string(change([]byte(text)))
	if !ok1 || !ok2 || changed == text {
		t.Fatal("the checkpoint was not changed")
	}
	return map[string]any{"envelope": changed}
}

// TestSigstore has tools that know nothing of Exhibit verify what log export writes, without a network, and refuse it when
// anything of it was changed.
func TestSigstore(t *testing.T) {
	verifiers := verifiers(t)
	h := newHandCase(t)
	x := exportedCase{h, export(t, h)}
	sound := x.files(t, "2", "acquired", read(t, h.dir, h.acquisition, "7.raw"))
	others := map[string]bundleFiles{
		"the sums":    x.files(t, "2", "acquired", read(t, h.dir, h.acquisition, "SHA256SUMS")),
		"a seizure":   x.files(t, "1", "seized", predicate(t, read(t, h.dir, h.log, "statement", "000000", "1.dsse.json"))),
		"the genesis": x.files(t, "0", "case-opened", predicate(t, read(t, h.dir, h.log, "statement", "000000", "0.dsse.json"))),
	}
	for name, verify := range verifiers {
		for what, f := range others {
			if out, err := verify(t, f); err != nil {
				t.Errorf("%s, %s: %v\n%s", name, what, err, out)
			}
		}
		if out, err := verify(t, sound); err != nil || !strings.Contains(out, "Verified OK") {
			t.Fatalf("%s, the image: %v\n%s", name, err, out)
		}
		for what, harm := range bundleHarms {
			f := sound
			harm(t, &f, x)
			if out, err := verify(t, f); err == nil || strings.Contains(out, "Verified OK") {
				t.Errorf("%s does not notice another %s:\n%s", name, what, out)
			} else {
				t.Logf("%s, another %s: %s", name, what, strings.TrimSpace(out))
			}
		}
	}
}

// With --tsa each signature is time-stamped, and stock tools require it; without an answer the bundles are written all the
// same, and the tools that want a time-stamp refuse them.
func TestSigstoreTimeStamps(t *testing.T) {
	tools := testtool.Need(t, "cosign", "bundlecheck")
	h := newHandCase(t)
	s := anchorStation{t, filepath.Dir(h.dir)}
	tsa := testtool.NewTSA(t, testtool.TSAOptions{})
	s.trustTSA(tsa)
	s.run(0, "log", "export", "--case", "case", "--sigstore", "stamped", "--tsa", tsa.Serve(t))
	if out := s.run(codeMissing, "log", "export", "--case", "case", "--sigstore", "bare", "--tsa", "http://127.0.0.1:1/"); !strings.Contains(out, "no time-stamps from entry 0 on") {
		t.Errorf("nothing is said of the authority that did not answer:\n%s", out)
	}
	s.run(1, "log", "export", "--case", "case", "--tlog-proof", "proofs", "--tsa", "http://127.0.0.1:1/")
	artifact := filepath.Join(h.dir, h.acquisition, "SHA256SUMS")
	for _, test := range []struct {
		dir, root string
		want      bool
	}{{"stamped", "stamped", true}, {"bare", "bare", false}, {"stamped", "bare", false}} {
		x := exportedCase{h, filepath.Join(s.dir, test.dir)}
		key := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(key, x.files(t, "2", "acquired", nil).key, 0o600); err != nil {
			t.Fatal(err)
		}
		b, root := filepath.Join(x.bundles, "2.sigstore.json"), filepath.Join(s.dir, test.root, "trusted_root.json")
		out, err := offline(t, tools[0], "verify-blob-attestation", "--bundle", b, "--trusted-root", root, "--key", key, "--use-signed-timestamps",
			"--type", typePrefix+"acquired/v1", artifact)
		if (err == nil) != test.want {
			t.Errorf("cosign, bundles %s, root %s: %v, want %t\n%s", test.dir, test.root, err, test.want, out)
		}
		if out, err = offline(t, tools[1], "-timestamp", root, key, b, artifact); (err == nil) != test.want {
			t.Errorf("sigstore-go, bundles %s, root %s: %v, want %t\n%s", test.dir, test.root, err, test.want, out)
		}
	}
}
