package durable

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// The modes of finished files, set whatever the umask is.
const (
	modeSealed  fs.FileMode = 0o444
	modeSecret  fs.FileMode = 0o400
	modeReplace fs.FileMode = 0o644
)

// CreateEx writes a small file that must not exist (fs.ErrExist), and seals it: mode 0444.
//
// System calls, with temp = name.<16 random hex>.tmp in the same folder:
//
//	openat(temp, O_CREAT|O_EXCL, 0600), write, fchmod(0444), fsync, close
//	renameat2(temp, name, RENAME_NOREPLACE)     see publish for file systems without it
//	fsync(folder)
//
// So a file called name is complete, whenever the process is killed or the power fails; only on a file system that has
// neither renameat2 nor links (exFAT through FUSE) can an empty file of that name be left, which means "never written".
// After an error name either does not exist, or is complete but perhaps not durable (when only the last fsync failed);
// [Root.CreateIdempotent] continues from either. The temporary file is removed if the disk still lets us, and if not
// stays for [Root.Sweep].
func (r *Root) CreateEx(name string, data []byte) error {
	return r.create(name, data, modeSealed)
}

// CreateSecretEx is CreateEx for a file that only its owner may read: mode 0400.
func (r *Root) CreateSecretEx(name string, data []byte) error {
	return r.create(name, data, modeSecret)
}

// CreateIdempotent is CreateEx for a step that is repeated after a crash: when name holds exactly data already it is
// synced, its folder too, and that is success; when it holds something else the error is ErrDiffers. An empty file is
// taken for what a crash of CreateEx left and is completed, so the caller must keep other writers of name away (Lock).
func (r *Root) CreateIdempotent(name string, data []byte) error {
	err := r.CreateEx(name, data)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	have, err := r.ReadFile(name, int64(len(data)))
	switch {
	case errors.Is(err, ErrTooLarge):
		return wrap("create", r.join(name), ErrDiffers)
	case err != nil:
		return err
	case bytes.Equal(have, data):
		return r.Persist(name)
	case len(have) == 0:
		return r.overwrite(name, data, modeSealed)
	}
	return wrap("create", r.join(name), ErrDiffers)
}

// Replace writes a file whether it exists or not: the old content or the new stands under name at any moment, never
// anything between. Mode 0644. It is for the few files that change; the caller keeps other writers of name away (Lock):
// of two at once, one gets an error and the other's content stands.
//
// System calls, with temp as in CreateEx:
//
//	unlinkat(each name.<16 hex>.tmp that a crash left)
//	openat(temp, O_CREAT|O_EXCL, 0600), write, fchmod(0644), fsync, close
//	renameat(temp, name)
//	fsync(folder)
//
// After an error name has its old content, durable as before; or, when only the last fsync failed, the new content,
// which a power cut may still turn back into the old.
func (r *Root) Replace(name string, data []byte) error {
	return r.overwrite(name, data, modeReplace)
}

func (r *Root) create(name string, data []byte, mode fs.FileMode) error {
	in, base, err := r.enter(name)
	if err != nil {
		return err
	}
	defer in.close()
	// Only to save the work; that nothing is overwritten is publish's promise.
	if err := in.refuse(base); err != nil {
		return err
	}
	temp, err := in.writeTemp(base, data, mode)
	if err != nil {
		return err
	}
	if err := in.publish(temp, base, false); err != nil {
		return also(err, in.discard(temp))
	}
	return in.sync()
}

func (r *Root) overwrite(name string, data []byte, mode fs.FileMode) error {
	in, base, err := r.enter(name)
	if err != nil {
		return err
	}
	defer in.close()
	info, err := in.dir.Lstat(base)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("replace", in.join(base), err)
	}
	if err == nil && !info.Mode().IsRegular() {
		return wrap("replace", in.join(base), ErrNotRegular)
	}
	if _, err := in.sweep(base); err != nil {
		return err
	}
	temp, err := in.writeTemp(base, data, mode)
	if err != nil {
		return err
	}
	if err := in.rename(temp, base); err != nil {
		return also(err, in.discard(temp))
	}
	return in.sync()
}

