package record

import "fmt"

// Medium is the thing that was read.
type Medium struct {
	Access              Access          `json:"access"`
	Container           Fact[Container] `json:"container"`   // of kind MediumImage
	Hardware            Fact[Hardware]  `json:"hardware"`    // of a block device, as it was before the first byte
	HealthAfter         Fact[Health]    `json:"healthAfter"` // after the last
	Kind                string          `json:"kind"`
	LogicalSectorBytes  Fact[int64]     `json:"logicalSectorBytes"`
	Name                Fact[string]    `json:"name"` // the kernel's name of a device, "sdb"
	PhysicalSectorBytes Fact[int64]     `json:"physicalSectorBytes"`
	ReadOnly            Fact[bool]      `json:"readOnly"` // the kernel's flag while it was read; not a write blocker
	SizeBytes           int64           `json:"sizeBytes"`
}

// Access is how a medium was opened, and what the kernel was told for the time of reading.
type Access struct {
	Exclusive            bool        `json:"exclusive"` // held, so that nothing could be mounted
	Live                 bool        `json:"live"`      // it may have been written to while it was read
	Notes                []string    `json:"notes"`     // what could not be set, and what else was noticed
	ReadOnlyAfter        Fact[bool]  `json:"readOnlyAfter"`
	ReadOnlyBefore       Fact[bool]  `json:"readOnlyBefore"`
	TimeoutBeforeSeconds Fact[int64] `json:"timeoutBeforeSeconds"` // how long the kernel waits for a command
	TimeoutSeconds       Fact[int64] `json:"timeoutSeconds"`       // while it was read
}

// MaxNotes bounds Access.Notes.
const MaxNotes = 100

// maxNoteBytes bounds each of them.
const maxNoteBytes = 500

// UnknownAccess has only unknown facts, for that reason.
func UnknownAccess(reason string) Access {
	flag, number := Unknown[bool](reason), Unknown[int64](reason)
	return Access{ReadOnlyAfter: flag, ReadOnlyBefore: flag, TimeoutBeforeSeconds: number, TimeoutSeconds: number}
}

// Hidden tells whether sectors of the drive stand outside of what was read: one of the two is known, or neither.
func (m *Medium) Hidden() Fact[bool] {
	h, ok := m.Hardware.Get()
	if !ok {
		return Unknown[bool](m.Hardware.Reason())
	}
	return h.Hidden()
}

// Validate reports the first thing wrong with m.
func (m *Medium) Validate() error {
	if err := checkCount("medium size", m.SizeBytes); err != nil {
		return err
	}
	for _, s := range []Fact[int64]{m.LogicalSectorBytes, m.PhysicalSectorBytes} {
		if v, ok := s.Get(); ok && (v < 1 || v > 1<<24) {
			return fmt.Errorf("%w: sector of %d bytes", ErrMalformed, v)
		}
	}
	c := &factCheck{}
	c.texts([]named[string]{{"medium name", m.Name}})
	if c.err != nil {
		return c.err
	}
	if h, ok := m.Hardware.Get(); ok {
		if err := h.Validate(); err != nil {
			return err
		}
	}
	if h, ok := m.HealthAfter.Get(); ok {
		if err := h.Validate(); err != nil {
			return err
		}
	}
	return m.Access.validate()
}

func (a *Access) validate() error {
	if len(a.Notes) > MaxNotes {
		return fmt.Errorf("%w: %d notes on the medium", ErrMalformed, len(a.Notes))
	}
	for _, n := range a.Notes {
		if len(n) > maxNoteBytes {
			return fmt.Errorf("%w: a note of %d bytes", ErrMalformed, len(n))
		}
		if err := checkLine("note on the medium", n); err != nil {
			return err
		}
	}
	for _, f := range []Fact[int64]{a.TimeoutBeforeSeconds, a.TimeoutSeconds} {
		if v, ok := f.Get(); ok {
			if err := checkCount("time-out of the medium", v); err != nil {
				return err
			}
		}
	}
	return nil
}
