package record

// Authority is the legal ground of an event.
type Authority struct {
	Issuer Fact[Personal] `json:"issuer"` // who gave it: a court, an office, a person
	Kind   Fact[string]   `json:"kind"`   // one of AuthorityKinds
	Number Fact[Personal] `json:"number"` // its number, or the words by which it is cited
}

// AuthorityKinds are the kinds of legal ground, sorted.
var AuthorityKinds = []string{"consent", "court-order", "mutual-assistance", "other", "production-order", "prosecutor-order", "statute", "warrant"}

// NoAuthority is a ground of which nothing is known, for that reason.
func NoAuthority(reason string) Authority {
	return Authority{Unknown[Personal](reason), Unknown[string](reason), Unknown[Personal](reason)}
}

func (a *Authority) validate() error { return checkWord("authority.kind", a.Kind, AuthorityKinds) }
