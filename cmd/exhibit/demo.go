package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/exhibit-forensics/exhibit/cmd/exhibit/practice"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/verify"
)

type demoDocument struct {
	Schema      string `json:"schema"`
	Folder      string `json:"folder"`
	Case        string `json:"case"`
	Acquisition string `json:"acquisition"`
	Verified    int    `json:"verified"`
	Untrusted   int    `json:"untrusted"`
	Damaged     int    `json:"damaged"`
}

func newDemoCommand(u *ui) *cobra.Command {
	return newCommand(command{
		use: "demo [DIR]", short: "Show the whole way once, on a practice medium",
		long: "Write a practice medium of 24 MiB, make keys, open a case, seize and acquire the medium, verify the case, then change\n" +
			"one bit in a copy and show that verification names the place. It needs neither root nor a TPM nor another program,\n" +
			"and writes only into DIR (default: exhibit-demo, then exhibit-demo-2 and so on), which it keeps.",
		args: cobra.MaximumNArgs(1), codes: []int{codeInterrupted},
		run: func(cmd *cobra.Command, args []string) error { return runDemo(cmd.Context(), u, args) },
	})
}

// demo runs the real commands, in this process, each as its user would type it.
type demo struct {
	ctx context.Context
	u   *ui
	dir string
}

const (
	demoDamageAt = 10<<20 + 12345 // a byte of the eleventh MiB
	demoExhibit  = "7"
)

func runDemo(ctx context.Context, u *ui, args []string) error {
	dir, err := demoFolder(args)
	if err != nil {
		return err
	}
	d := &demo{ctx: ctx, u: u, dir: dir}
	// The demonstration has keys and trust of its own, and leaves the station's alone.
	if err := os.Setenv("EXHIBIT_HOME", d.path("home")); err != nil {
		return err
	}
	doc := demoDocument{Schema: "exhibit-demo/v1", Folder: dir, Case: d.path("case")}
	if err := d.prepare(); err != nil {
		return err
	}
	if doc.Acquisition, err = d.work(); err != nil {
		return err
	}
	if err := d.check(&doc); err != nil {
		return err
	}
	if doc.Verified != codeDone || doc.Untrusted != codeMissing || doc.Damaged != codeMismatch {
		return fmt.Errorf("the demonstration did not end as it must: exit codes %d, %d and %d in place of %d, %d and %d",
			doc.Untrusted, doc.Verified, doc.Damaged, codeMissing, codeDone, codeMismatch)
	}
	return u.result(doc, func() {
		u.linef("")
		u.linef("All of it is kept in %q. Look around:", dir)
		u.linef("  export EXHIBIT_HOME=%q", d.path("home"))
		u.linef("  exhibit case show %q", doc.Case)
		u.linef("  exhibit log show --case %q", doc.Case)
		u.linef("  cd %q && sha256sum -c SHA256SUMS", doc.Acquisition)
	})
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// step says what comes; with --json only the last document is printed.
func (d *demo) step(text string) {
	if !d.u.json {
		d.u.linef("\n== %s", text)
	}
}

func demoFolder(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], os.Mkdir(args[0], 0o755)
	}
	for i := 1; i < 1000; i++ {
		dir := "exhibit-demo"
		if i > 1 {
			dir += "-" + strconv.Itoa(i)
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
	}
	return "", errors.New("there are 999 folders exhibit-demo here already: name another")
}

