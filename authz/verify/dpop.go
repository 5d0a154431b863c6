package verify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Limits of a DPoP proof.
const (
	maxProofSize = 8 << 10
	maxProofID   = 256
	// proofLife is how old a proof may be, beside the leeway for clocks.
	proofLife = time.Minute
	// maxProofs bounds how many proofs are remembered.
	maxProofs = 100_000
)

// proofType is the "typ" header of a DPoP proof (RFC 9449 section 4.2).
const proofType = "dpop+jwt"

// Proof is a DPoP proof (RFC 9449 section 4.2) that the key which it holds has
// signed. What it proves depends on the request that it comes with.
type Proof struct {
	// Method and URI are those of the request (htm, htu).
	Method, URI string
	ID          string
	IssuedAt    time.Time
	// AccessTokenHash is that of the access token that it comes with (ath).
	AccessTokenHash string
	// KeyThumbprint is the RFC 7638 thumbprint of the key, by which a token is
	// bound to it (cnf.jkt, RFC 9449 section 6.1).
	KeyThumbprint string
}

// ParseProof reads a DPoP proof and checks its signature by the key that it
// holds, which must be public and good for one of Algorithms. The error is
// ErrInvalidProof.
func ParseProof(text string) (Proof, error) {
	j, err := parseJWS(text, maxProofSize)
	if err != nil || !j.hasType(proofType) {
		return Proof{}, ErrInvalidProof
	}
	head, _, _ := strings.Cut(text, ".")
	jwk, err := proofKey(head)
	if err != nil {
		return Proof{}, ErrInvalidProof
	}
	if j.verify(&key{alg: algorithmOf(jwk), public: jwk.Key}) != nil {
		return Proof{}, ErrInvalidProof
	}
	p := Proof{}
	err = readObject(j.payload, func(name string, value []byte) error {
		if !p.claim(name, value) {
			return ErrInvalidProof
		}
		return nil
	})
	if err != nil || p.Method == "" || p.URI == "" || p.ID == "" || len(p.ID) > maxProofID || p.IssuedAt.IsZero() {
		return Proof{}, ErrInvalidProof
	}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return Proof{}, ErrInvalidProof
	}
	p.KeyThumbprint = base64.RawURLEncoding.EncodeToString(thumbprint)
	return p, nil
}

// proofKey reads the key in the header of a proof.
func proofKey(head string) (jose.JSONWebKey, error) {
	var jwk jose.JSONWebKey
	header, err := decode(head)
	if err != nil {
		return jwk, err
	}
	found := false
	err = readObject(header, func(name string, value []byte) error {
		if name != "jwk" {
			return nil
		}
		found = true
		return jwk.UnmarshalJSON(value)
	})
	if err == nil && (!found || !jwk.IsPublic() || algorithmOf(jwk) == "") {
		err = ErrInvalidProof
	}
	return jwk, err
}

func (p *Proof) claim(name string, value []byte) (ok bool) {
	switch name {
	case "htm":
		p.Method, ok = nonEmpty(value)
	case "htu":
		p.URI, ok = nonEmpty(value)
	case "jti":
		p.ID, ok = nonEmpty(value)
	case "iat":
		p.IssuedAt, ok = asTime(value)
	case "ath":
		p.AccessTokenHash, ok = nonEmpty(value)
	default:
		ok = true
	}
	return ok
}

// Fits reports whether the proof is for a request with the method to the URI at
// now, for clocks that differ by the leeway at most. Of URIs, query and fragment
// do not count (RFC 9449 section 4.3).
func (p Proof) Fits(method, uri string, now time.Time, leeway time.Duration) bool {
	return p.Method == method && sameTarget(p.URI, uri) && !p.IssuedAt.After(now.Add(leeway)) && now.Before(p.IssuedAt.Add(proofLife+leeway))
}

func sameTarget(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil || first.User != nil {
		return false
	}
	second, err := url.Parse(b)
	if err != nil {
		return false
	}
	return strings.EqualFold(first.Scheme, second.Scheme) && origin(first) == origin(second) && path(first) == path(second)
}

// origin returns the host with the port that is meant.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func path(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.EscapedPath()
}

// IsFor reports whether the proof comes with that access token (RFC 9449
// section 7).
func (p Proof) IsFor(accessToken string) bool {
	sum := sha256.Sum256([]byte(accessToken))
	return subtle.ConstantTimeCompare([]byte(p.AccessTokenHash), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// Proofs remembers proofs for as long as they could be presented again. It is
// safe for concurrent use; each process remembers its own.
type Proofs struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]time.Time
	turned     time.Time
}

// Use reports whether the proof has not been used before, and remembers it. The
// times are those of Fits.
func (s *Proofs) Use(p Proof, now time.Time, leeway time.Duration) bool {
	id := sha256.Sum256([]byte(p.KeyThumbprint + "\x00" + p.ID))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || now.Sub(s.turned) > proofLife+2*leeway || len(s.young) >= maxProofs {
		s.young, s.old, s.turned = map[[sha256.Size]byte]time.Time{}, s.young, now
	}
	_, inYoung := s.young[id]
	_, inOld := s.old[id]
	s.young[id] = p.IssuedAt
	return !inYoung && !inOld
}

// VerifyBound is Verify for a token that is bound to a key of its client: the
// proof must be made with that key, for the token, and for a request with the
// method to the URI, and not have been used before on this verifier (RFC 9449
// section 7). The error may be ErrInvalidProof too. A token that is not bound is
// refused: it is not what its client takes it for.
func (v *Verifier) VerifyBound(ctx context.Context, token, proof, method, uri string) (*Token, error) {
	t, err := v.accept(ctx, token)
	if err != nil {
		return nil, err
	}
	if t.KeyThumbprint == "" {
		return nil, refuse(NotBound)
	}
	p, err := ParseProof(proof)
	if err != nil {
		return nil, err
	}
	now := v.now()
	if p.KeyThumbprint != t.KeyThumbprint || !p.IsFor(token) || !p.Fits(method, uri, now, v.leeway) || !v.proofs.Use(p, now, v.leeway) {
		return nil, ErrInvalidProof
	}
	return t, nil
}

// errTwoProofs is returned for a request with more than one proof.
var errTwoProofs = errors.Join(ErrInvalidProof, errors.New("want exactly one DPoP header"))

// boundRequest returns the access token and the proof of a request that brings
// them as RFC 9449 section 7.1 has it. bound is false for any other request.
func boundRequest(r *http.Request) (token, proof string, bound bool, err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", "", false, nil
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "DPoP") {
		return "", "", false, nil
	}
	proofs := r.Header.Values("DPoP")
	if len(proofs) != 1 {
		return "", "", true, errTwoProofs
	}
	return strings.Trim(token, " "), proofs[0], true, nil
}

// target returns the URI that a request's proof must name: below the origin
// that clients call, which the Host header does not tell behind a proxy.
func (v *Verifier) target(r *http.Request) string {
	base := v.origin
	if base == "" {
		base = "https://" + r.Host
	}
	return base + r.URL.EscapedPath()
}
