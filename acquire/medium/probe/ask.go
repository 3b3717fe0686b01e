package probe

import (
	"errors"
	"fmt"
	"slices"
)

// Commander sends commands to one drive. It is used from one goroutine.
type Commander interface {
	// SCSI sends a command that reads at most len(data) bytes into data, or moves no data if data is nil. It waits a
	// limited time for the answer. An error says that there was none; one that ends every hope of an answer wraps
	// ErrNoAnswer.
	SCSI(cdb, data []byte) (Answer, error)
	// NVMeAdmin is the same for an admin command of NVMe. Status is that of the completion, without the phase bit; 0 is success.
	NVMeAdmin(cmd NVMeCommand, data []byte) (status uint16, err error)
}

// Answer is what came back from a SCSI command.
type Answer struct {
	Status byte   // of SAM: 0 good, 2 check condition
	Sense  []byte // as many bytes as came
	Bytes  int    // of data that came
}

// NVMeCommand is the part of an NVMe admin command that is not the same for all of those sent here.
type NVMeCommand struct {
	Opcode    byte
	Namespace uint32
	CDW10     uint32
}

// ErrNoAnswer says that a drive did not answer in time, or is gone. No other command is sent then.
var ErrNoAnswer = errors.New("the drive does not answer")

// The operation codes that are used.
const (
	opInquiry      = 0x12
	opModeSense    = 0x1a
	opATA          = 0x85 // ATA PASS-THROUGH (16)
	opServiceIn    = 0x9e
	readCapacity16 = 0x10 // service action of opServiceIn

	ataReadNativeMaxExt = 0x27
	ataNativeMaxExt     = 0x78 // ACCESSIBLE MAX ADDRESS CONFIGURATION; feature 0 is GET NATIVE MAX ADDRESS EXT, others set
	ataSMART            = 0xb0
	ataDCO              = 0xb1
	ataIdentify         = 0xec
	ataReadNativeMax    = 0xf8

	smartReadData     = 0xd0
	smartReturnStatus = 0xda
	dcoIdentify       = 0xc2

	nvmeGetLog   = 0x02
	nvmeIdentify = 0x06
)

// harmless is the list of all commands that may be sent: each reads, and changes nothing that the drive keeps. The
// operation codes of DCO, SMART and Accessible Max Address Configuration also stand for commands that set something, which
// differ in the feature register alone.
func harmless(cdb []byte) bool {
	switch {
	case len(cdb) == 6:
		return cdb[0] == opInquiry || cdb[0] == opModeSense
	case len(cdb) != 16:
		return false
	case cdb[0] == opServiceIn:
		return cdb[1] == readCapacity16
	case cdb[0] != opATA:
		return false
	}
	nonData, dataIn := cdb[1]>>1 == 3, cdb[1]>>1 == 4 && cdb[2]&0x08 != 0
	feature := int(cdb[3])<<8 | int(cdb[4])
	smartKey := cdb[10] == 0x4f && cdb[12] == 0xc2
	switch cdb[14] {
	case ataIdentify:
		return dataIn
	case ataReadNativeMax, ataReadNativeMaxExt:
		return nonData
	case ataNativeMaxExt:
		return nonData && feature == 0
	case ataDCO:
		return dataIn && feature == dcoIdentify
	case ataSMART:
		return smartKey && (dataIn && feature == smartReadData || nonData && feature == smartReturnStatus)
	}
	return false
}

// harmlessNVMe is harmless for NVMe: Identify in four forms, and the log page of health.
func harmlessNVMe(c NVMeCommand) bool {
	switch c.Opcode {
	case nvmeIdentify:
		return slices.Contains([]uint32{cnsNamespace, cnsController, cnsActive, cnsAllocated}, c.CDW10)
	case nvmeGetLog:
		return c.CDW10&0xff == logHealth
	}
	return false
}

// asker sends commands until one gets no answer.
type asker struct {
	commander Commander
	silent    error
}

// scsi sends one command. Of an error the command's name is a part.
func (a *asker) scsi(name string, cdb, data []byte) (Answer, error) {
	if !harmless(cdb) {
		return Answer{}, fmt.Errorf("%s is not sent: it is none of the harmless commands", name)
	}
	if a.silent != nil {
		return Answer{}, fmt.Errorf("%s was not sent, because of an earlier one: %w", name, a.silent)
	}
	answer, err := a.commander.SCSI(cdb, data)
	if err != nil {
		return Answer{}, a.failed(name, err)
	}
	answer.Bytes = max(0, min(answer.Bytes, len(data)))
	return answer, nil
}

// read sends a command that reads size bytes, and returns as many as came.
func (a *asker) read(name string, cdb []byte, size int) ([]byte, error) {
	data := make([]byte, size)
	answer, err := a.scsi(name, cdb, data)
	if err != nil {
		return nil, err
	}
	if err := answer.refusal(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data[:answer.Bytes], nil
}

func (a *asker) admin(name string, cmd NVMeCommand, size int) ([]byte, error) {
	if !harmlessNVMe(cmd) {
		return nil, fmt.Errorf("%s is not sent: it is none of the harmless commands", name)
	}
	if a.silent != nil {
		return nil, fmt.Errorf("%s was not sent, because of an earlier one: %w", name, a.silent)
	}
	data := make([]byte, size)
	status, err := a.commander.NVMeAdmin(cmd, data)
	if err != nil {
		return nil, a.failed(name, err)
	}
	if status != 0 {
		return nil, fmt.Errorf("%s: the drive refuses it: %s", name, nvmeStatus(status))
	}
	return data, nil
}

func (a *asker) failed(name string, err error) error {
	err = fmt.Errorf("%s: %w", name, err)
	if errors.Is(err, ErrNoAnswer) {
		a.silent = err
	}
	return err
}
