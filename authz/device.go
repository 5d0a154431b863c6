package authz

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// DeviceState says how far a device has come.
type DeviceState string

// The states of a device that waits for its user.
const (
	DevicePending  DeviceState = "pending"
	DeviceApproved DeviceState = "approved"
	DeviceDenied   DeviceState = "denied"
)

// DeviceGrant is a device without a browser that waits for its user to allow it
// something elsewhere (RFC 8628). Until then its Grant has no user.
type DeviceGrant struct {
	// Hash is that of the device code, UserCodeHash that of what the user types.
	Hash, UserCodeHash Hash
	Grant
	State DeviceState
	// Device is where the request came from, which the user is told.
	Device Device
	// Interval is how long the device must wait between two polls, PolledAt when
	// it did last.
	Interval             time.Duration
	PolledAt             time.Time
	CreatedAt, ExpiresAt time.Time
}

const (
	deviceCodeTag  = "chdc_"
	deviceTTL      = 10 * time.Minute
	deviceInterval = 5 * time.Second
	// deviceKept is how long a device is told that its time is over.
	deviceKept = time.Hour
	// userCodeLetters are easy to tell apart, and make no words (RFC 8628 section
	// 6.1).
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// DeviceStore keeps devices that wait.
type DeviceStore interface {
	// InsertDevice stores a device; ErrConflict means that its user code is taken.
	InsertDevice(ctx context.Context, device DeviceGrant) error
	// Device returns the device with the hash of its device code, or ErrNotFound.
	Device(ctx context.Context, hash Hash) (DeviceGrant, error)
	// DeviceByUserCode returns the device with the hash of its user code, or
	// ErrNotFound.
	DeviceByUserCode(ctx context.Context, hash Hash) (DeviceGrant, error)
	// PolledDevice sets when the device asked last, and how long it must wait.
	PolledDevice(ctx context.Context, hash Hash, polled time.Time, interval time.Duration) error
	// DecideDevice stores state and grant of a device that is pending; ErrConflict
	// means that it is not any more.
	DecideDevice(ctx context.Context, device DeviceGrant) error
	// RedeemDevice deletes an approved device and stores the family, as
	// CodeStore.RedeemCode does. ErrConflict means that it is gone, ErrNotFound
	// that user or client are not as they were.
	RedeemDevice(ctx context.Context, hash Hash, family Family, grant Grant) error
}

// DeviceRequest is a decoded device authorization request (RFC 8628 section
// 3.1).
type DeviceRequest struct {
	Credentials Credentials
	Scope       string
	Resources   []string
	Device      Device
}

// DeviceResponse is the answer to one (RFC 8628 section 3.2).
type DeviceResponse struct {
	DeviceCode Secret
	// UserCode is in the form that people type.
	UserCode  string
	ExpiresIn time.Duration
	Interval  time.Duration
}

// limitDevice bounds the devices that wait from one address.
var limitDevice = Bucket{Key: "device", Burst: 60, Period: 10 * time.Minute}

// StartDevice begins a login on a device. The error is as that of
// Service.Token.
func (a *Authorizations) StartDevice(ctx context.Context, request DeviceRequest) (DeviceResponse, error) {
	if slices.ContainsFunc(append([]string{request.Scope}, request.Resources...), func(text string) bool { return !PlainText(text) }) {
		return DeviceResponse{}, errText
	}
	client, err := a.Service.Authenticate(ctx, request.Credentials, request.Device.Address)
	if err != nil {
		return DeviceResponse{}, err
	}
	if !client.allows(GrantDeviceCode) {
		return DeviceResponse{}, errGrantDenied
	}
	if err := a.Service.Throttle.take(ctx, limitDevice.of(Network(request.Device.Address))); err != nil {
		return DeviceResponse{}, err
	}
	scope, err := client.wantedScope(request.Scope)
	if err != nil {
		return DeviceResponse{}, err
	}
	resources, refused := client.wantedResources(request.Resources, a.Service.Issuer)
	if refused != nil {
		return DeviceResponse{}, refused
	}
	now, code := a.Service.now(), newSecret(deviceCodeTag)
	device := DeviceGrant{
		Hash: HashSecret(code), Grant: Grant{ClientID: client.ID, Scope: scope, Resources: resources}, State: DevicePending,
		Device: newDevice(request.Device.Address, request.Device.UserAgent), Interval: deviceInterval, CreatedAt: now, ExpiresAt: now.Add(deviceTTL),
	}
	for {
		userCode := newUserCode()
		device.UserCodeHash = userCodeHash(userCode)
		err := a.Devices.InsertDevice(ctx, device)
		if errors.Is(err, ErrConflict) {
			continue // somebody else was given the same one, of 25 billion
		}
		if err != nil {
			return DeviceResponse{}, fmt.Errorf("store device: %w", err)
		}
		return DeviceResponse{DeviceCode: code, UserCode: userCode, ExpiresIn: deviceTTL, Interval: deviceInterval}, nil
	}
}

// newUserCode returns a random code, in two halves.
func newUserCode() string {
	letters := make([]byte, userCodeLength)
	for i := range letters {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			panic(err) // crypto/rand ends the program before
		}
		letters[i] = userCodeLetters[n.Int64()]
	}
	return UserCode(string(letters))
}

