package password

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go"
	"github.com/ccojocar/zxcvbn-go/match"
	"github.com/ccojocar/zxcvbn-go/matching"
)

// common are passwords of at least 8 characters that leaks and dictionaries
// made public, in lower case and sorted, one on a line. They come from
// zxcvbn-ts; see common.LICENSE.
//
//go:embed common.txt
var common string

// Policy says which passwords may be set (NIST SP 800-63B-4 section 3.1.1.2):
// long enough, not known to everybody, not made of what is known about the
// user. It asks for no kinds of characters. It is safe for concurrent use.
type Policy struct {
	minLength int
	// service names the service: words that are context for every user.
	service []string
	// common is sorted; extra is the operator's own list, sorted too.
	common, extra []string
}

const (
	// maxBlocklist bounds the operator's own list.
	maxBlocklist = 5_000_000
	// minContextWord is how long a word must be to be looked for.
	minContextWord = 3
	// minOwn is how many characters must remain when all context words are
	// taken out of a password.
	minOwn = 6
)

// NewPolicy returns a policy that asks for at least minLength characters, never
// fewer than MinLength, and refuses what only names the service. more may be
// nil, or a list of further passwords to refuse, one on a line.
func NewPolicy(minLength int, service []string, more io.Reader) (*Policy, error) {
	p := &Policy{minLength: max(minLength, MinLength), service: service, common: strings.Split(strings.TrimSuffix(common, "\n"), "\n")}
	if more == nil {
		return p, nil
	}
	lines := bufio.NewScanner(more)
	for lines.Scan() {
		if word := folded(strings.TrimSpace(lines.Text())); word != "" {
			p.extra = append(p.extra, word)
		}
		if len(p.extra) > maxBlocklist {
			return nil, fmt.Errorf("blocklist: want at most %d passwords", maxBlocklist)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("blocklist: %w", err)
	}
	slices.Sort(p.extra)
	return p, nil
}

// MinLength returns how many characters a password must have.
func (p *Policy) MinLength() int { return p.minLength }

// Check reports whether password may be set for a user of whom these context
// words are known, such as the username and the address. The error wraps
// ErrUnacceptable, and its text is fit for the user.
func (p *Policy) Check(password string, context ...string) error {
	normalised, err := normalise(password)
	if err != nil {
		return err
	}
	if utf8.RuneCountInString(normalised) < p.minLength {
		return fmt.Errorf("%w: use at least %d characters", ErrUnacceptable, p.minLength)
	}
	lower := folded(normalised)
	for _, list := range [][]string{p.common, p.extra} {
		if _, found := slices.BinarySearch(list, lower); found {
			return fmt.Errorf("%w: it is among the passwords that are tried first", ErrUnacceptable)
		}
	}
	if utf8.RuneCountInString(own(lower, slices.Concat(p.service, context))) < minOwn {
		return fmt.Errorf("%w: it says little more than your name, your address, the name of this service or the same character", ErrUnacceptable)
	}
	return nil
}

// own returns what of a password is left without the context words and
// without repetitions of the same character.
func own(lower string, context []string) string {
	for _, word := range contextWords(context) {
		lower = strings.ReplaceAll(lower, word, "")
	}
	return string(slices.Compact([]rune(lower)))
}

// contextWords returns what to look for, the longest first: every text as a
// whole, and the parts that punctuation separates.
func contextWords(context []string) []string {
	var words []string
	for _, text := range context {
		text = folded(text)
		parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("@._-+:/ ", r) })
		for _, word := range append(parts, text) {
			if utf8.RuneCountInString(word) >= minContextWord {
				words = append(words, word)
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(words)
}

func folded(text string) string { return strings.ToLower(text) }

// Strength is what an app's form shows while a password is being chosen.
type Strength struct {
	// Score is 0 (guessed at once) to 4 (very hard to guess).
	Score int
	// CrackTime is how long guessing is estimated to take, in words.
	CrackTime string
	// Problem says why the password may not be set; empty if it may.
	Problem string
}

const (
	// maxEstimated is how many characters the estimate looks at: its time
	// grows with the cube of the length.
	maxEstimated = 64
	maxContext   = 8
	// maxLeetSigns is how many different signs that stand for letters may be
	// tried in each other's place: with 22 of them that takes a second.
	maxLeetSigns = 5
)

// leetSigns counts the different characters of text that may stand for a
// letter.
func leetSigns(text string) int {
	n := 0
	for _, sign := range "4@8({[<369&#!1/|0$5+7%2" {
		if strings.ContainsRune(text, sign) {
			n++
		}
	}
	return n
}

// Strength estimates how hard password is to guess, and says whether Check
// would accept it.
func (p *Policy) Strength(password string, context ...string) Strength {
	var s Strength
	if err := p.Check(password, context...); errors.Is(err, ErrUnacceptable) {
		s.Problem = reason(err)
	}
	words := contextWords(slices.Concat(p.service, context))
	text := cut(password, maxEstimated)
	estimate := zxcvbn.PasswordStrength(text, words[:min(len(words), maxContext)], func(m match.Matcher) bool {
		return m.ID == matching.L33TMatcherName && leetSigns(text) > maxLeetSigns
	})
	s.Score, s.CrackTime = estimate.Score, estimate.CrackTimeDisplay
	return s
}

// cut returns the first n characters of text.
func cut(text string, n int) string {
	for i := range text {
		if n--; n < 0 {
			return text[:i]
		}
	}
	return text
}

// reason returns the sentence for the user in an error that wraps
// ErrUnacceptable.
func reason(err error) string {
	_, reason, _ := strings.Cut(err.Error(), ErrUnacceptable.Error()+": ")
	return reason
}
