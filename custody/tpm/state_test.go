package tpm

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

func testPowerCuts(t *testing.T, m *swtpm.Machine) {
	s, file := newStation(t, m)
	auth := newAuth(t)
	_, f := newSigner(t, s, "log", auth)
	c := counter(t, s, auth)
	id := c.Identity()
	for i := range int64(5) {
		m.PowerOff(t)
		m.PowerOn(t)
		d, _ := open(t, m)
		s := attach(t, d, file)
		key, err := s.Signer(f, auth)
		if err != nil {
			t.Fatal(err)
		}
		sign(t, key)
		c, err := s.Counter(id, auth)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Increment(); err != nil {
			t.Fatal(err)
		}
		if v := value(t, c); v != id.First+i+1 {
			t.Errorf("after power cut %d the counter is %d, want %d", i+1, v, id.First+i+1)
		}
		if f, err := d.Facts(); err != nil || f.Locked || f.Failures != 0 {
			t.Errorf("after power cut %d: %+v, %v", i+1, f, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testRollback puts the whole TPM back, as who copies a virtual machine can: nothing inside it can tell.
func testRollback(t *testing.T, m *swtpm.Machine) {
	s, file := newStation(t, m)
	auth := newAuth(t)
	c := counter(t, s, auth)
	before := t.TempDir()
	m.PowerOff(t)
	m.Save(t, before)
	m.PowerOn(t)
	certify := func() (int64, attest.Clock) {
		t.Helper()
		d, _ := open(t, m)
		defer d.Close()
		s := attach(t, d, file)
		c, err := s.Counter(c.Identity(), auth)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Increment(); err != nil {
			t.Fatal(err)
		}
		f, err := c.Certify("x\n")
		if err != nil {
			t.Fatal(err)
		}
		a, err := attest.ParseCounter(f)
		if err != nil {
			t.Fatal(err)
		}
		v, at, err := s.AttestationKey().CheckCounter(a, uint32(c.Identity().Handle), "x\n")
		if err != nil {
			t.Fatal(err)
		}
		return int64(v), at
	}
	one, first := certify()
	m.PowerOff(t)
	m.PowerOn(t)
	two, second := certify()
	if err := attest.Follow(first, second); err != nil || two != one+1 {
		t.Errorf("after a power cut: %d, then %d, %v", one, two, err)
	}
	m.PowerOff(t)
	m.Restore(t, before)
	m.PowerOn(t)
	again, third := certify()
	if again != one {
		t.Errorf("the counter is %d after the TPM was put back, want %d again", again, one)
	}
	if err := attest.Follow(second, third); !errors.Is(err, attest.ErrMismatch) {
		t.Errorf("the clock does not show it: %+v, then %+v, %v", second, third, err)
	}
}

func testFull(t *testing.T, m *swtpm.Machine) {
	s, _ := newStation(t, m)
	defer s.Close()
	auth := newAuth(t)
	// As many large indexes as it takes, so that the last counter is refused soon.
	filler := func(i int) tpm2.NVDefineSpace {
		return tpm2.NVDefineSpace{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
			PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{NVIndex: tpm2.TPMHandle(int(attest.FirstCounter) + i), NameAlg: tpm2.TPMAlgSHA256,
				DataSize: 2048, Attributes: tpm2.TPMANV{OwnerRead: true, OwnerWrite: true}}),
		}
	}
	n := 0
	for ; n < 1000; n++ {
		if _, err := filler(n).Execute(s.tpm.conn); errors.Is(err, tpm2.TPMRCNVSpace) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	var last error
	var all []*Counter
	for len(all) < 100 && last == nil {
		var c *Counter
		if c, last = s.DefineCounter(auth); last == nil {
			all = append(all, c)
		}
	}
	if !errors.Is(last, ErrFull) {
		t.Errorf("beside %d large indexes and %d counters: %v, want ErrFull", n, len(all), last)
	}
	for _, c := range all {
		if err := c.Free(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if err := s.undefine(attest.FirstCounter + uint32(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// testOwned gives the owner of the TPM a password.
func testOwned(t *testing.T, m *swtpm.Machine) {
	change := testtool.Need(t, "tpm2_changeauth")[0]
	tool := func(args ...string) {
		t.Helper()
		out, err := exec.Command(change, append([]string{"-T", m.TCTI()}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tpm2_changeauth: %v\n%s", err, out)
		}
	}
	tool("-c", "owner", "word")
	s, _ := newStation(t, m)
	if _, err := s.DefineCounter(newAuth(t)); !errors.Is(err, ErrOwned) {
		t.Errorf("define a counter: %v, want ErrOwned", err)
	}
	if f, err := s.tpm.Facts(); err != nil || !f.OwnerPassword {
		t.Errorf("facts: %+v, %v", f, err)
	}
	if err := s.tpm.Close(); err != nil {
		t.Fatal(err)
	}
	tool("-c", "owner", "-p", "word")
}

// testCleared clears the TPM: its keys are gone.
func testCleared(t *testing.T, m *swtpm.Machine) {
	clearTool := testtool.Need(t, "tpm2_clear")[0]
	s, file := newStation(t, m)
	if err := s.tpm.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(clearTool, "-T", m.TCTI(), "-c", "platform").CombinedOutput(); err != nil {
		t.Fatalf("tpm2_clear: %v\n%s", err, out)
	}
	d, _ := open(t, m)
	if _, err := d.Attach(file); err == nil {
		t.Error("the keys are there after the TPM was cleared")
	}
}
