package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// maxPassphrase bounds a passphrase read from a file, in bytes.
const maxPassphrase = 4096

// passphraseFlags say where the passphrases of a command's keys come from: never an argument.
type passphraseFlags struct {
	file    string
	fd      int
	logFile string
}

func (p *passphraseFlags) register(f *pflag.FlagSet, withLog bool) {
	f.StringVar(&p.file, "passphrase-file", "", "read the passphrase from the first line of `FILE`")
	f.IntVar(&p.fd, "passphrase-fd", -1, "read the passphrase from the open file descriptor `N`")
	f.Lookup("passphrase-fd").DefValue = "" // -1 would only puzzle a reader of the help
	if withLog {
		f.StringVar(&p.logFile, "log-passphrase-file", "",
			"read the log key's passphrase from the first line of `FILE` (default: the same passphrase as the key's)")
	}
}

// given reports whether a flag says where the passphrase comes from.
func (p *passphraseFlags) given() bool { return p.file != "" || p.fd >= 0 }

// read returns the passphrase for the key of that name; asked tells that a person typed it.
func (p *passphraseFlags) read(prompt string) (passphrase []byte, asked bool, err error) {
	switch {
	case p.file != "" && p.fd >= 0:
		return nil, false, errors.New("--passphrase-file and --passphrase-fd exclude each other")
	case p.file != "":
		passphrase, err = passphraseFromFile(p.file)
		return passphrase, false, err
	case p.fd >= 0:
		f := os.NewFile(uintptr(p.fd), fmt.Sprintf("file descriptor %d", p.fd))
		if f == nil {
			return nil, false, fmt.Errorf("file descriptor %d is not open", p.fd)
		}
		passphrase, err = firstLine(f)
		return passphrase, false, errors.Join(err, f.Close())
	}
	passphrase, err = askTerminal(prompt)
	return passphrase, true, err
}

func passphraseFromFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	line, err := firstLine(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read the passphrase from %q: %w", name, err)
	}
	return line, nil
}

func firstLine(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReaderSize(io.LimitReader(r, maxPassphrase+1), maxPassphrase+1).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, sign.ErrPassphraseEmpty
	}
	if len(line) > maxPassphrase {
		return nil, fmt.Errorf("the passphrase is longer than %d bytes", maxPassphrase)
	}
	return line, nil
}

func askTerminal(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, withHints(errors.New("a passphrase is needed and there is no terminal to ask at"),
			"give it with --passphrase-file FILE or --passphrase-fd N")
	}
	line, err := readSecret(tty, prompt)
	_, nlErr := fmt.Fprintln(tty)
	if errors.Is(err, context.Canceled) {
		return nil, err // the reading still has the terminal
	}
	if err := errors.Join(err, nlErr, tty.Close()); err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	if len(line) == 0 {
		return nil, sign.ErrPassphraseEmpty
	}
	return line, nil
}

// readSecret reads a line without echo. The first signal ends it, for nobody is left to type, and gives the terminal back
// as it was.
func readSecret(tty *os.File, prompt string) ([]byte, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, stopSignals()...)
	defer signal.Stop(stop)
	type answer struct {
		line []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		done <- answer{line, err}
	}()
	// The prompt waits until the echo is off: what is typed after it is never shown, and a signal after it is not followed
	// by ReadPassword switching the echo off. A terminal that had none does not change, so the wait is short.
	for range 100 {
		if now, err := term.GetState(fd); err != nil || !reflect.DeepEqual(now, before) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := fmt.Fprintf(tty, "%s: ", prompt); err != nil {
		return nil, errors.Join(err, term.Restore(fd, before))
	}
	select {
	case a := <-done:
		return a.line, a.err
	case <-stop:
		return nil, errors.Join(fmt.Errorf("asking for the passphrase: %w", context.Canceled), term.Restore(fd, before))
	}
}

// unlocked are the two keys an append needs, both tried before anything is done.
type unlocked struct {
	info    sign.Info
	signer  sign.Signer
	log     sign.LogSigner
	machine *machine
}

// unlock opens the signing key and the log key that the case has now. name may be empty: then the station's only
// key that the case admits for events of type t is taken.
func unlock(c *custody.Case, name string, t record.Type, p *passphraseFlags) (*unlocked, error) {
	store, err := openStore(false)
	if err != nil {
		return nil, err
	}
	infos, err := store.List()
	if err != nil {
		return nil, err
	}
	info, err := chooseKey(infos, c, name, t)
	if err != nil {
		return nil, err
	}
	logInfo, err := chooseLogKey(infos, c)
	if err != nil {
		return nil, err
	}
	signer, logSigner, logPassphrase, err := unlockWithLog(store, info, logInfo.Name, p)
	if err != nil {
		return nil, err
	}
	if logSigner, err = store.withCounter(c.Genesis(), logInfo.Name, logPassphrase, logSigner); err != nil {
		return nil, err
	}
	return &unlocked{info, signer, logSigner, store.machine}, nil
}

