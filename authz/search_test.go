package authz_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"chancery/authz"
	"chancery/authz/authztest"
)

// listed is a store of many sessions and events, of which row i is the i-th
// newest; each list that it is asked for is counted.
type listed struct {
	authz.SessionStore
	authz.EventStore
	rows   int
	lists  []int
	filter authz.EventFilter
	err    error
	match  func(i int) bool
}

// from returns which rows come on a page.
func (l *listed) from(page authz.Page) (first, last int) {
	l.lists = append(l.lists, page.Limit)
	if page.AfterID != "" {
		_, _ = fmt.Sscanf(page.AfterID, "row%06d", &first)
		first++
	}
	return first, min(first+page.Limit, l.rows)
}

func rowTime(i int) time.Time { return authztest.T0.Add(-time.Duration(i/10) * time.Second) }

func (l *listed) ListSessions(_ context.Context, filter authz.SessionFilter) (rows []authz.Family, err error) {
	first, last := l.from(filter.Page)
	for i := first; i < last; i++ {
		f := authz.Family{SessionID: fmt.Sprintf("row%06d", i), CreatedAt: rowTime(i), AbsoluteExpiresAt: authztest.T0.Add(time.Hour), IdleExpiresAt: authztest.T0.Add(time.Hour)}
		if l.match(i) {
			f.Device.Address = "192.0.2.7"
		}
		rows = append(rows, f)
	}
	return rows, l.err
}

func (l *listed) ListEvents(_ context.Context, filter authz.EventFilter) (rows []authz.Event, err error) {
	l.filter = filter
	first, last := l.from(filter.Page)
	for i := first; i < last; i++ {
		e := authz.Event{ID: fmt.Sprintf("row%06d", i), Time: rowTime(i), Kind: authz.EventThrottled, UserID: "usr_1"}
		if l.match(i) {
			e.ClientID = "app"
		}
		rows = append(rows, e)
	}
	return rows, l.err
}

// TestSearchWindows walks through searches for few rows among many: each page
// reads a bounded number, and together they find every row once, in order.
func TestSearchWindows(t *testing.T) {
	for name, test := range map[string]struct {
		rows, limit int
		match       func(i int) bool
	}{
		"nothing to search":         {0, 10, func(int) bool { return true }},
		"one":                       {1, 1, func(int) bool { return true }},
		"all, one at a time":        {25, 1, func(int) bool { return true }},
		"all, exactly a page":       {10, 10, func(int) bool { return true }},
		"all, one more than a page": {11, 10, func(int) bool { return true }},
		"all, a batch at a time":    {1500, 500, func(int) bool { return true }},
		"all, a page and a batch":   {501, 500, func(int) bool { return true }},
		"none":                      {12_000, 50, func(int) bool { return false }},
		"none, exactly a window":    {5000, 50, func(int) bool { return false }},
		"the last":                  {12_001, 50, func(i int) bool { return i == 12_000 }},
		"the first and the last":    {5001, 2, func(i int) bool { return i == 0 || i == 5000 }},
		"one in a thousand":         {20_000, 3, func(i int) bool { return i%1000 == 999 }},
		"every other":               {2000, 7, func(i int) bool { return i%2 == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for i := range test.rows {
				if test.match(i) {
					want = append(want, fmt.Sprintf("row%06d", i))
				}
			}
			store := &listed{rows: test.rows, match: test.match}
			sessions := &authz.Sessions{Store: store, Now: func() time.Time { return authztest.T0 }}
			events := &authz.Events{Store: store}
			var found, foundEvents []string
			walk(t, store, test.limit, func(page authz.Page) (int, authz.Page, error) {
				rows, next, err := sessions.Search(t.Context(), authz.SessionQuery{Address: "192.0.2.7", State: authz.SessionLive, Page: page})
				for _, row := range rows {
					found = append(found, row.SessionID)
				}
				return len(rows), next, err
			})
			walk(t, store, test.limit, func(page authz.Page) (int, authz.Page, error) {
				rows, next, err := events.Search(t.Context(), authz.EventFilter{UserID: "usr_1", ClientID: "app", Page: page})
				for _, row := range rows {
					foundEvents = append(foundEvents, row.ID)
				}
				return len(rows), next, err
			})
			if !slices.Equal(found, want) || !slices.Equal(foundEvents, want) {
				t.Errorf("found %d sessions and %d events, want these %d in order", len(found), len(foundEvents), len(want))
			}
		})
	}
}

