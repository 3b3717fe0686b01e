package durable

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// publish gives old the name new, which must not exist; both are relative to in. Nothing can be overwritten, also not
// when two processes publish the same name at once. The ways, each tried only when the file system lacks the one before:
//
//	renameat2(old, new, RENAME_NOREPLACE)          Linux: ext4, XFS, Btrfs, tmpfs, exFAT, vfat, NTFS3
//	linkat(old, new), unlinkat(old)                NFS, NTFS through FUSE, macOS, Windows
//	openat(new, O_CREAT|O_EXCL), renameat(old, new)   exFAT through FUSE: an empty file claims the name first
//
// A folder goes by renameat alone in place of the second and third: it replaces no file, and no folder but an empty
// one, and that only if somebody makes it in the moment after the look. Folders are not synced here. A crash leaves either
// old or new; on the second way it may leave both (one file), on the third old and an empty new.
func (in folder) publish(old, new string, isDir bool) error {
	name := in.join(new)
	err := in.r.do(OpRenameEx, name, func() error { return renameNoReplace(in.dir, old, new) })
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if isDir {
		if err := in.refuse(new); err != nil {
			return err
		}
		return in.rename(old, new)
	}
	err = in.r.do(OpLink, name, func() error { return in.dir.Link(old, new) })
	if err == nil {
		return in.remove(old)
	}
	if !lacksLinks(err) {
		return err
	}
	if err := in.claim(new); err != nil {
		return err
	}
	if err := in.rename(old, new); err != nil {
		return also(err, in.remove(new))
	}
	return nil
}

// lacksLinks recognises a file system without hard links. 1 is EPERM, and on Windows ERROR_INVALID_FUNCTION, which
// FAT and exFAT give there.
func lacksLinks(err error) bool {
	return errors.Is(err, syscall.Errno(1)) || errors.Is(err, errors.ErrUnsupported)
}

// claim takes the name new exclusively, by an empty file that rename then replaces.
func (in folder) claim(new string) error {
	f, err := in.create(new, os.O_WRONLY)
	if err != nil {
		return err
	}
	if err := in.r.closeFile(f, in.join(new)); err != nil {
		return also(err, in.remove(new))
	}
	return nil
}

// refuse returns fs.ErrExist when base exists.
func (in folder) refuse(base string) error {
	absent, err := in.missing(base)
	if err == nil && !absent {
		err = wrap(string(OpCreate), in.join(base), fs.ErrExist)
	}
	return err
}

func (in folder) rename(old, new string) error {
	return in.r.do(OpRename, in.join(new), func() error { return in.dir.Rename(old, new) })
}

func (in folder) remove(base string) error {
	return in.r.do(OpRemove, in.join(base), func() error { return in.dir.Remove(base) })
}

func (in folder) mkdir(base string) error {
	return in.r.do(OpMkdir, in.join(base), func() error { return in.dir.Mkdir(base, 0o755) })
}

// Rename gives a regular file or a folder a new name, in the same or another folder, and refuses with fs.ErrExist when
// the new name exists.
//
// System calls: those of publish, fsync(folder of new), fsync(folder of old). On success the new name is durable.
// After an error the thing has its old name, its new name, or, on a file system without renameat2, both; its content is
// untouched. On one without links too, a crash can leave an empty file under the new name.
func (r *Root) Rename(oldName, newName string) error {
	from, oldBase, err := r.enter(oldName)
	if err != nil {
		return err
	}
	defer from.close()
	to, _, err := r.enter(newName)
	if err != nil {
		return err
	}
	defer to.close()
	info, err := from.dir.Lstat(oldBase)
	if err != nil {
		return wrap("rename", r.join(oldName), err)
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return wrap("rename", r.join(oldName), ErrNotRegular)
	}
	top := folder{r: r, dir: r.dir, borrowed: true, path: r.prefix}
	if err := top.publish(oldName, newName, info.IsDir()); err != nil {
		return err
	}
	if err := to.sync(); err != nil {
		return err
	}
	if path.Dir(oldName) == path.Dir(newName) {
		return nil
	}
	return from.sync()
}
