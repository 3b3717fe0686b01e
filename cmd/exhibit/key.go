package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
)

type keyDocument struct {
	Schema      string `json:"schema"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	KeyID       string `json:"keyId"`
	Fingerprint string `json:"fingerprint"`
	Created     string `json:"created"`
	Certificate string `json:"certificate,omitzero"`
	InTPM       bool   `json:"inTpm"`
	URI         string `json:"uri,omitzero"`
	Protected   bool   `json:"protected"`
}

type keysDocument struct {
	Schema string        `json:"schema"`
	Keys   []keyDocument `json:"keys"`
}

func newKeyCommand(u *ui) *cobra.Command {
	return group("key", "Make and show this station's keys", newKeyCreateCommand(u), newKeyListCommand(u), newKeyShowCommand(u),
		newKeyStatusCommand(u), newEnrollCommand(u), newKeyCACommand(u))
}

func newKeyCreateCommand(u *ui) *cobra.Command {
	var kind, address, uri string
	var pass passphraseFlags
	return newCommand(command{
		use: "create NAME", short: "Make a key, protected by a passphrase",
		long: "Make a key, protected by a passphrase. There are three kinds, never the same key: a person's key signs that\n" +
			"person's custody events, a station's key signs acquisition records, a log key signs a log's checkpoints.\n" +
			"Keys lie in $EXHIBIT_HOME/keys, else in exhibit/keys in the user's configuration directory (~/.config).\n\n" +
			"With --tpm a station or log key is made in this machine's TPM and can never leave it. It needs no passphrase: what\n" +
			"unlocks it stands in a file that only you can read. With --passphrase-file or --passphrase-fd it needs one as well.\n\n" +
			"With --uri a person's or station's key is one of ECDSA P-256 that a PKCS #11 token already holds (RFC 7512):\n" +
			"  pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/softhsm/libsofthsm2.so\n" +
			"Its PIN is asked for, or given, wherever another key's passphrase is. It needs a program built with: make build TAGS=pkcs11\n\n" +
			"Or it is one that a key service holds, as sigstore names them: awskms://, azurekms://, gcpkms://, hashivault://KEY. Who you are\n" +
			"is told to the service by its own settings in the environment. It needs a network, and: make build kms TAGS=kms",
		example: "  exhibit key create inspector --kind person\n  exhibit key create lab1 --kind station\n  exhibit key create lab1-log --kind log",
		args:    cobra.ExactArgs(1),
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&kind, "kind", "", "`KIND`: person, station or log (required)")
			f.StringVar(&address, "tpm", "", "make the key in the TPM at `ADDRESS`: a device, a socket, or host:port (without =ADDRESS: "+tpm.DefaultAddress+")")
			f.Lookup("tpm").NoOptDefVal = tpm.DefaultAddress
			f.StringVar(&uri, "uri", "", "take up the key that a token or key service holds at `URI`, pkcs11:... or another (see above)")
			pass.register(f, false)
		},
		run: func(_ *cobra.Command, args []string) error {
			switch {
			case address != "" && uri != "":
				return errors.New("--tpm and --uri exclude each other")
			case uri != "":
				return runKeyCreateRemote(u, args[0], kind, uri, &pass)
			case address != "":
				return runKeyCreateTPM(u, args[0], kind, address, &pass)
			}
			return runKeyCreate(u, args[0], kind, &pass)
		},
	})
}

func runKeyCreate(u *ui, name, kind string, pass *passphraseFlags) error {
	if kind != record.KindPerson && kind != record.KindStation && kind != sign.KindLog && kind != sign.KindAuthority {
		return withHints(fmt.Errorf("kind %q is none of person, station, log", kind), "say which with --kind KIND")
	}
	store, err := openStore(true)
	if err != nil {
		return err
	}
	passphrase, asked, err := pass.read(fmt.Sprintf("New passphrase for the %s key %q", kind, name))
	if err != nil {
		return err
	}
	if asked {
		again, err := askTerminal("The same passphrase again")
		if err != nil {
			return err
		}
		if !bytes.Equal(passphrase, again) {
			return errors.New("the two passphrases differ; no key was made")
		}
	}
	info, err := store.Create(name, kind, passphrase)
	if err != nil {
		return err
	}
	return showNewKey(u, info)
}

// runKeyCreateTPM makes a key in a TPM, and the station's attestation key if there is none.
func runKeyCreateTPM(u *ui, name, kind, address string, pass *passphraseFlags) error {
	if kind != record.KindStation && kind != sign.KindLog {
		return withHints(fmt.Errorf("kind %q is none of station, log: a person's key does not stay with a machine", kind), "say which with --kind KIND")
	}
	store, err := openStore(true)
	if err != nil {
		return err
	}
	var passphrase []byte
	if pass.given() {
		if passphrase, _, err = pass.read(""); err != nil {
			return err
		}
	}
	if _, err := store.Info(name); err == nil {
		return fmt.Errorf("create key %q: %w", name, fs.ErrExist)
	}
	station, err := store.machine.begin(address)
	if err != nil {
		return err
	}
	auth, err := tpm.NewAuth()
	if err != nil {
		return err
	}
	file, attestation, err := station.NewKey(kind, auth)
	if err != nil {
		return err
	}
	k := sign.DeviceKey{Auth: auth}
	if k.Key, err = station.Signer(file, auth); err != nil {
		return err
	}
	if k.Blob, err = file.Encode(); err != nil {
		return err
	}
	if k.Attestation, err = attestation.Encode(); err != nil {
		return err
	}
	info, err := store.CreateDevice(name, kind, k, passphrase)
	if err != nil {
		return err
	}
	return showNewKey(u, info)
}

func showNewKey(u *ui, info sign.Info) error {
	return u.result(keyDoc(info, "exhibit-key/v1", true), func() {
		switch {
		case info.Attestation != nil:
			u.linef("Made the %s key %q in the TPM.", info.Kind, info.Name)
		case info.URI != "":
			u.linef("Took up the %s key %q, held at %s.", info.Kind, info.Name, info.URI)
		default:
			u.linef("Made the %s key %q.", info.Kind, info.Name)
		}
		u.linef("Fingerprint: %s", sign.Fingerprint(info.KeyID))
	})
}

// held is where a key is that is not in a file.
func held(k keyDocument) string {
	switch {
	case k.InTPM:
		return " in the TPM"
	case k.URI != "":
		return " at " + k.URI
	}
	return ""
}

func newKeyListCommand(u *ui) *cobra.Command {
	return newCommand(command{use: "list", short: "List this station's keys", run: func(*cobra.Command, []string) error {
		store, err := openStore(false)
		if err != nil {
			return err
		}
		infos, err := store.List()
		if err != nil {
			return err
		}
		doc := keysDocument{Schema: "exhibit-keys/v1", Keys: []keyDocument{}}
		for _, i := range infos {
			doc.Keys = append(doc.Keys, keyDoc(i, "exhibit-key/v1", false))
		}
		return u.result(doc, func() {
			for _, k := range doc.Keys {
				u.linef("%-20s %-8s %s%s", k.Name, k.Kind, k.KeyID, held(k))
			}
		})
	}})
}

func newKeyShowCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "show NAME", short: "Show a key's fingerprint and certificate", args: cobra.ExactArgs(1),
		run: func(_ *cobra.Command, args []string) error {
			store, err := openStore(false)
			if err != nil {
				return err
			}
			info, err := store.Info(args[0])
			if err != nil {
				return err
			}
			doc := keyDoc(info, "exhibit-key/v1", true)
			return u.result(doc, func() {
				u.linef("Name:        %s", doc.Name)
				u.linef("Kind:        %s", doc.Kind)
				u.linef("Created:     %s", doc.Created)
				if doc.URI != "" {
					u.linef("Held at:     %s", doc.URI)
				}
				u.linef("Fingerprint: %s", doc.Fingerprint)
				u.print(doc.Certificate)
			})
		},
	})
}

func keyDoc(i sign.Info, schema string, certificate bool) keyDocument {
	doc := keyDocument{Schema: schema, Name: i.Name, Kind: i.Kind, KeyID: i.KeyID, Fingerprint: sign.Fingerprint(i.KeyID),
		Created: i.Created.UTC().Format(timeFormat), InTPM: i.Attestation != nil, URI: i.URI, Protected: i.Protected}
	if certificate {
		doc.Certificate = string(i.Certificate)
	}
	return doc
}