// unlockWithLog asks for what it needs and opens a key and a log key, and returns the log key's passphrase too. The log key
// is tried with its own passphrase file, else with the passphrase of the key, else it is asked for. A key in a TPM may need
// none.
func unlockWithLog(store keyStore, info sign.Info, logName string, p *passphraseFlags) (signer sign.Signer, logSigner sign.LogSigner, logPassphrase []byte, err error) {
	fail := func(err error) (sign.Signer, sign.LogSigner, []byte, error) { return nil, nil, nil, err }
	logInfo, err := store.Info(logName)
	if err != nil {
		return fail(err)
	}
	var passphrase []byte
	asked := false
	if info.Protected || p.given() {
		passphrase, asked, err = p.read(secretOf(info))
	} else if logInfo.Protected && p.logFile == "" {
		passphrase, err = askTerminal(fmt.Sprintf("Passphrase of the log key %q", logName))
	}
	if err != nil {
		return fail(err)
	}
	logPassphrase = passphrase
	if p.logFile != "" {
		if logPassphrase, err = passphraseFromFile(p.logFile); err != nil {
			return fail(err)
		}
	}
	signer, logSigner, err = unlockBoth(store, info.Name, passphrase, logName, logPassphrase)
	if errors.Is(err, errLogKey) && errors.Is(err, sign.ErrPassphrase) && asked && p.logFile == "" {
		if logPassphrase, err = askTerminal(fmt.Sprintf("Passphrase of the log key %q", logName)); err != nil {
			return fail(err)
		}
		logSigner, err = unlockLog(store, logName, logPassphrase)
	}
	if err != nil {
		return fail(err)
	}
	return signer, logSigner, logPassphrase, nil
}

// unlockBoth opens the two keys at the same time: decrypting is slow on purpose, and the work waits for it. On errLogKey
// the signer is there all the same.
func unlockBoth(store keyStore, name string, passphrase []byte, logName string, logPassphrase []byte) (sign.Signer, sign.LogSigner, error) {
	var logSigner sign.LogSigner
	logDone := make(chan error, 1)
	go func() {
		var err error
		logSigner, err = unlockLog(store, logName, logPassphrase)
		logDone <- err
	}()
	signer, err := store.Unlock(name, passphrase)
	logErr := <-logDone
	debug.FreeOSMemory() // 200 MiB for what is slow on purpose; the buffers of an acquisition must not come on top
	if err != nil {
		return nil, nil, err
	}
	return signer, logSigner, logErr
}

var errLogKey = errors.New("the log key")

func unlockLog(store keyStore, name string, passphrase []byte) (sign.LogSigner, error) {
	key, err := store.UnlockLog(name, passphrase)
	if err != nil {
		return nil, withHints(fmt.Errorf("%w: %w", errLogKey, err), "give the log key's own passphrase with --log-passphrase-file FILE")
	}
	return key, nil
}

// currentKeys are the keys of a case now. Where its log cannot be read they are those of the genesis, and damaged says why: an
// image can be made all the same, for the medium may not be there tomorrow, and the append says what is wrong.
func currentKeys(c *custody.Case) (keys *ledger.Keys, damaged, err error) {
	if keys, damaged = c.Keys(); damaged == nil {
		return keys, nil, nil
	}
	keys, err = ledger.GenesisKeys(c.Genesis())
	return keys, damaged, err
}

func chooseKey(infos []sign.Info, c *custody.Case, name string, t record.Type) (sign.Info, error) {
	keys, damaged, err := currentKeys(c)
	if err != nil {
		return sign.Info{}, err
	}
	var admitted []sign.Info
	for _, i := range infos {
		if i.Name == name && !keys.MaySign(i.KeyID, t, ledger.Next) {
			// Before a passphrase is typed for nothing.
			if damaged != nil {
				return sign.Info{}, damaged
			}
			return sign.Info{}, fmt.Errorf("key %q: %w", name, custody.ErrNotAdmitted)
		}
		if i.Name == name {
			return i, nil
		}
		if (t == record.TypeAnchored || t == record.TypeCaseClosed) && i.Kind != record.KindPerson {
			continue // by default a person takes a log in, and no other key closes one
		}
		if i.Kind != sign.KindLog && keys.MaySign(i.KeyID, t, ledger.Next) {
			admitted = append(admitted, i)
		}
	}
	switch {
	case name != "":
		return sign.Info{}, withHints(fmt.Errorf("there is no key %q on this station", name), "see: exhibit key list")
	case len(admitted) == 0 && damaged != nil:
		return sign.Info{}, damaged
	case len(admitted) == 0:
		return sign.Info{}, withHints(fmt.Errorf("none of this station's keys is admitted to sign %q in case %q", t, c.Genesis().Case),
			"see which keys the case admits with: exhibit case show")
	case len(admitted) > 1:
		return sign.Info{}, withHints(fmt.Errorf("%d keys of this station are admitted to sign %q", len(admitted), t), "choose one with --key NAME")
	}
	return admitted[0], nil
}

func chooseLogKey(infos []sign.Info, c *custody.Case) (sign.Info, error) {
	keys, damaged, err := currentKeys(c)
	if err != nil {
		return sign.Info{}, err
	}
	for _, i := range infos {
		if i.Kind == sign.KindLog && slices.Equal(i.LogKeys[:], keys.LogKey()) {
			return i, nil
		}
	}
	if damaged != nil {
		return sign.Info{}, damaged
	}
	return sign.Info{}, withHints(fmt.Errorf("the log key of case %q is not on this station: only the station that keeps the log may append to it", c.Genesis().Case),
		"run the command on the station that opened the case, or set EXHIBIT_HOME to its folder")
}
