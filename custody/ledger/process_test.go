//go:build unix

package ledger

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// childEnv makes the test binary append to a log instead of running tests: "<what>|<folder of the log>|<folder of keys>". Or it
// takes a log in: "import|<folder of the log>|<folder of the other one>".
const childEnv = "EXHIBIT_LEDGER_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		os.Exit(child(strings.Split(task, "|")))
	}
	os.Exit(m.Run())
}

// child appends as the task says and prints "signed <base64>" for each note before it is written, "logged <index> <leaf>"
// for each statement that was reported, or "error <text>".
func child(task []string) int {
	if task[0] == "import" {
		return childImport(task[1], task[2])
	}
	w := readKeys(task[2])
	say := func(format string, args ...any) { must(fmt.Fprintf(os.Stdout, format, args...)) }
	w.log.signed = func(note string) {
		say("signed %s\n", base64.StdEncoding.EncodeToString([]byte(note)))
	}
	root := must(durable.OpenRoot(task[1]))
	times, wait := 1<<30, time.Minute
	switch task[0] {
	case "few":
		times = 8
	case "impatient":
		times, wait = 1, time.Millisecond
	}
	for i := range times {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		logged, err := Append(ctx, root, w.key(), nil, w.next(numbered(1+i%3)...))
		cancel()
		if err != nil {
			say("error %v\n", err)
			return 1
		}
		for _, l := range logged {
			say("logged %d %s\n", l.Index, l.Leaf)
		}
	}
	return 0
}

