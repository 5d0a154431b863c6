package authztest

import (
	"context"
	"time"

	"chancery/authz"
)

// InsertDevice implements authz.DeviceStore.
func (m *Memory) InsertDevice(ctx context.Context, device authz.DeviceGrant) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "InsertDevice"); err != nil {
		return err
	}
	if _, taken := m.byUserCode(device.UserCodeHash); taken {
		return authz.ErrConflict
	}
	m.devices[device.Hash] = device
	return nil
}

func (m *Memory) byUserCode(hash authz.Hash) (authz.DeviceGrant, bool) {
	for _, device := range m.devices {
		if device.UserCodeHash == hash {
			return device, true
		}
	}
	return authz.DeviceGrant{}, false
}

// Device implements authz.DeviceStore.
func (m *Memory) Device(ctx context.Context, hash authz.Hash) (authz.DeviceGrant, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "Device"); err != nil {
		return authz.DeviceGrant{}, err
	}
	return found(m.devices, hash)
}

// DeviceByUserCode implements authz.DeviceStore.
func (m *Memory) DeviceByUserCode(ctx context.Context, hash authz.Hash) (authz.DeviceGrant, error) {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DeviceByUserCode"); err != nil {
		return authz.DeviceGrant{}, err
	}
	device, ok := m.byUserCode(hash)
	if !ok {
		return device, authz.ErrNotFound
	}
	return device, nil
}

// PolledDevice implements authz.DeviceStore.
func (m *Memory) PolledDevice(ctx context.Context, hash authz.Hash, polled time.Time, interval time.Duration) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "PolledDevice"); err != nil {
		return err
	}
	if device, ok := m.devices[hash]; ok {
		device.PolledAt, device.Interval = polled, interval
		m.devices[hash] = device
	}
	return nil
}

// DecideDevice implements authz.DeviceStore.
func (m *Memory) DecideDevice(ctx context.Context, decided authz.DeviceGrant) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "DecideDevice"); err != nil {
		return err
	}
	device, ok := m.devices[decided.Hash]
	if !ok || device.State != authz.DevicePending {
		return authz.ErrConflict
	}
	device.State, device.Grant = decided.State, decided.Grant
	m.devices[decided.Hash] = device
	return nil
}

// RedeemDevice implements authz.DeviceStore.
func (m *Memory) RedeemDevice(ctx context.Context, hash authz.Hash, family authz.Family, grant authz.Grant) error {
	defer m.mu.Unlock()
	if err := m.begin(ctx, "RedeemDevice"); err != nil {
		return err
	}
	if m.devices[hash].State != authz.DeviceApproved {
		return authz.ErrConflict
	}
	if err := m.beginGrant(family, grant); err != nil {
		return err
	}
	delete(m.devices, hash)
	m.begun[family.SessionID] = grant.BrowserID
	return nil
}
