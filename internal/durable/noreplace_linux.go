package durable

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// renameNoReplace moves old to new, both inside root, and fails with EEXIST when new exists.
func renameNoReplace(root *os.Root, old, new string) error {
	from, err := root.Open(path.Dir(old))
	if err != nil {
		return err
	}
	defer release(from)
	to, err := root.Open(path.Dir(new))
	if err != nil {
		return err
	}
	defer release(to)
	return unix.Renameat2(int(from.Fd()), path.Base(old), int(to.Fd()), path.Base(new), unix.RENAME_NOREPLACE)
}