func (d *demo) prepare() error {
	d.step("A practice medium: 24 MiB with a partition table and a file system")
	if err := os.WriteFile(d.path("passphrase.txt"), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	medium, err := practice.Open()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.path("practice.img"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return errors.Join(err, medium.Close())
	}
	n, err := io.Copy(f, medium)
	if err := errors.Join(err, f.Close(), medium.Close()); err != nil {
		return err
	}
	if !d.u.json {
		d.u.linef("wrote %q, %s", f.Name(), size(n))
	}
	return nil
}

// work makes keys and a case, seizes and acquires; it returns the acquisition folder.
func (d *demo) work() (string, error) {
	d.step("Three keys: a person's, a station's, a log's (passphrase in passphrase.txt)")
	for _, k := range [][2]string{{"inspector", "person"}, {"lab1", "station"}, {"lab1-log", "log"}} {
		if err := d.sign("key", "create", k[0], "--kind", k[1]); err != nil {
			return "", err
		}
	}
	d.step("A case with its log")
	if err := d.sign("case", "create", d.path("case"), "--number", "2026-001", "--agency", "Example Police", "--opened-by", "I. N. Spector",
		"--key", "inspector", "--station", "lab1", "--log-key", "lab1-log"); err != nil {
		return "", err
	}
	d.step("The exhibit is seized, its medium acquired")
	if err := d.sign("custody", "seize", demoExhibit, "--case", d.path("case"), "--description", "practice medium, 24 MiB",
		"--place", "12 Example Street"); err != nil {
		return "", err
	}
	if err := d.sign("acquire", d.path("practice.img"), "--exhibit", demoExhibit, "--case", d.path("case")); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(d.path("case"), "exhibits", demoExhibit, "*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the acquisition folder is not there: %v, %w", found, err)
	}
	return found[0], nil
}

// run executes one command line in this process, as its user would type it, and returns its exit code.
func (d *demo) run(args ...string) (int, error) {
	if !d.u.json {
		d.u.linef("$ exhibit %s", quoteArgs(args))
	}
	sub := newUI(d.u.stdin, d.u.stdout, d.u.stderr)
	sub.tty = d.u.tty
	if d.u.json {
		sub.stdout = io.Discard
	}
	root := newRootCommand(sub)
	root.SetArgs(args)
	if err := root.ExecuteContext(d.ctx); err != nil {
		return exitCode(err), err
	}
	return sub.code, nil
}

// sign is run for a command that unlocks a key.
func (d *demo) sign(args ...string) error {
	_, err := d.run(append(args, "--passphrase-file", d.path("passphrase.txt"))...)
	return err
}

func quoteArgs(args []string) string {
	var quoted []string
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \"'") || clean(a) != a {
			a = strconv.Quote(a)
		}
		quoted = append(quoted, a)
	}
	return strings.Join(quoted, " ")
}

// check verifies three times: before and after the fingerprint is trusted, and a copy with one byte changed.
func (d *demo) check(doc *demoDocument) (err error) {
	d.step("Verified without trust: nothing says yet that this case is not a stranger's")
	if doc.Untrusted, err = d.run("verify", doc.Case); err != nil {
		return err
	}
	d.step("Trusted by its fingerprint, as the other side would read it out by telephone, and verified again")
	c, err := custody.Open(doc.Case)
	if err != nil {
		return err
	}
	fingerprint := c.Fingerprint().String()
	if err := c.Close(); err != nil {
		return err
	}
	if _, err := d.run("trust", "add", verify.RoleGenesis, fingerprint, "--name", "Case 2026-001, the demonstration"); err != nil {
		return err
	}
	if doc.Verified, err = d.run("verify", doc.Case); err != nil {
		return err
	}
	d.step(fmt.Sprintf("One bit of a copy of the image is changed, at offset %d", demoDamageAt))
	copied, err := d.damagedCopy(doc.Acquisition)
	if err != nil {
		return err
	}
	doc.Damaged, err = d.run("verify", copied)
	return err
}

func (d *demo) damagedCopy(acquisition string) (string, error) {
	to := d.path("damaged-copy")
	if err := os.CopyFS(to, os.DirFS(acquisition)); err != nil {
		return "", err
	}
	name := filepath.Join(to, demoExhibit+".raw")
	if err := os.Chmod(name, 0o644); err != nil {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, demoDamageAt)
	if err == nil {
		b[0] ^= 1
		_, err = f.WriteAt(b, demoDamageAt)
	}
	return to, errors.Join(err, f.Close())
}
