package authz_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"chancery/authz"

	"github.com/google/go-cmp/cmp"
)

// TestUsersList finds users by how their names begin, however they are typed,
// and pages through them.
func TestUsersList(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"alice", "Alan", "al", "Bob", "ÁLI", "al_n", "al%", "álpha", "alice@mail.example"} {
		f.now = f.now.Add(1e9)
		email := strings.Trim(strings.ToLower(name), "%") + "@mail.example"
		if strings.Contains(name, "@") {
			email = name
		}
		if _, err := f.users.Create(t.Context(), authz.NewUser{Username: name, Email: email, Password: "tall ships sail at dawn"}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, test := range []struct {
		filter authz.UserFilter
		want   []string
	}{
		{authz.UserFilter{}, []string{"alice@mail.example", "álpha", "al%", "al_n", "ÁLI", "Bob", "al", "Alan", "alice"}},
		{authz.UserFilter{Name: "al"}, []string{"al", "al%", "al_n", "Alan", "alice", "alice@mail.example"}},
		{authz.UserFilter{Name: " AL "}, []string{"al", "al%", "al_n", "Alan", "alice", "alice@mail.example"}},
		{authz.UserFilter{Name: "al_"}, []string{"al_n"}},
		{authz.UserFilter{Name: "al%"}, []string{"al%"}},
		{authz.UserFilter{Name: "a\u0301l"}, []string{"ÁLI", "álpha"}},
		{authz.UserFilter{Name: "ａｌｉ"}, []string{"alice", "alice@mail.example"}},
		{authz.UserFilter{Name: "z"}, nil},
		{authz.UserFilter{Email: "ALICE@"}, []string{"alice", "alice@mail.example"}},
		{authz.UserFilter{Email: "b"}, []string{"Bob"}},
		{authz.UserFilter{Name: "al", Email: "bob"}, []string{"al", "al%", "al_n", "Alan", "alice", "alice@mail.example"}},
	} {
		for _, limit := range []int{1, 2, 100} {
			filter, got := test.filter, []string(nil)
			filter.Page.Limit = limit
			for range 20 {
				users, err := f.users.List(t.Context(), filter)
				if err != nil || len(users) > limit {
					t.Fatalf("List(%+v) = %d users, %v", filter, len(users), err)
				}
				if len(users) == 0 {
					break
				}
				for _, u := range users {
					got = append(got, u.Username)
				}
				filter = filter.Next(users[len(users)-1])
			}
			if test.filter.Name == "" && test.filter.Email != "" {
				slices.Sort(got) // which of two with one address comes first is theirs by chance
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("List(%+v) by %d (-want +got):\n%s", test.filter, limit, diff)
			}
		}
	}
	for _, bad := range []string{" ", "a b", "a\x00", "\xff", strings.Repeat("a", 257), "a\u200b"} {
		_, err := f.users.List(t.Context(), authz.UserFilter{Name: bad, Page: authz.Page{Limit: 1}})
		wantCode(t, fmt.Sprintf("List by the name %q", bad), err, authz.InvalidInput)
		_, err = f.users.List(t.Context(), authz.UserFilter{Email: bad, Page: authz.Page{Limit: 1}})
		wantCode(t, fmt.Sprintf("List by the address %q", bad), err, authz.InvalidInput)
	}
	f.store.SetDown(authz.ErrUnavailable)
	if _, err := f.users.List(t.Context(), authz.UserFilter{}); !errors.Is(err, authz.ErrUnavailable) {
		t.Errorf("List without a database = %v", err)
	}
	if names, err := f.users.Names(t.Context(), nil); err != nil || len(names) != 0 {
		t.Errorf("Names of nobody = %v, %v, want no question to the database", names, err)
	}
}
