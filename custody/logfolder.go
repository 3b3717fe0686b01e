package custody

import "github.com/exhibit-forensics/exhibit/custody/ledger"

// Log opens the home log under its newest checkpoint, which is verified with the keys of the log's own genesis.
func (c *Case) Log() (*ledger.Log, error) { return c.openLog() }
