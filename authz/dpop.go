package authz

import "chancery/authz/claims"

// Possession is how a request proves that it comes from who holds a key
// (RFC 9449).
type Possession struct {
	// Proof is that of the DPoP header, "" for none.
	Proof Secret
	// Method and URI are those of the request, by our own address.
	Method, URI string
}

// ProofVerifier checks DPoP proofs.
type ProofVerifier interface {
	// Prove returns the RFC 7638 thumbprint of the key that has signed the proof,
	// if it is for a request with the method to the URI at this moment and,
	// unless that is empty, for the access token. A proof is good once on each node.
	// Any error means that it is not valid.
	Prove(proof, method, uri, accessToken string) (thumbprint string, err error)
}

// Presented is an access token as a request has brought it.
type Presented struct {
	Token Secret
	Possession
}

var (
	errProof        = fail(InvalidDPoPProof, "The DPoP proof is missing, or not one for this request.")
	errOtherKey     = fail(InvalidDPoPProof, "The grant is bound to another key.")
	errTokenUnbound = fail(InvalidToken, "The access token is bound to no key.")
	errTokenProof   = fail(InvalidToken, "The DPoP proof of the access token is missing, or not one for this request.")
)

// thumbprint returns that of the key which a request proves to hold, "" for one
// that proves none.
func (s *Service) thumbprint(p Possession, accessToken Secret) (string, error) {
	if p.Proof == "" {
		return "", nil
	}
	thumbprint, err := s.Proofs.Prove(p.Proof.Reveal(), p.Method, p.URI, accessToken.Reveal())
	if err != nil || thumbprint == "" {
		return "", errProof
	}
	return thumbprint, nil
}

// prove checks the proof of a token request. A client that is registered for
// bound tokens gets no others.
func (s *Service) prove(client Client, p Possession) (string, error) {
	thumbprint, err := s.thumbprint(p, "")
	if err == nil && thumbprint == "" && client.DPoPBound {
		err = errProof
	}
	return thumbprint, err
}

// possessed checks that an access token came as it must: one that is bound to a
// key with a proof of that key, any other without (RFC 9449 section 7).
func (s *Service) possessed(token claims.AccessToken, p Presented) error {
	if token.Confirmation == nil {
		if p.Proof != "" {
			return errTokenUnbound
		}
		return nil
	}
	thumbprint, err := s.thumbprint(p.Possession, p.Token)
	if err != nil || thumbprint != token.Confirmation.Thumbprint {
		return errTokenProof
	}
	return nil
}

// confirmation returns the claim that binds a token to a key, nil for none.
func confirmation(thumbprint string) *claims.Confirmation {
	if thumbprint == "" {
		return nil
	}
	return &claims.Confirmation{Thumbprint: thumbprint}
}
