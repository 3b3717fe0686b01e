// Command publicwitness is a witness of transparency-dev's, as public witnesses run it, which follows one log and remembers
// it as long as it runs.
//
//	publicwitness ORIGIN KEY     KEY is the log's Ed25519 public key: DER SubjectPublicKeyInfo, base64
//
// It prints its address and its verifier key on one line, and serves until its standard input ends. It is a tool of the
// tests and no part of the program.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	cosig "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

const name = "public-witness.example"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "publicwitness:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: publicwitness ORIGIN KEY")
	}
	log, err := logVerifier(args[0], args[1])
	if err != nil {
		return err
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return err
	}
	signer, err := cosig.NewSignerForCosignatureV1(skey)
	if err != nil {
		return err
	}
	if vkey, err = cosig.VKeyToCosignatureV1(vkey); err != nil {
		return err
	}
	ctx := context.Background()
	state := inmemory.New()
	if err := state.AddLogs(ctx, []config.Log{{Verifier: log, Origin: args[0]}}); err != nil {
		return err
	}
	w, err := witness.New(ctx, witness.Opts{
		Persistence: state, Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return log, origin == args[0], nil
		},
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s %s\n", listener.Addr(), vkey)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, mux)
}

// logVerifier makes the verifier of the Ed25519 line of a log, from what its genesis says.
func logVerifier(origin, key string) (note.Verifier, error) {
	der, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the key is not one of Ed25519")
	}
	raw := append([]byte{1}, public...)
	sum := sha256.Sum256(append([]byte(origin+"\n"), raw...))
	return note.NewVerifier(fmt.Sprintf("%s+%x+%s", origin, sum[:4], base64.StdEncoding.EncodeToString(raw)))
}
