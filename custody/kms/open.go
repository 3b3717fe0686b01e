//go:build kms

package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
)

const (
	programPrefix = "sigstore-kms-"
	// maxAnswer bounds what a program prints; a signature or key with all its wrapping has less than 1 KiB.
	maxAnswer = 64 << 10
	// maxWords bounds how much of a program's complaint is repeated.
	maxWords = 500
	// timeLimit is how long one answer is waited for.
	timeLimit = 60 * time.Second
)

// key is a key in a service. It holds no connection: each signature is a run of the program.
type key struct {
	program string // absolute path
	id      string // the URI behind the scheme
	public  crypto.PublicKey
}

// Open asks the service for the public key, and returns the key, which is safe for concurrent use. It signs SHA-256 digests.
// The errors are those of this package.
func Open(uri string) (crypto.Signer, error) {
	if err := Check(uri); err != nil {
		return nil, err
	}
	scheme, id, _ := strings.Cut(uri, "://")
	program, err := exec.LookPath(programPrefix + scheme)
	if err != nil || !filepath.IsAbs(program) { // never one from the working directory, where seized files may lie
		return nil, fmt.Errorf("%w: no %s on the PATH", ErrNoPlugin, programPrefix+scheme)
	}
	k := &key{program: program, id: id}
	answer, err := k.ask(&common.MethodArgs{MethodName: common.PublicKeyMethodName, PublicKey: &common.PublicKeyArgs{PublicKeyOptions: &common.PublicKeyOptions{}}})
	if err != nil {
		return nil, err
	}
	if answer.PublicKey == nil {
		return nil, fmt.Errorf("%w: it gave no public key", ErrService)
	}
	block, rest := pem.Decode(answer.PublicKey.PublicKeyPEM)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: its public key is not one block of PEM", ErrService)
	}
	if k.public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("%w: its public key: %w", ErrService, err)
	}
	return k, nil
}

// Public returns the public half, as the service gave it when the key was opened.
func (k *key) Public() crypto.PublicKey { return k.public }

// Sign returns what the service signed of a SHA-256 digest; whether it verifies is for the caller to check.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("the key signs SHA-256 digests only")
	}
	hash := crypto.SHA256
	o := &common.SignOptions{MessageOptions: common.MessageOptions{Digest: &digest, HashFunc: &hash}}
	answer, err := k.ask(&common.MethodArgs{MethodName: common.SignMessageMethodName, SignMessage: &common.SignMessageArgs{SignOptions: o}})
	if err != nil {
		return nil, err
	}
	if answer.SignMessage == nil || len(answer.SignMessage.Signature) == 0 {
		return nil, fmt.Errorf("%w: it gave no signature", ErrService)
	}
	return answer.SignMessage.Signature, nil
}

// ask runs the program once. Sigstore's own client is not used: it reads without a bound, and an answer without the part
// that was asked for, or without any, ends the program that asked.
func (k *key) ask(what *common.MethodArgs) (*common.PluginResp, error) {
	fail := func(err error) (*common.PluginResp, error) {
		return nil, fmt.Errorf("%w: %s of %q: %w", ErrService, what.MethodName, filepath.Base(k.program), err)
	}
	init := &common.InitOptions{ProtocolVersion: common.ProtocolVersion, KeyResourceID: k.id, HashFunc: crypto.SHA256, RPCOptions: &common.RPCOptions{}}
	question, err := json.Marshal(common.PluginArgs{InitOptions: init, MethodArgs: what})
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.program, common.ProtocolVersion, string(question))
	cmd.WaitDelay = time.Second
	stdout, stderr := &bounded{left: maxAnswer}, &bounded{left: maxWords}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Its exit code means nothing in the protocol; a program that could not be started or was killed has not answered.
	err = cmd.Run()
	if ctx.Err() != nil {
		return fail(fmt.Errorf("no answer within %s", timeLimit))
	}
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 1) {
		return fail(err)
	}
	var answer common.PluginResp
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil || stdout.over {
		return fail(fmt.Errorf("its answer cannot be read; it says %.500q", stderr.String()))
	}
	if answer.ErrorMessage != "" {
		return fail(fmt.Errorf("%.500q", answer.ErrorMessage))
	}
	return &answer, nil
}

// bounded keeps the beginning of what is written to it, and takes the rest for nothing.
type bounded struct {
	bytes.Buffer
	left int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := p[:min(len(p), b.left)]
	b.left -= len(keep)
	b.over = b.over || len(keep) < len(p)
	b.Buffer.Write(keep)
	return len(p), nil
}
