package durable

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrLocked says that another process, or another Lock of this one, holds the lock; see LockedError.
var ErrLocked = errors.New("locked")

// LockedError is an ErrLocked that says who holds the lock, as far as the lock file tells.
type LockedError struct {
	Name  string    // of the lock file
	PID   int       // 0 if unknown
	Since time.Time // UTC; zero if unknown
}

func (e *LockedError) Error() string {
	switch {
	case e.PID == 0:
		return fmt.Sprintf("lock %q: held by an unknown process", e.Name)
	case e.Since.IsZero():
		return fmt.Sprintf("lock %q: held by process %d", e.Name, e.PID)
	}
	return fmt.Sprintf("lock %q: held by process %d since %s", e.Name, e.PID, e.Since.Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Lock is a held lock. The system releases it when the process ends, however it ends.
type Lock struct {
	r    *Root
	f    *os.File
	name string
}

const (
	lockPoll    = 50 * time.Millisecond
	maxLockText = 128
)

// TryLock takes the lock file name, making it if it is missing, or returns a LockedError at once. The file carries the
// holder's process id and the time as text, for people and for LockedError only: what counts is flock(2). It is not
// synced and never removed. On systems without flock the error is errors.ErrUnsupported.
//
// System calls: openat, flock(LOCK_EX|LOCK_NB), ftruncate, pwrite. After an error the lock is not held.
func (r *Root) TryLock(name string) (*Lock, error) {
	in, base, err := r.enter(name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	f, err := in.openOrCreate(base, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	l := &Lock{r: r, f: f, name: in.join(base)}
	held, err := flock(f)
	switch {
	case err != nil:
		err = wrap("lock", l.name, err)
	case held:
		err = l.holder()
	default:
		err = l.sign()
	}
	if err != nil {
		return nil, also(err, r.closeFile(f, l.name))
	}
	return l, nil
}

// Lock is TryLock that waits until the lock is free or ctx is done; then the error is the LockedError and that of ctx.
func (r *Root) Lock(ctx context.Context, name string) (*Lock, error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		l, err := r.TryLock(name)
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, also(err, ctx.Err())
		case <-tick.C:
		}
	}
}

// Unlock empties the lock file and releases the lock. It is released even when an error is returned.
func (l *Lock) Unlock() error {
	err := l.r.do(OpTruncate, l.name, func() error { return l.f.Truncate(0) })
	if cerr := l.r.closeFile(l.f, l.name); err == nil {
		err = cerr
	}
	return err
}

// sign writes who holds the lock. The clock is the system's own, because no record is made of it.
func (l *Lock) sign() error {
	if err := l.r.do(OpTruncate, l.name, func() error { return l.f.Truncate(0) }); err != nil {
		return err
	}
	text := fmt.Sprintf("pid %d since %s\n", os.Getpid(), time.Now().UTC().Format(time.RFC3339))
	_, err := l.r.write(l.name, []byte(text), func(p []byte) (int, error) { return l.f.WriteAt(p, 0) })
	return err
}

// holder reads who holds the lock; text that is not ours, or not yet complete, is an unknown holder.
func (l *Lock) holder() error {
	unknown := &LockedError{Name: l.name}
	text, err := io.ReadAll(io.NewSectionReader(l.f, 0, maxLockText))
	if err != nil {
		return also(unknown, wrap("read", l.name, err))
	}
	pid, since, ok := parseHolder(string(text))
	if !ok {
		return unknown
	}
	return &LockedError{Name: l.name, PID: pid, Since: since}
}

func parseHolder(text string) (pid int, since time.Time, ok bool) {
	line, whole := strings.CutSuffix(text, "\n")
	rest, named := strings.CutPrefix(line, "pid ")
	id, when, split := strings.Cut(rest, " since ")
	pid, perr := strconv.Atoi(id)
	since, terr := time.Parse(time.RFC3339, when)
	if !whole || !named || !split || perr != nil || terr != nil || pid <= 0 {
		return 0, time.Time{}, false
	}
	return pid, since.UTC(), true
}
