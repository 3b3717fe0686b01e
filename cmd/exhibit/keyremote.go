package main

import (
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/kms"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/token"
)

// openRemote opens a key by its URI; it stays open until the command ends. Which kinds of URI there are is said here and in
// remoteURI, and what no kind knows is refused, never tried.
func openRemote(uri string, pin []byte) (crypto.Signer, error) {
	if !strings.HasPrefix(uri, token.Scheme) {
		return kms.Open(uri)
	}
	u, err := token.Parse(uri)
	if err != nil {
		return nil, err
	}
	return token.Open(u, pin)
}

// remoteURI checks a URI, before a PIN is asked for, and returns the spelling that is kept.
func remoteURI(uri string) (string, error) {
	if !strings.HasPrefix(uri, token.Scheme) {
		if err := kms.Check(uri); err != nil {
			return "", withHints(fmt.Errorf("the URI does not begin with %s, and is %w", token.Scheme, err), "see: exhibit key create -h")
		}
		return uri, nil
	}
	u, err := token.Parse(uri)
	if err != nil {
		return "", withHints(err, "list the URIs of a token's keys with p11tool --list-privkeys, and add ?module-path=/absolute/path.so")
	}
	if _, err := token.Look(u); err != nil {
		return "", err
	}
	return u.String(), nil
}

// runKeyCreateRemote takes up a key that is held elsewhere.
func runKeyCreateRemote(u *ui, name, kind, uri string, pass *passphraseFlags) error {
	if kind != record.KindPerson && kind != record.KindStation {
		return withHints(fmt.Errorf("kind %q is none of person, station: a log key lies in a file or in the TPM", kind), "say which with --kind KIND")
	}
	store, err := openStore(true)
	if err != nil {
		return err
	}
	if _, err := store.Info(name); err == nil {
		return fmt.Errorf("create key %q: %w", name, fs.ErrExist)
	}
	if uri, err = remoteURI(uri); err != nil {
		return err
	}
	var pin []byte
	switch {
	case strings.HasPrefix(uri, token.Scheme):
		if pin, _, err = pass.read(fmt.Sprintf("PIN of the token with the %s key %q", kind, name)); err != nil {
			return err
		}
	case pass.given():
		return errors.New("a key service takes no passphrase: how it knows you is for its own settings to say")
	}
	key, err := store.Remote(uri, pin)
	if err != nil {
		return err
	}
	info, err := store.CreateRemote(name, kind, uri, key)
	if err != nil {
		return err
	}
	return showNewKey(u, info)
}

type tokenDocument struct {
	Schema       string `json:"schema"`
	Name         string `json:"name"`
	URI          string `json:"uri"`
	Label        string `json:"label"`
	Manufacturer string `json:"manufacturer"`
	Model        string `json:"model"`
	Serial       string `json:"serial"`
	PINWrong     bool   `json:"pinWrong"`
	PINLastTry   bool   `json:"pinLastTry"`
	PINLocked    bool   `json:"pinLocked"`
}

// runKeyStatusToken looks at the token of a key, without a PIN.
func runKeyStatusToken(u *ui, name string) error {
	store, err := openStore(false)
	if err != nil {
		return err
	}
	info, err := store.Info(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(info.URI, token.Scheme) {
		return withHints(fmt.Errorf("key %q is in no token", name), "see what it is with: exhibit key show "+shellWord(name))
	}
	uri, err := token.Parse(info.URI)
	if err != nil {
		return fmt.Errorf("key %q: %w", name, err)
	}
	s, err := token.Look(uri)
	if err != nil {
		return fmt.Errorf("key %q: %w", name, err)
	}
	d := tokenDocument{"exhibit-token/v1", name, info.URI, s.Label, s.Manufacturer, s.Model, s.Serial, s.PINWrong, s.PINLastTry, s.PINLocked}
	return u.result(d, func() {
		u.linef("Key:   %s, %s, %s", d.Name, info.Kind, info.KeyID)
		u.linef("Token: %q, %s %s, serial %s", d.Label, clean(d.Manufacturer), clean(d.Model), clean(d.Serial))
		u.linef("PIN:   %s", pinText(s))
		u.linef("Whether the key is still in it shows when it signs, with the PIN.")
	})
}

func pinText(s token.State) string {
	switch {
	case s.PINLocked:
		return "LOCKED: have it set again, with the token's own software and its security officer's PIN"
	case s.PINLastTry:
		return "ONE TRY LEFT: the next wrong PIN locks the token"
	case s.PINWrong:
		return "a wrong one was given since the last right one"
	}
	return "not locked"
}

// secretOf is what a person is asked for to use a key.
func secretOf(info sign.Info) string {
	if info.URI != "" {
		return fmt.Sprintf("PIN of the token with the %s key %q", info.Kind, info.Name)
	}
	return fmt.Sprintf("Passphrase of the %s key %q", info.Kind, info.Name)
}

// remoteHints are what to do about a key that is held elsewhere and cannot be used.
func remoteHints(err error) []string {
	switch {
	case errors.Is(err, token.ErrNotBuilt):
		return []string{"build one that can with: make build TAGS=pkcs11 (it needs a C compiler)"}
	case errors.Is(err, kms.ErrNotBuilt):
		return []string{"build one that can with: make build kms TAGS=kms"}
	case errors.Is(err, kms.ErrNoPlugin):
		return []string{"build it with: make kms; then put the folder bin on the PATH"}
	case errors.Is(err, kms.ErrService):
		return []string{"see whether the service's own program signs with that key, with the same settings in the environment"}
	case errors.Is(err, token.ErrPIN):
		return []string{"it was tried once; a few wrong ones lock the token: see how it stands with: exhibit key status NAME"}
	case errors.Is(err, token.ErrLocked):
		return []string{"have its PIN set again, with the token's own software and its security officer's PIN"}
	case errors.Is(err, token.ErrAbsent):
		return []string{"plug it in, and type the command again"}
	case errors.Is(err, token.ErrModule):
		return []string{"install the software of the token's maker, and see the module's path in: exhibit key show NAME"}
	case errors.Is(err, token.ErrNoKey), errors.Is(err, token.ErrAlgorithm):
		return []string{"make a key pair of ECDSA P-256 in the token with its own software, such as: pkcs11-tool --login --keypairgen --key-type EC:prime256v1"}
	case errors.Is(err, sign.ErrReplaced):
		return []string{"take up the new key under a name of its own; the old one is in the token, or is the version in the service, that it was taken up from"}
	}
	return nil
}
