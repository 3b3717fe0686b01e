//go:build pkcs11 && cgo

package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// p256 is the DER of the object identifier of the curve, as CKA_EC_PARAMS has it.
var p256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// maxObjects is how many objects are asked for; more than one is an error anyway.
const maxObjects = 16

func (k *key) objects(class uint, more ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	template := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}, more...)
	if err := k.module.FindObjectsInit(k.session, template); err != nil {
		return nil, said(err)
	}
	found, _, err := k.module.FindObjects(k.session, maxObjects)
	if ferr := k.module.FindObjectsFinal(k.session); err == nil {
		err = ferr
	}
	if err != nil {
		return nil, said(err)
	}
	return found, nil
}

func (k *key) attribute(o pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	a, err := k.module.GetAttributeValue(k.session, o, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, said(err)
	}
	if len(a) != 1 {
		return nil, fmt.Errorf("the token gave %d attributes for one", len(a))
	}
	return a[0].Value, nil
}

// lacks reports whether attribute failed because the object has no attribute of that kind.
func lacks(err error) bool {
	var code pkcs11.Error
	return errors.As(err, &code) && uint(code) == pkcs11.CKR_ATTRIBUTE_TYPE_INVALID
}

// findPrivate finds the one private key that fits.
func (k *key) findPrivate(u URI) (pkcs11.ObjectHandle, error) {
	var want []*pkcs11.Attribute
	if u.Object != "" {
		want = append(want, pkcs11.NewAttribute(pkcs11.CKA_LABEL, u.Object))
	}
	if u.ID != nil {
		want = append(want, pkcs11.NewAttribute(pkcs11.CKA_ID, u.ID))
	}
	found, err := k.objects(pkcs11.CKO_PRIVATE_KEY, want...)
	if err != nil {
		return 0, err
	}
	switch {
	case len(found) == 0:
		return 0, fmt.Errorf("%w: none fits %q", ErrNoKey, u.String())
	case len(found) > 1:
		return 0, fmt.Errorf("%w: %d keys fit %q: add id=BYTES to the URI", ErrSeveral, len(found), u.String())
	}
	return found[0], nil
}

// findPublic finds the public half of the private key, in a public key object beside it or else in a certificate. That the
// two are halves of one key shows with the first signature, which is checked.
func (k *key) findPublic() (*ecdsa.PublicKey, error) {
	id, err := k.attribute(k.private, pkcs11.CKA_ID)
	if err != nil {
		return nil, err
	}
	same := pkcs11.NewAttribute(pkcs11.CKA_ID, id)
	if len(id) == 0 {
		label, err := k.attribute(k.private, pkcs11.CKA_LABEL)
		if err != nil {
			return nil, err
		}
		same = pkcs11.NewAttribute(pkcs11.CKA_LABEL, label)
	}
	found, err := k.objects(pkcs11.CKO_PUBLIC_KEY, same)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("%w: %d public keys beside the private one", ErrSeveral, len(found))
	}
	if len(found) == 1 {
		return k.publicKey(found[0])
	}
	if found, err = k.objects(pkcs11.CKO_CERTIFICATE, same); err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: its public half is missing: beside it lie no public key and %d certificates", ErrNoKey, len(found))
	}
	return k.certified(found[0])
}

func (k *key) publicKey(o pkcs11.ObjectHandle) (*ecdsa.PublicKey, error) {
	curve, err := k.attribute(o, pkcs11.CKA_EC_PARAMS)
	if err != nil && !lacks(err) {
		return nil, err
	}
	if !bytes.Equal(curve, p256) {
		return nil, ErrAlgorithm // a key that is not of an elliptic curve has no such attribute
	}
	point, err := k.attribute(o, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	// The point is an octet string in DER; some tokens leave the wrapping away.
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	return public, nil
}

func (k *key) certified(o pkcs11.ObjectHandle) (*ecdsa.PublicKey, error) {
	der, err := k.attribute(o, pkcs11.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the certificate in the token: %w", ErrNoKey, err)
	}
	public, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, ErrAlgorithm
	}
	return public, nil
}
