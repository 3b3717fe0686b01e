//go:build !unix

package durable

import "os"

const openNoWait = 0

// syncFolder does nothing: Windows has no sync for folders (NTFS orders its own journal), and js/wasm has no disk.
func syncFolder(*os.File) error { return nil }