// walk reads pages to the end of a list.
func walk(t *testing.T, store *listed, limit int, read func(authz.Page) (int, authz.Page, error)) {
	t.Helper()
	page := authz.Page{Limit: limit}
	for range 2 + store.rows {
		store.lists = nil
		n, next, err := read(page)
		total := 0
		for _, size := range store.lists {
			total += size
			if size > 500 {
				t.Errorf("%d rows are read at once, want at most 500", size)
			}
		}
		if err != nil || n > limit || total > 5500 {
			t.Fatalf("page of %d rows after reading %d, %v, want at most %d and 5500", n, total, err, limit)
		}
		if next.AfterID == "" {
			return
		}
		page.After, page.AfterID = next.After, next.AfterID
	}
	t.Fatal("the list does not end")
}

// TestSearchAsksForOne gives the store the one field that selects the fewest.
func TestSearchAsksForOne(t *testing.T) {
	all := authz.EventFilter{
		Kind: authz.EventThrottled, UserID: "u", ClientID: "c", SessionID: "s", Actor: "a", Target: "t", From: authztest.T0, Until: authztest.T0.Add(1),
	}
	for _, test := range []struct {
		name  string
		clear func(f *authz.EventFilter)
		want  authz.EventFilter
	}{
		{"all", func(*authz.EventFilter) {}, authz.EventFilter{SessionID: "s"}},
		{"no session", func(f *authz.EventFilter) { f.SessionID = "" }, authz.EventFilter{Target: "t"}},
		{"no target", func(f *authz.EventFilter) { f.Target = "" }, authz.EventFilter{UserID: "u"}},
		{"no user", func(f *authz.EventFilter) { f.UserID = "" }, authz.EventFilter{Actor: "a"}},
		{"no actor", func(f *authz.EventFilter) { f.Actor = "" }, authz.EventFilter{ClientID: "c"}},
		{"no client", func(f *authz.EventFilter) { f.ClientID = "" }, authz.EventFilter{Kind: authz.EventThrottled}},
		{"no kind", func(f *authz.EventFilter) { f.Kind = "" }, authz.EventFilter{}},
	} {
		test.clear(&all)
		store := &listed{match: func(int) bool { return true }}
		all.Page.Limit = 10
		if _, _, err := (&authz.Events{Store: store}).Search(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		test.want.From, test.want.Until, test.want.Page = all.From, all.Until, store.filter.Page
		if store.filter != test.want {
			t.Errorf("%s: the store was asked for %+v, want %+v", test.name, store.filter, test.want)
		}
	}
}

func TestSearchFails(t *testing.T) {
	store := &listed{err: authz.ErrUnavailable, rows: 10, match: func(int) bool { return true }}
	sessions, events := &authz.Sessions{Store: store, Now: time.Now}, &authz.Events{Store: store}
	page := authz.Page{Limit: 3}
	if rows, next, err := sessions.Search(t.Context(), authz.SessionQuery{Page: page}); !errors.Is(err, authz.ErrUnavailable) || rows != nil || next != (authz.Page{}) {
		t.Errorf("Sessions.Search = %d rows, %v, want the fault", len(rows), err)
	}
	if rows, next, err := events.Search(t.Context(), authz.EventFilter{Page: page}); !errors.Is(err, authz.ErrUnavailable) || rows != nil || next != (authz.Page{}) {
		t.Errorf("Events.Search = %d rows, %v, want the fault", len(rows), err)
	}
}

// TestSearchByAddress finds an address however it is written, and the network
// of one of IPv6.
func TestSearchByAddress(t *testing.T) {
	for _, test := range []struct {
		address, asked string
		want           bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.10", false},
		{"192.0.2.1", "192.0.2.0/24", false},
		{"2001:db8::7", "2001:DB8:0:0:0:0:0:7", true},
		{"2001:db8::7", "2001:db8::/64", true},
		{"2001:db8::7", "2001:db8::9/64", true},
		{"2001:db8::7", "2001:db8:0:1::/64", false},
		{"2001:db8::7", "2001:db8::/48", false},
		{"2001:db8::7", "2001:db8::", false},
		{"", "192.0.2.1", false},
		{"unknown", "unknown", true},
	} {
		f := newFixture(t)
		user := authztest.SampleUser("eve")
		if err := errors.Join(f.store.InsertUser(t.Context(), user, authztest.AnyEvent()), f.store.InsertClient(t.Context(), authztest.SampleClient("app"), authztest.AnyEvent())); err != nil {
			t.Fatal(err)
		}
		family := authztest.SampleFamily(user.ID, 1)
		family.Device.Address, family.ClientID = test.address, "app"
		if err := f.store.InsertFamily(t.Context(), family, user.AuthEpoch); err != nil {
			t.Fatal(err)
		}
		found, _, err := f.sessions.Search(t.Context(), authz.SessionQuery{Address: test.asked, Page: authz.Page{Limit: 1}})
		if err != nil || (len(found) == 1) != test.want {
			t.Errorf("session at %q, asked for %q: found %d, %v, want it: %t", test.address, test.asked, len(found), err, test.want)
		}
	}
}
