package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const timeFormat = "2006-01-02T15:04:05Z"

// version is stamped by the Makefile.
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// now is the station's clock, with what the kernel says of it.
func now() record.Time { return record.NewTime(time.Now(), record.ClockSystem, clockSynchronised()) }

// thisTool describes the running program, with the digest of its file.
func thisTool() record.Tool {
	t := record.Tool{Name: "exhibit", Version: versionText()}
	d, err := programDigest()
	if err != nil {
		t.Build = record.Unknown[record.Digest](clean(err.Error()))
		return t
	}
	t.Build = record.Known(d)
	return t
}

func programDigest() (record.Digest, error) {
	name, err := os.Executable()
	if err != nil {
		return record.Digest{}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return record.Digest{}, fmt.Errorf("read the program file: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only: a failed close loses nothing
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return record.Digest{}, fmt.Errorf("read the program file: %w", err)
	}
	return record.SHA256Digest([32]byte(h.Sum(nil))), nil
}

func thisHost() record.Host {
	return record.Host{Architecture: runtime.GOARCH, Kernel: kernelRelease(), OS: runtime.GOOS, Processors: int64(runtime.NumCPU())}
}

// hostName returns the station's name, or an empty text when the system does not say.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return clean(name)
}