// writeKeys makes a world and leaves its keys in a folder for children.
func writeKeys(t *testing.T) (w *world, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, key := range map[string]any{"person": newKey(), "ecdsa": newKey(), "ed25519": newEd25519()} {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return readKeys(dir), dir
}

func readKeys(dir string) *world {
	key := func(name string) any {
		return must(x509.ParsePKCS8PrivateKey(must(os.ReadFile(filepath.Join(dir, name)))))
	}
	log := must(sign.NewSoftwareLogSigner(as[*ecdsa.PrivateKey](key("ecdsa")), as[ed25519.PrivateKey](key("ed25519"))))
	return worldOf(must(sign.NewSoftwareSigner(as[*ecdsa.PrivateKey](key("person")))), &notary{LogSigner: log})
}

// start runs a child and returns its lines, until it ends.
func start(t *testing.T, what, dir, keys string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{what, dir, keys}, "|"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return cmd, lines
}

// heard collects what children printed.
type heard struct {
	mu     sync.Mutex
	logged map[int64]string
	errors []string
}

// line takes a line in and reports whether it says that a statement was logged.
func (h *heard) line(t *testing.T, w *world, line string) bool {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	h.mu.Lock()
	defer h.mu.Unlock()
	switch word {
	case "signed":
		w.log.mu.Lock()
		defer w.log.mu.Unlock()
		w.log.notes = append(w.log.notes, string(must(base64.StdEncoding.DecodeString(rest))))
	case "logged":
		index, leaf, _ := strings.Cut(rest, " ")
		i := must(strconv.ParseInt(index, 10, 64))
		if before, ok := h.logged[i]; ok && before != leaf {
			t.Errorf("statement %d was reported with leaf %s and with %s", i, before, leaf)
		}
		h.logged[i] = leaf
		return true
	default:
		h.errors = append(h.errors, rest)
	}
	return false
}

// check requires that all that was reported stands in the log.
func (h *heard) check(t *testing.T, l *Log) {
	t.Helper()
	for i, leaf := range h.logged {
		if got, err := l.Leaf(i); err != nil || got.String() != leaf {
			t.Errorf("statement %d was reported with leaf %s and is %s, %v", i, leaf, got, err)
		}
	}
}

func TestKillMinus9(t *testing.T) {
	t.Parallel()
	w, keys := writeKeys(t)
	dir, root := create(t, w)
	seen, all := published{}, heard{logged: map[int64]string{}}
	random := rand.New(rand.NewPCG(1, 2)) // fixed: where the child is when it is hit varies by itself
	for range 25 {
		cmd, lines := start(t, "for ever", dir, keys)
		for n := random.IntN(4); n > 0 && lines.Scan(); {
			if all.line(t, w, lines.Text()) {
				n--
			}
		}
		// Somewhere in the next append, or in starting up.
		<-time.After(time.Duration(random.IntN(8000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			all.line(t, w, lines.Text())
		}
		if err := cmd.Wait(); err == nil || len(all.errors) > 0 {
			t.Fatalf("the child ended with %v, %v; want it killed", err, all.errors)
		}
		seen.look(t, w, dir)
		recovered, err := w.recover(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range append(recovered, w.append(t, root, "after the kill")...) {
			all.line(t, w, fmt.Sprintf("logged %d %s", l.Index, l.Leaf))
		}
		seen.look(t, w, dir)
		all.check(t, w.open(t, dir))
	}
	// More may stand there than was reported: a child can be killed between its last step and its word of it.
	l := w.sound(t, dir, int64(len(all.logged))+1)
	noStrangers(t, l, dir)
}

func TestManyWritersTakeTurns(t *testing.T) {
	t.Parallel()
	w, keys := writeKeys(t)
	dir, root := create(t, w)
	all := heard{logged: map[int64]string{}}
	var wg sync.WaitGroup
	for range 2 {
		cmd, lines := start(t, "few", dir, keys)
		wg.Go(func() {
			for lines.Scan() {
				all.line(t, w, lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("child: %v, %v", err, all.errors)
			}
		})
	}
	for g := range 3 {
		wg.Go(func() {
			for range 3 {
				logged, err := Append(context.Background(), root, w.key(), nil, w.next("1", fmt.Sprint("of ", g)))
				if err != nil {
					t.Error(err)
					return
				}
				for _, l := range logged {
					all.line(t, w, fmt.Sprintf("logged %d %s", l.Index, l.Leaf))
				}
			}
		})
	}
	wg.Wait()
	published{}.look(t, w, dir)
	l := w.sound(t, dir, 1+2*15+3*3*2)
	all.check(t, l)
	if int64(len(all.logged)) != l.Size()-1 {
		t.Errorf("%d statements were reported, and the log has %d", len(all.logged), l.Size()-1)
	}
}

func TestSecondWriterLearnsWhoHoldsTheLock(t *testing.T) {
	w, keys := writeKeys(t)
	dir, root := create(t, w)
	_, err := Append(context.Background(), root, w.key(), nil, func(h Head) ([]Item, error) {
		all := heard{logged: map[int64]string{}}
		cmd, lines := start(t, "impatient", dir, keys)
		for lines.Scan() {
			all.line(t, w, lines.Text())
		}
		want := fmt.Sprintf("held by process %d since", os.Getpid())
		if err := cmd.Wait(); err == nil || len(all.errors) != 1 || !strings.Contains(all.errors[0], want) {
			t.Errorf("the second writer ended with %v and said %q, want %q", err, all.errors, want)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := Append(ctx, root, w.key(), nil, w.next("1"))
		if held := (*durable.LockedError)(nil); !errors.As(err, &held) || held.PID != os.Getpid() || !errors.Is(err, context.Canceled) {
			t.Errorf("a writer of this process: %v, want that it is locked by itself", err)
		}
		return w.next("1")(h)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Append(ctx, root, w.key(), nil, w.next("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("a free lock and a cancelled context: %v, want %v", err, context.Canceled)
	}
	w.sound(t, dir, 2)
}

func TestWaitingIsSaid(t *testing.T) {
	t.Parallel()
	w := sharedWorld()
	dir, root := create(t, w)
	lock, err := root.TryLock(layout.Lock)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	_, err = Append(context.Background(), root, w.key(), func(held error) {
		said++
		if l := (*durable.LockedError)(nil); !errors.As(held, &l) || l.PID != os.Getpid() {
			t.Errorf("waiting for %v, want the name of this process", held)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
	}, w.next("1"))
	if err != nil || said != 1 {
		t.Errorf("the append ended with %v and said %d times that it waits", err, said)
	}
	if _, err := Append(context.Background(), root, w.key(), func(error) { said++ }, w.next("1")); err != nil || said != 1 {
		t.Errorf("an append that need not wait ended with %v, said %d", err, said)
	}
	w.sound(t, dir, 3)
}
