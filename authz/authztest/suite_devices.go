package authztest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chancery/authz"
)

func sampleDevice(n int) authz.DeviceGrant {
	return authz.DeviceGrant{
		Hash: authz.HashSecret(authz.Secret(fmt.Sprint("device ", n))), UserCodeHash: authz.HashSecret(authz.Secret(fmt.Sprint("typed ", n))),
		Grant: authz.Grant{ClientID: "app", Scope: authz.Scope{"openid", "read"}, Resources: []string{"https://api.example"}}, State: authz.DevicePending,
		Device: authz.Device{Address: "192.0.2.7", UserAgent: "TV ä"}, Interval: 5 * time.Second, CreatedAt: T0, ExpiresAt: T0.Add(10 * time.Minute),
	}
}

// approved returns the device as the user has allowed it.
func approved(device authz.DeviceGrant, userID string) authz.DeviceGrant {
	device.State, device.UserID, device.AuthEpoch = authz.DeviceApproved, userID, 1
	device.Scope, device.AMR, device.AuthTime = authz.Scope{"read"}, []string{"pwd"}, T0
	return device
}

func deviceStoredWhole(t *testing.T, store Store) {
	device := sampleDevice(1)
	must(t, store.InsertDevice(t.Context(), device))
	taken := sampleDevice(2)
	taken.UserCodeHash = device.UserCodeHash
	want(t, "InsertDevice with a taken user code", store.InsertDevice(t.Context(), taken), authz.ErrConflict)
	must(t, store.PolledDevice(t.Context(), device.Hash, T0.Add(time.Second), 10*time.Second))
	device.PolledAt, device.Interval = T0.Add(time.Second), 10*time.Second
	got, err := store.Device(t.Context(), device.Hash)
	must(t, err)
	same(t, "device", device, got)
	got, err = store.DeviceByUserCode(t.Context(), device.UserCodeHash)
	must(t, err)
	same(t, "device by user code", device, got)
	_, err = store.Device(t.Context(), device.UserCodeHash)
	want(t, "Device of another hash", err, authz.ErrNotFound)
	_, err = store.DeviceByUserCode(t.Context(), device.Hash)
	want(t, "DeviceByUserCode of another hash", err, authz.ErrNotFound)
	n, err := store.Purge(t.Context(), authz.PurgeLimits{DevicesBefore: T0.Add(11 * time.Minute), Limit: 10})
	if must(t, err); n != 1 {
		t.Errorf("Purge deleted %d rows, want the device", n)
	}
}

func deviceDecidedOnce(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	must(t, store.InsertDevice(t.Context(), sampleDevice(1)))
	yes, no := approved(sampleDevice(1), userID), sampleDevice(1)
	no.State = authz.DeviceDenied
	want(t, "RedeemDevice of a pending device", store.RedeemDevice(t.Context(), yes.Hash, SampleFamily(userID, 1), yes.Grant), authz.ErrConflict)
	must(t, store.DecideDevice(t.Context(), yes))
	want(t, "DecideDevice again", store.DecideDevice(t.Context(), no), authz.ErrConflict)
	want(t, "DecideDevice of an unknown one", store.DecideDevice(t.Context(), sampleDevice(2)), authz.ErrConflict)
	got, err := store.Device(t.Context(), yes.Hash)
	must(t, err)
	same(t, "approved device", yes, got)
	must(t, store.DeleteUser(t.Context(), change(userID, authz.CauseUserDeleted)))
	_, err = store.Device(t.Context(), yes.Hash)
	want(t, "Device of a deleted user", err, authz.ErrNotFound)
}

func deviceConcurrent(t *testing.T, store Store) {
	userID := withUser(t, store, "alice")
	device := approved(sampleDevice(1), userID)
	must(t, store.InsertDevice(t.Context(), sampleDevice(1)))
	must(t, store.DecideDevice(t.Context(), device))
	old := device.Grant
	old.AuthEpoch = 0
	want(t, "RedeemDevice with an old epoch", store.RedeemDevice(t.Context(), device.Hash, SampleFamily(userID, 99), old), authz.ErrNotFound)
	var winners atomic.Int32
	var group sync.WaitGroup
	for n := range 10 {
		group.Go(func() {
			switch err := store.RedeemDevice(t.Context(), device.Hash, SampleFamily(userID, n), device.Grant); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, authz.ErrConflict):
				t.Errorf("RedeemDevice = %v, want nil or ErrConflict", err)
			}
		})
	}
	group.Wait()
	families, err := store.ListSessions(t.Context(), authz.SessionFilter{UserID: userID, Page: authz.Page{Limit: 100}})
	if must(t, err); winners.Load() != 1 || len(families) != 1 {
		t.Errorf("%d callers exchanged the code for %d sessions, want one for one", winners.Load(), len(families))
	}
	_, err = store.EndSessions(t.Context(), authz.Ending{UserID: userID, Cause: authz.CauseLogout, Now: T0})
	must(t, err)
	same(t, "sessions whose clients are told", []string{families[0].SessionID}, told(t, store))
}
