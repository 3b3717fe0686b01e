//go:build !linux

package acquire

import "os"

func lockFolder(*os.File) bool { return true }
