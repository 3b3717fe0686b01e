//go:build !linux

package medium

import (
	"errors"
	"fmt"
	"os"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

var errOnlyLinux = fmt.Errorf("reading a medium works only on Linux: %w", errors.ErrUnsupported)

func openDisk(string, Options) (source, string, error) { return nil, "", errOnlyLinux }

func openTarget(string) (writer, source, string, error) {
	return nil, nil, "", fmt.Errorf("writing to a device works only on Linux: %w", errors.ErrUnsupported)
}

// Evict does nothing here.
func Evict(*os.File) {}

// Resolve works only on Linux.
func Resolve(string) (string, error) { return "", errOnlyLinux }

// FromFile works only on Linux.
func FromFile(*os.File) (*Medium, error) { return nil, errOnlyLinux }

// WholeDisk is false: there is no medium here but a stream.
func (m *Medium) WholeDisk() bool { return false }

// PastCache is false: there is no medium here but a stream.
func (m *Medium) PastCache() bool { return false }

// DescribeDestination knows nothing here.
func DescribeDestination(string) record.Destination {
	return record.Destination{
		Device:     record.Unknown[string](errOnlyLinux.Error()),
		FileSystem: record.Unknown[string](errOnlyLinux.Error()),
	}
}
