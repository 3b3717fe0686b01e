package record

import "fmt"

// Continuation says which log a new log of the case goes on from, because the old one cannot be appended to without the
// danger of signing against what was signed before.
type Continuation struct {
	Because    Personal    `json:"because"`    // in a person's words
	Checkpoint Digest      `json:"checkpoint"` // SHA-256 of the bytes of the old log's last checkpoint
	Counter    Fact[int64] `json:"counter"`    // what the old log's counter stood at
	Origin     string      `json:"origin"`     // of the old log
	Size       int64       `json:"size"`       // of that checkpoint
}

// Validate reports the first thing wrong with c.
func (c *Continuation) Validate() error {
	if c.Checkpoint.Algorithm() != SHA256 || !ValidOrigin(c.Origin) || c.Size < 1 {
		return fmt.Errorf("%w: the log that is continued is not named by origin, size and checkpoint", ErrMalformed)
	}
	if err := checkCount("size", c.Size); err != nil {
		return err
	}
	value, _ := c.Counter.Get()
	return checkCount("counter", value)
}
