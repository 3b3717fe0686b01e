package durable

import "errors"

// Op names a system call that changes the disk, or a promise about it.
type Op string

// The calls a Hook is asked about.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpChmod    Op = "make read-only" // every change of mode
	OpClose    Op = "close"
	OpSyncDir  Op = "sync folder"
	OpRenameEx Op = "rename without replacing" // renameat2 with RENAME_NOREPLACE
	OpLink     Op = "link"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "create folder"
)

// Hook is asked before every call that changes the disk, with the name relative to the opened folder (of an unfinished
// file: its temporary name). If it returns an error the call is not made and this error is its result. It may be
// called from several goroutines.
type Hook func(op Op, name string) error

// HalfWrite is an error that a Hook returns for OpWrite, to let the first half of the bytes reach the file before the
// write fails with Err, as a full disk or a kill does.
type HalfWrite struct{ Err error }

func (e *HalfWrite) Error() string { return e.Err.Error() }

// Unwrap returns the error the write fails with.
func (e *HalfWrite) Unwrap() error { return e.Err }

// do makes one call that changes the disk, unless the hook forbids it. name is relative to the folder opened first.
func (r *Root) do(op Op, name string, call func() error) error {
	err := r.ask(op, name)
	if err == nil {
		err = call()
	}
	if err != nil {
		return wrap(string(op), name, err)
	}
	return nil
}

func (r *Root) ask(op Op, name string) error {
	if r.hook == nil {
		return nil
	}
	return r.hook(op, name)
}

// write makes one write call, or the half of it that a HalfWrite asks for.
func (r *Root) write(name string, p []byte, call func([]byte) (int, error)) (int, error) {
	err := r.ask(OpWrite, name)
	if err == nil {
		n, err := call(p)
		if err != nil {
			return n, wrap(string(OpWrite), name, err)
		}
		return n, nil
	}
	n := 0
	if half, ok := errors.AsType[*HalfWrite](err); ok {
		// Its own error cannot matter: the write fails in any case.
		n, _ = call(p[:len(p)/2])
		err = half.Err
	}
	return n, wrap(string(OpWrite), name, err)
}
