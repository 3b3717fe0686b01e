// Package kms signs with keys that a key service holds, in a cloud or in a house of one's own.
//
// Start with [Check], which says whether a URI names such a key, and [Open]. The service is spoken to by another program,
// named sigstore-kms-<scheme> and found on the PATH, in the protocol of sigstore's plugins; those in the folder plugin are made of
// sigstore's own providers. So no cloud's software runs in the program that reads evidence; docs/design/kms.md has the reasons.
//
// The promise: only the schemes of [Schemes] start a program, so a URI never chooses which; what the program gives is bounded
// in size and time; it is given nothing that is secret. A key service shows nobody else that it holds a key, so
// nothing here makes a key worth more to a verifier than one in a file.
//
// It needs the build tag kms. Without it URIs are checked all the same, and Open is ErrNotBuilt.
package kms

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrNotBuilt says that this program was built without the tag.
	ErrNotBuilt = errors.New("this exhibit was built without key services (build tag kms)")
	// ErrURI refuses a URI that names no key of a key service.
	ErrURI = errors.New("not the URI of a key in a key service")
	// ErrNoPlugin says that the program that speaks to the service is not there.
	ErrNoPlugin = errors.New("the program that speaks to the key service is not there")
	// ErrService says that the service, or the program that speaks to it, did not do what it was asked to.
	ErrService = errors.New("the key service did not do it")
)

// Schemes are those of the key services that are known: what stands before "://" in a URI.
var Schemes = []string{"awskms", "azurekms", "gcpkms", "hashivault"}

// maxURI bounds a URI, in bytes.
const maxURI = 2048

// Check requires the URI of a key in a known service, in the form that sigstore's providers have for it; else ErrURI. What stands
// behind the scheme is for the service to understand.
func Check(uri string) error {
	scheme, rest, ok := strings.Cut(uri, "://")
	switch {
	case !ok || !slices.Contains(Schemes, scheme):
		return fmt.Errorf("%w: it does not begin with one of %s://", ErrURI, strings.Join(Schemes, "://, "))
	case rest == "" || len(uri) > maxURI || strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%w: behind %s:// stands nothing, too much, or what is not printable", ErrURI, scheme)
	case strings.Contains(rest, "@"):
		return fmt.Errorf("%w: user names and passwords do not belong into it", ErrURI)
	}
	return nil
}
