//go:build !amd64

package vectors

// Clean does nothing here: only x86 has the trouble.
func Clean() {}
