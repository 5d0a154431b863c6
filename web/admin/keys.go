package admin

import (
	"context"
	"net/http"
	"time"

	"chancery/authz"
)

// Key is a signing key as admins see it. No operation returns a private half.
type Key struct {
	ID            string    `json:"kid" example:"nG2BH0ouvNd5IGW4C1ZMXPmBTsy8kc0n6vXjcYnJbUw"`
	Algorithm     string    `json:"alg" enum:"RS256,EdDSA,ES256" example:"RS256"`
	State         string    `json:"state" enum:"pending,active,retired,compromised,gone" example:"active"`
	CreatedAt     time.Time `json:"created_at"`
	ActivateAt    time.Time `json:"activate_at" doc:"When it begins to sign."`
	RetireAt      time.Time `json:"retire_at,omitzero" doc:"When its successor takes over."`
	RemoveAt      time.Time `json:"remove_at,omitzero" doc:"When it leaves the JWKS."`
	CompromisedAt time.Time `json:"compromised_at,omitzero"`
}

// NewKey returns the key as admins see it.
func NewKey(k authz.SigningKey) Key { return Key(k) }

type keysOutput struct {
	Body struct {
		Items []Key `json:"items"`
	}
}

type keyOutput struct {
	Body struct {
		// Key is the one that signs next, or in place of the compromised one.
		Key *Key `json:"key,omitempty" doc:"The key that takes over. Absent when none has to."`
	}
}

func newKeyOutput(k authz.SigningKey) *keyOutput {
	out := &keyOutput{}
	if k.ID != "" {
		view := NewKey(k)
		out.Body.Key = &view
	}
	return out
}

type rotateInput struct {
	Body struct {
		Algorithm string `json:"alg" enum:"RS256,EdDSA,ES256" example:"EdDSA"`
	}
}

type keyPath struct {
	ID string `path:"kid" maxLength:"100" example:"nG2BH0ouvNd5IGW4C1ZMXPmBTsy8kc0n6vXjcYnJbUw"`
}

func (e *Endpoints) mountKeys() {
	const tagName = "Keys"
	register(e, operation{id: "listKeys", method: http.MethodGet, path: "/keys", tag: tagName, summary: "List the signing keys, oldest first"},
		func(ctx context.Context, _ authz.Administrator, _ *none) (*keysOutput, error) {
			keys, err := e.Administration.Keys.Keys(ctx)
			if err != nil {
				return nil, err
			}
			out := &keysOutput{}
			out.Body.Items = []Key{}
			for _, k := range keys {
				out.Body.Items = append(out.Body.Items, NewKey(k))
			}
			return out, nil
		})
	register(e, operation{
		id: "rotateKey", method: http.MethodPost, path: "/keys/rotate", tag: tagName, summary: "Start the change to another key",
		description: "The key is published at once and signs when every verifier can know it.",
	}, func(ctx context.Context, admin authz.Administrator, in *rotateInput) (*keyOutput, error) {
		k, err := e.Administration.Keys.Rotate(ctx, in.Body.Algorithm, admin)
		if err != nil {
			return nil, err
		}
		return newKeyOutput(k), nil
	})
	register(e, operation{
		id: "compromiseKey", method: http.MethodPost, path: "/keys/{kid}/compromise", tag: tagName, errors: []int{http.StatusNotFound},
		summary:     "Take a key out of use at once",
		description: "For a private half that somebody else has. It leaves the JWKS, its private half is destroyed, and every access token that it signed is refused as soon as verifiers have fetched the JWKS again. Sessions stay.",
	}, func(ctx context.Context, admin authz.Administrator, in *keyPath) (*keyOutput, error) {
		k, err := e.Administration.Keys.Compromise(ctx, in.ID, admin)
		if err != nil {
			return nil, err
		}
		return newKeyOutput(k), nil
	})
}