// UserCode returns a code as devices show it, however people type it.
func UserCode(typed string) string {
	letters := strings.Map(func(r rune) rune {
		if strings.ContainsRune(userCodeLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(typed))
	half := min(len(letters), userCodeLength/2)
	return letters[:half] + "-" + letters[half:]
}

func userCodeHash(typed string) Hash { return HashSecret(Secret("user code\x00" + UserCode(typed))) }

// limitUserCode bounds the codes that are typed and are none.
var limitUserCode = Bucket{Key: "user code", Burst: 30, Period: 10 * time.Minute}

var errUserCode = fail(InvalidGrant, "There is no device with this code, or its time is over.")

// FindDevice returns what a device asks for whose code the user has typed, and
// how it would be allowed. The error has code InvalidGrant, or tells to wait.
func (a *Authorizations) FindDevice(ctx context.Context, login BrowserLogin, userCode, address string) (DeviceGrant, Authorization, error) {
	buckets := []Bucket{limitUserCode.of(Network(address)), limitUserCode.of(login.User.ID)}
	if err := a.Service.Throttle.take(ctx, buckets...); err != nil {
		return DeviceGrant{}, Authorization{}, err
	}
	device, z, err := a.deviceOf(ctx, login, userCode, address)
	if err == nil {
		a.Service.Throttle.giveBack(ctx, buckets...)
	}
	return device, z, err
}

func (a *Authorizations) deviceOf(ctx context.Context, login BrowserLogin, userCode, address string) (DeviceGrant, Authorization, error) {
	device, err := a.Devices.DeviceByUserCode(ctx, userCodeHash(userCode))
	if errors.Is(err, ErrNotFound) || (err == nil && (device.State != DevicePending || !a.Service.now().Before(device.ExpiresAt))) {
		return DeviceGrant{}, Authorization{}, errUserCode
	}
	if err != nil {
		return DeviceGrant{}, Authorization{}, fmt.Errorf("device: %w", err)
	}
	client, err := a.Service.client(ctx, device.ClientID, address)
	if errors.Is(err, ErrNotFound) || (err == nil && !client.DisabledAt.IsZero()) {
		return DeviceGrant{}, Authorization{}, errUserCode
	}
	if err != nil {
		return DeviceGrant{}, Authorization{}, fmt.Errorf("client: %w", err)
	}
	// The client may have lost some of it meanwhile.
	wanted := device.Scope.Filter(client.scope().Has)
	if !client.allows(GrantDeviceCode) || (len(device.Scope) > 0 && len(wanted) == 0) {
		return DeviceGrant{}, Authorization{}, errUserCode
	}
	z := Authorization{Request: AuthorizationRequest{Client: client, Scope: wanted, Resources: device.Resources}, Login: login}
	if err := a.entitle(ctx, &z); err != nil {
		var refused *AuthorizationError
		if errors.As(err, &refused) {
			err = refused.Err // there is no redirect URI
		}
		return DeviceGrant{}, Authorization{}, err
	}
	return device, z, nil
}

// DecideDevice answers for the user who allows what the device asks for, or does
// not. The error is as that of FindDevice, or has code ConsentRequired when he must
// be asked anew.
func (a *Authorizations) DecideDevice(ctx context.Context, login BrowserLogin, userCode string, consenting Consenting) error {
	where := consenting.Device
	device, z, err := a.FindDevice(ctx, login, userCode, where.Address)
	if err != nil {
		return err
	}
	device.State = DeviceDenied
	if consenting.Allowed {
		if consenting.Shown != z.Shown() {
			return errShownAnew
		}
		if err := a.remember(ctx, z, newDevice(where.Address, where.UserAgent)); err != nil {
			return err
		}
		device.State, device.Grant = DeviceApproved, z.grant()
		device.BrowserID = "" // it stays connected when the browser is logged out in which it was allowed
	}
	err = a.Devices.DecideDevice(ctx, device)
	if errors.Is(err, ErrConflict) {
		return errUserCode
	}
	if err != nil {
		return fmt.Errorf("decide device: %w", err)
	}
	return nil
}
