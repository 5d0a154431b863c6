package authz

import (
	"context"
	"errors"
	"fmt"
)

var (
	errDeviceMissing = fail(InvalidRequest, "The device_code parameter is missing.")
	errDevice        = fail(InvalidGrant, "The device code is not valid.")
	errDevicePending = fail(AuthorizationPending, "The user has not answered yet.")
	errDeviceFast    = fail(SlowDown, "The device asks too often.")
	errDeviceExpired = fail(ExpiredToken, "The device code has expired.")
)

// deviceGrant exchanges a device code for a session, once the user has allowed
// it (RFC 8628 section 3.4).
func (s *Service) deviceGrant(ctx context.Context, client Client, request TokenRequest) (TokenResponse, error) {
	if request.DeviceCode == "" {
		return TokenResponse{}, errDeviceMissing
	}
	device, err := s.Devices.Device(ctx, HashSecret(request.DeviceCode))
	if errors.Is(err, ErrNotFound) || (err == nil && device.ClientID != client.ID) {
		return TokenResponse{}, errDevice
	}
	if err != nil {
		return TokenResponse{}, fmt.Errorf("device: %w", err)
	}
	if err := s.polled(ctx, device); err != nil {
		return TokenResponse{}, err
	}
	b, err := s.beginGrant(ctx, client, device.Grant, request)
	if errors.Is(err, ErrNotFound) {
		return TokenResponse{}, errDevice
	}
	if err != nil {
		return TokenResponse{}, err
	}
	if err := s.received(request.ReceivedAt); err != nil {
		return TokenResponse{}, err
	}
	b.family.Device = newDevice(request.Address, request.UserAgent)
	b.store = func(ctx context.Context, f Family) error {
		err := s.Devices.RedeemDevice(ctx, device.Hash, f, device.Grant)
		if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) {
			return errDevice
		}
		if err != nil {
			return fmt.Errorf("redeem device: %w", err)
		}
		return nil
	}
	return s.startSession(ctx, b)
}

// polled says whether a device may have its tokens now, and notes that it asked
// (RFC 8628 section 3.5).
func (s *Service) polled(ctx context.Context, device DeviceGrant) error {
	now := s.now()
	switch {
	case !now.Before(device.ExpiresAt):
		return errDeviceExpired
	case device.State == DeviceDenied:
		return errAccessDenied
	case device.State == DeviceApproved:
		return nil
	}
	answer, interval := errDevicePending, device.Interval
	if now.Before(device.PolledAt.Add(interval)) {
		answer, interval = errDeviceFast, interval+deviceInterval
	}
	if err := s.Devices.PolledDevice(ctx, device.Hash, now, interval); err != nil {
		return fmt.Errorf("poll of device: %w", err)
	}
	return answer
}
