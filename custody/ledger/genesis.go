package ledger

import (
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ReadGenesis reads leaf 0 of a log folder and checks it as ParseGenesis does. That it stands in the log is proven by an
// open Log, whose Leaf(0) is then leaf.
func ReadGenesis(fsys fs.FS) (envelope []byte, g *record.CaseOpened, leaf record.LeafHash, err error) {
	return readGenesis(newFolder(fsys))
}

func readGenesis(dir *folder) (envelope []byte, g *record.CaseOpened, leaf record.LeafHash, err error) {
	name := layout.StatementFile(0)
	envelope, err = dir.readFile(name, layout.MaxEnvelope)
	if err != nil {
		return nil, nil, record.LeafHash{}, err
	}
	g, leaf, err = ParseGenesis(envelope)
	if err != nil {
		return nil, nil, record.LeafHash{}, fmt.Errorf("%q: %w", name, err)
	}
	return envelope, g, leaf, nil
}

// ParseGenesis reads the envelope of a genesis and requires that one of its own signers, a person, signed it. That proves
// no more than that it is whole: it is to be trusted only because its leaf hash came by another channel.
func ParseGenesis(envelope []byte) (*record.CaseOpened, record.LeafHash, error) {
	g, entry, err := openGenesis(envelope)
	if err != nil {
		return nil, record.LeafHash{}, err
	}
	return g, LeafHash(entry), nil
}

func openGenesis(envelope []byte) (*record.CaseOpened, []byte, error) {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return nil, nil, err
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return nil, nil, err
	}
	g, ok := p.(*record.CaseOpened)
	if !ok {
		return nil, nil, fmt.Errorf("%w: a statement of type %q where the genesis should be", record.ErrMalformed, p.Type())
	}
	keys, err := GenesisKeys(g)
	if err != nil {
		return nil, nil, err
	}
	by, key, err := keys.Signer(e.KeyID, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", record.ErrMalformed, err)
	}
	if by.Kind != record.KindPerson {
		return nil, nil, fmt.Errorf("%w: the genesis is signed by a %s", record.ErrMalformed, by.Kind)
	}
	if err := e.Verify(key); err != nil {
		return nil, nil, err
	}
	entry, err := e.Entry(key)
	if err != nil {
		return nil, nil, err
	}
	return g, entry, nil
}
