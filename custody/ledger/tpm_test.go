//go:build unix

package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/tpm"
	"github.com/exhibit-forensics/exhibit/internal/testtool/swtpm"
)

// tpmWorld is a software TPM with a station and a log that has a counter in it.
type tpmWorld struct {
	*world
	machine *swtpm.Machine
	file    tpm.StationFile
	auth    []byte
	device  *tpm.TPM
	station *tpm.Station
}

func newTPMWorld(t testing.TB) *tpmWorld {
	t.Helper()
	m := swtpm.New(t)
	x := &tpmWorld{machine: m, auth: must(tpm.NewAuth())}
	x.device = must(tpm.Open(m.Address()))
	x.file = must(x.device.NewStation(m.Address()))
	x.station = must(x.device.Attach(x.file))
	x.world = countedWorld(must(x.station.DefineCounter(x.auth)))
	t.Cleanup(func() { _ = x.device.Close() })
	return x
}

// restart cuts the TPM's power, does something to it, and goes on.
func (x *tpmWorld) restart(t testing.TB, do func()) {
	t.Helper()
	_ = x.device.Close()
	x.machine.PowerOff(t)
	do()
	x.machine.PowerOn(t)
	x.device = must(tpm.Open(x.machine.Address()))
	x.station = must(x.device.Attach(x.file))
	x.counter = must(x.station.Counter(*x.opened.Counter, x.auth))
}

func TestWithATPM(t *testing.T) {
	t.Parallel()
	x := newTPMWorld(t)
	dir, root := create(t, x.world)
	x.append(t, root, "1")
	t.Run("kills", func(t *testing.T) {
		c := x.counter
		x.killEverywhere(t, c, func() string { return dir }, func(string) {})
		x.counted(t, dir, c)
	})
	t.Run("power cuts at every use of the counter", func(t *testing.T) {
		for _, when := range []string{"before reading", "before advancing", "after advancing", "before certifying", "after certifying"} {
			c := x.counter
			cut := false
			x.counter = &mortal{c, func(now string) error {
				if now != when || cut {
					return nil
				}
				cut = true
				x.machine.PowerOff(t)
				return nil // the next command finds nobody
			}}
			_, err := Append(context.Background(), root, x.key(), nil, x.next("1"))
			if err == nil && when != "after certifying" || errors.Is(err, ErrRefused) {
				t.Errorf("cut %s: %v", when, err)
			}
			x.restart(t, func() {})
			x.append(t, root, "2")
			x.counted(t, dir, x.counter)
		}
	})
	t.Run("the folder put back", func(t *testing.T) {
		old := copyDir(t, dir)
		x.append(t, root, "1")
		x.refused(t, old, "1 more were signed")
	})
	t.Run("the TPM put back", func(t *testing.T) {
		saved := t.TempDir()
		x.restart(t, func() { x.machine.Save(t, saved) })
		x.append(t, root, "1")
		x.restart(t, func() { x.machine.Restore(t, saved) })
		x.refused(t, dir, "put back")
	})
	t.Run("two logs", func(t *testing.T) {
		one, two := countedWorld(must(x.station.DefineCounter(x.auth))), countedWorld(must(x.station.DefineCounter(must(tpm.NewAuth()))))
		oneDir, oneRoot := create(t, one)
		twoDir, twoRoot := create(t, two)
		for range 3 {
			one.append(t, oneRoot, "1")
			two.append(t, twoRoot, "1")
		}
		one.counted(t, oneDir, one.counter)
		two.counted(t, twoDir, two.counter)
	})
}

// BenchmarkAppendTPM is one append with the counter, the log key and the signer in a software TPM, beside the same with keys
// in memory.
func BenchmarkAppendTPM(b *testing.B) {
	x := newTPMWorld(b)
	signer := func(kind string) sign.Signer {
		f, _, err := x.station.NewKey(kind, x.auth)
		if err != nil {
			b.Fatal(err)
		}
		return must(sign.NewDeviceSigner(must(x.station.Signer(f, x.auth))))
	}
	device := worldOf(signer("station"), &notary{LogSigner: must(sign.NewLogSignerOf(signer("log"), newEd25519()))})
	id := x.counter.Identity()
	device.opened.Counter, device.counter = &id, x.counter
	device.reseal()
	software := newWorld()
	for _, c := range []struct {
		name string
		w    *world
	}{{"software", software}, {"tpm", device}} {
		b.Run(fmt.Sprint(c.name), func(b *testing.B) {
			_, root := create(b, c.w)
			for b.Loop() {
				c.w.append(b, root, "exhibit 1")
			}
		})
	}
}
