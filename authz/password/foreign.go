package password

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/pbkdf2"
	"github.com/go-crypt/crypt/algorithm/scrypt"
)

// newDecoder returns a decoder of the hashes that may be stored: our own, and
// those of other programs. Plain text and MD5 are not among them.
func newDecoder() (*crypt.Decoder, error) {
	decoder := crypt.NewDecoder()
	for _, register := range []func(algorithm.DecoderRegister) error{
		argon2.RegisterDecoderArgon2id, argon2.RegisterDecoderArgon2i, bcrypt.RegisterDecoderStandard,
		scrypt.RegisterDecoderScrypt, pbkdf2.RegisterDecoder,
	} {
		if err := register(decoder); err != nil {
			return nil, fmt.Errorf("password decoder: %w", err)
		}
	}
	return decoder, nil
}

// Bounds of what one check of an imported hash may cost: about a second of a
// processor and 256 MiB.
const (
	maxForeignKiB      = 256 << 10 // memory of Argon2 and scrypt
	maxForeignPasses   = 1 << 20   // KiB times passes, or times parallel lanes of scrypt
	maxBcryptCost      = 14
	maxPBKDF2          = 2_000_000 // iterations
	maxForeignParallel = 16
	maxForeignLength   = 512
	// bcryptLimit is how many bytes of a password bcrypt looks at.
	bcryptLimit = 72
)

var (
	argon2Form = regexp.MustCompile(`^\$argon2(?:id|i)\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,172}$`)
	bcryptForm = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[A-Za-z0-9./]{53}$`)
	scryptForm = regexp.MustCompile(`^\$scrypt\$ln=(\d{1,9}),r=(\d{1,9}),p=(\d{1,9})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,172}$`)
	pbkdf2Form = regexp.MustCompile(`^\$pbkdf2(?:-sha(?:1|224|256|384|512))?\$(\d{1,9})\$[A-Za-z0-9./]{11,88}\$[A-Za-z0-9./]{22,88}$`)
)

var (
	errForeignForm = errors.New("not a hash of a supported kind: argon2id, argon2i, bcrypt ($2a$, $2b$, $2y$), scrypt or pbkdf2, as PHP's password_hash or the PHC string format write it")
	errForeignCost = errors.New("its cost is out of bounds: checking it would take too long or too much memory, or it protects nothing")
)

// CheckForeign reports whether a hash that another program made may be stored:
// its kind is known and checking a password against it costs no more than
// about a second. The error never quotes the hash.
func CheckForeign(encoded string) error {
	if len(encoded) > maxForeignLength {
		return errForeignForm
	}
	inBounds := false
	if n := numbers(argon2Form, encoded); n != nil {
		memory, passes, lanes := n[0], n[1], n[2]
		inBounds = memory >= 8*lanes && memory <= maxForeignKiB && passes >= 1 && memory*passes <= maxForeignPasses && lanes >= 1 && lanes <= maxForeignParallel
	} else if n := numbers(bcryptForm, encoded); n != nil {
		inBounds = n[0] >= 4 && n[0] <= maxBcryptCost
	} else if n := numbers(scryptForm, encoded); n != nil {
		logN, block, lanes := n[0], n[1], n[2]
		inBounds = logN >= 10 && logN <= 20 && block >= 1 && block <= 64 && lanes >= 1 && lanes <= maxForeignParallel &&
			block<<logN>>3 <= maxForeignKiB && block<<logN>>3*lanes <= maxForeignPasses
	} else if n := numbers(pbkdf2Form, encoded); n != nil {
		inBounds = n[0] >= 1000 && n[0] <= maxPBKDF2
	} else {
		return errForeignForm
	}
	if !inBounds {
		return errForeignCost
	}
	decoder, err := newDecoder()
	if err != nil {
		return err
	}
	if _, err := decoder.Decode(encoded); err != nil {
		return errForeignForm // the decoder's error may quote the hash
	}
	return nil
}

// numbers returns the groups of a form that encoded has, as numbers; nil if it
// has another form.
func numbers(form *regexp.Regexp, encoded string) []int {
	match := form.FindStringSubmatch(encoded)
	if match == nil {
		return nil
	}
	all := make([]int, len(match)-1)
	for i, digits := range match[1:] {
		all[i], _ = strconv.Atoi(digits) // at most nine digits
	}
	return all
}

// truncates reports whether a hash says nothing about the end of password.
func truncates(encoded, password string) bool {
	return strings.HasPrefix(encoded, "$2") && len(password) > bcryptLimit
}