// writeTemp writes, changes the mode of, syncs and closes a new temporary file for base. The mode goes before the sync,
// so that one sync covers both. The name is random because a fixed one would let a second process remove and rewrite
// the file that the first is about to publish.
func (in folder) writeTemp(base string, data []byte, mode fs.FileMode) (temp string, err error) {
	var id [tempHex / 2]byte
	rand.Read(id[:]) // never fails, by its contract
	temp = fmt.Sprintf("%s.%x%s", base, id, tempEnd)
	f, err := in.create(temp, os.O_WRONLY)
	if err != nil {
		return "", err
	}
	name := in.join(temp)
	_, err = in.r.write(name, data, f.Write)
	if err == nil {
		_, err = in.r.chmod(f, name, mode)
	}
	if err == nil {
		err = in.r.do(OpSync, name, f.Sync)
	}
	if cerr := in.r.closeFile(f, name); err == nil {
		err = cerr
	}
	if err != nil {
		return "", also(err, in.discard(temp))
	}
	return temp, nil
}

// discard removes our own temporary file after a failure.
func (in folder) discard(temp string) error {
	absent, err := in.missing(temp)
	if err != nil || absent {
		return err
	}
	return in.remove(temp)
}

// chmod changes the mode where the file system has modes; changed says whether it has.
func (r *Root) chmod(f *os.File, name string, mode fs.FileMode) (changed bool, err error) {
	err = r.do(OpChmod, name, func() error { return f.Chmod(mode) })
	if lacksModes(err) {
		return false, nil
	}
	return err == nil, err
}

// closeFile closes f. A hook can make it fail, but the descriptor is given back in any case: it does not touch the disk.
func (r *Root) closeFile(f *os.File, name string) error {
	asked := r.ask(OpClose, name)
	err := f.Close()
	if asked != nil {
		err = asked
	}
	if err != nil {
		return wrap(string(OpClose), name, err)
	}
	return nil
}

const (
	tempEnd = ".tmp"
	tempHex = 16
)

// isTemp recognises the temporary names of base, or with an empty base those of any file.
func isTemp(name, base string) bool {
	rest, ok := strings.CutSuffix(name, tempEnd)
	if !ok || len(rest) <= tempHex+1 {
		return false
	}
	owner, id := rest[:len(rest)-tempHex-1], rest[len(rest)-tempHex:]
	if rest[len(owner)] != '.' || base != "" && owner != base {
		return false
	}
	_, err := hex.DecodeString(id)
	return err == nil && id == strings.ToLower(id)
}

// Sweep removes the temporary files that crashed writers left in a folder, and returns their names. The caller keeps
// other writers of that folder away (Lock): a temporary file may be one that is being written.
func (r *Root) Sweep(name string) (removed []string, err error) {
	in, err := r.walk(name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	removed, err = in.sweep("")
	if err == nil && len(removed) > 0 {
		err = in.sync()
	}
	if err != nil {
		return nil, err
	}
	return removed, nil
}

// sweep removes the temporary files of base, or with an empty base of every file. The folder is not synced.
func (in folder) sweep(base string) (removed []string, err error) {
	f, err := in.dir.Open(".")
	if err != nil {
		return nil, wrap("list folder", in.path, err)
	}
	defer release(f)
	var stale []string // first the list: removing while reading may skip entries
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			if isTemp(name, base) {
				stale = append(stale, name)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, wrap("list folder", in.path, err)
		}
	}
	for _, name := range stale {
		info, err := in.dir.Lstat(name)
		if err == nil && !info.Mode().IsRegular() {
			err = ErrNotRegular
		}
		if err != nil {
			return nil, wrap("sweep", in.join(name), err)
		}
		if err := in.remove(name); err != nil {
			return nil, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}
