package keys_test

import (
	"testing"
	"time"

	"chancery/keys"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	t0     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	policy = keys.Policy{RotationPeriod: 720 * time.Hour, PublishAhead: 24 * time.Hour, Margin: 11 * time.Minute, MaxTokenTTL: 15 * time.Minute}
)

func active(id string, algorithm keys.Algorithm, since time.Time) keys.Key {
	return keys.Key{ID: id, Algorithm: algorithm, CreatedAt: since, ActivateAt: since, MaxTokenTTL: policy.MaxTokenTTL}
}

func allActive(since time.Time) []keys.Key {
	return []keys.Key{active("r", keys.RS256, since), active("d", keys.EdDSA, since), active("s", keys.ES256, since)}
}

func TestPlan(t *testing.T) {
	rotateAt := t0.Add(policy.RotationPeriod)
	withSuccessor := allActive(t0)
	withSuccessor[1].RetireAt, withSuccessor[1].RemoveAt = rotateAt, rotateAt.Add(26*time.Minute)
	withSuccessor = append(withSuccessor, keys.Key{ID: "d2", Algorithm: keys.EdDSA, ActivateAt: rotateAt, MaxTokenTTL: policy.MaxTokenTTL})
	shortLived := allActive(t0)
	shortLived[2].MaxTokenTTL = time.Minute
	compromised := append(allActive(t0), keys.Key{ID: "x", Algorithm: keys.EdDSA, ActivateAt: t0, CompromisedAt: t0})

	for _, test := range []struct {
		name string
		keys []keys.Key
		now  time.Time
		want []keys.Step
	}{
		{"empty set: all three sign at once", nil, t0, []keys.Step{
			{Kind: keys.Create, Algorithm: keys.RS256, At: t0},
			{Kind: keys.Create, Algorithm: keys.EdDSA, At: t0},
			{Kind: keys.Create, Algorithm: keys.ES256, At: t0},
		}},
		{"nothing due", allActive(t0), t0.Add(time.Hour), nil},
		{"one moment before publish-ahead", allActive(t0), rotateAt.Add(-policy.PublishAhead - 1), nil},
		{"publish-ahead begins", allActive(t0), rotateAt.Add(-policy.PublishAhead), []keys.Step{
			{Kind: keys.Create, Algorithm: keys.RS256, At: rotateAt},
			{Kind: keys.Create, Algorithm: keys.EdDSA, At: rotateAt},
			{Kind: keys.Create, Algorithm: keys.ES256, At: rotateAt},
		}},
		{"after a long sleep the successor is still published ahead", allActive(t0)[:1], rotateAt.Add(1000 * time.Hour), []keys.Step{
			{Kind: keys.Create, Algorithm: keys.RS256, At: rotateAt.Add(1024 * time.Hour)},
			{Kind: keys.Create, Algorithm: keys.EdDSA, At: rotateAt.Add(1000 * time.Hour)},
			{Kind: keys.Create, Algorithm: keys.ES256, At: rotateAt.Add(1000 * time.Hour)},
		}},
		{"successor exists", withSuccessor, rotateAt.Add(-policy.PublishAhead - time.Minute), nil},
		{"retired key's last token still lives", withSuccessor[1:2], rotateAt.Add(26*time.Minute - 1), []keys.Step{
			{Kind: keys.Create, Algorithm: keys.RS256, At: rotateAt.Add(26*time.Minute - 1)},
			{Kind: keys.Create, Algorithm: keys.EdDSA, At: rotateAt.Add(26*time.Minute - 1)},
			{Kind: keys.Create, Algorithm: keys.ES256, At: rotateAt.Add(26*time.Minute - 1)},
		}},
		{"longer tokens are in force", shortLived, t0.Add(time.Hour), []keys.Step{
			{Kind: keys.Raise, KeyID: "s", TTL: 15 * time.Minute},
		}},
		{"compromised keys are shown for a while", compromised, t0.Add(time.Hour), nil},
		{"and deleted then", compromised, rotateAt.Add(-policy.PublishAhead).Add(25 * time.Hour), []keys.Step{
			{Kind: keys.Remove, KeyID: "x"},
			{Kind: keys.Create, Algorithm: keys.RS256, At: rotateAt.Add(25 * time.Hour)},
			{Kind: keys.Create, Algorithm: keys.EdDSA, At: rotateAt.Add(25 * time.Hour)},
			{Kind: keys.Create, Algorithm: keys.ES256, At: rotateAt.Add(25 * time.Hour)},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := keys.Plan(keys.Set{Keys: test.keys}, policy, test.now)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("plan differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanRemovesOnlyWhatIsGone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := t0.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "now")))
		k := active("k", keys.EdDSA, t0)
		k.RetireAt = t0.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "retire")))
		k.RemoveAt = k.RetireAt.Add(time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "keep")))
		for _, step := range keys.Plan(keys.Set{Keys: []keys.Key{k}}, policy, now) {
			if step.Kind == keys.Remove && k.State(now) != keys.Gone {
				t.Fatalf("plan removes a key that is %s", k.State(now))
			}
			if step.Kind == keys.Create && step.Algorithm == keys.EdDSA && k.State(now) == keys.Active && step.At.Before(now.Add(policy.PublishAhead)) {
				t.Fatalf("successor signs at %s, less than publish-ahead after %s", step.At, now)
			}
		}
	})
}
