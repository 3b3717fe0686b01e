//go:build !linux

package probe

import (
	"errors"
	"os"
)

var errSystem = errors.New("drives are asked on Linux only")

type file struct{}

func newCommander(int) Commander { return file{} }

// SCSI implements Commander.
func (file) SCSI([]byte, []byte) (Answer, error) { return Answer{}, errSystem }

// NVMeAdmin implements Commander.
func (file) NVMeAdmin(NVMeCommand, []byte) (uint16, error) { return 0, errSystem }

func openDevice(string, string) (*os.File, error) { return nil, errSystem }
