package durable

import "os"

// AppendFile is a file that only grows, such as a journal. After the first failed call every later one returns that
// failure, because nobody knows what the end of the file holds. It is not safe for concurrent use.
type AppendFile struct {
	file *File
}

// OpenAppend opens a file that only grows, or makes it; a sealed one is ErrSealed.
//
// System calls: openat(O_APPEND, with O_CREAT|O_EXCL and 0600 if it is missing), fsync, fsync(folder): what a killed
// writer left, and the caller now reads, is durable before anything is added. The caller ends with Seal or Close.
func (r *Root) OpenAppend(name string) (*AppendFile, error) {
	in, base, err := r.enterKeep(name)
	if err != nil {
		return nil, err
	}
	f, err := in.openOrCreate(base, os.O_RDWR|os.O_APPEND)
	if err != nil {
		in.close()
		return nil, err
	}
	file, err := newFile(in, base, f, in.persist(base, f))
	if err != nil {
		return nil, err
	}
	return &AppendFile{file: file}, nil
}

// Append adds p and syncs. After an error any first part of p may stand at the end of the file, durable or not: a
// reader must recognise an unfinished tail.
func (a *AppendFile) Append(p []byte) error {
	if _, err := a.file.Write(p); err != nil {
		return err
	}
	return a.file.Sync()
}

// ReadAt reads what was appended.
func (a *AppendFile) ReadAt(p []byte, off int64) (int, error) { return a.file.ReadAt(p, off) }

// Size returns the current length in bytes.
func (a *AppendFile) Size() (int64, error) { return a.file.Size() }

// Seal freezes the file, as File.Seal does.
func (a *AppendFile) Seal() error { return a.file.Seal() }

// Close closes the file, which can be opened and continued later. After Seal, or a second time, it does nothing.
func (a *AppendFile) Close() error { return a.file.Abort() }
