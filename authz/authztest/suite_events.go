package authztest

import (
	"testing"
	"time"

	"chancery/authz"
)

func events(t *testing.T, store Store) {
	one, two, other := sampleEvent("id-1", T0), sampleEvent("id-2", T0.Add(time.Second)), sampleEvent("id-3", T0.Add(2*time.Second))
	two.Once = "key"
	one.Changes = []authz.Difference{{Field: "roles", Before: "", After: "admin"}}
	other.Actor, other.Target = "usr_admin", "https://api.example"
	other.Kind, other.UserID, other.ClientID, other.SessionID = authz.EventUserBanned, "usr_other", "other", "sid-2"
	must(t, store.AppendEvents(t.Context(), []authz.Event{one, two, other}))
	again := sampleEvent("id-4", T0.Add(3*time.Second))
	again.Once = "key"
	must(t, store.AppendEvents(t.Context(), []authz.Event{again}))
	for name, test := range map[string]struct {
		filter authz.EventFilter
		want   []authz.Event
	}{
		"all":     {authz.EventFilter{}, []authz.Event{other, two, one}},
		"kind":    {authz.EventFilter{Kind: authz.EventUserBanned}, []authz.Event{other}},
		"user":    {authz.EventFilter{UserID: "usr_u"}, []authz.Event{two, one}},
		"client":  {authz.EventFilter{ClientID: "other"}, []authz.Event{other}},
		"actor":   {authz.EventFilter{Actor: "usr_admin"}, []authz.Event{other}},
		"target":  {authz.EventFilter{Target: "https://api.example"}, []authz.Event{other}},
		"from":    {authz.EventFilter{From: two.Time}, []authz.Event{other, two}},
		"until":   {authz.EventFilter{Until: two.Time, UserID: "usr_u"}, []authz.Event{one}},
		"session": {authz.EventFilter{SessionID: "sid-1", Page: authz.Page{After: two.Time, AfterID: two.ID}}, []authz.Event{one}},
	} {
		test.filter.Page.Limit = 10
		got, err := store.ListEvents(t.Context(), test.filter)
		must(t, err)
		same(t, name, test.want, got)
	}
}
