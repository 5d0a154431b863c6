package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"chancery/authz"
)

// userFile reads users from a file, one record at a time.
type userFile interface {
	// next returns the next user and the line it begins on. A *lineError says
	// that this record is no user; reading can go on. The error is io.EOF at
	// the end.
	next() (authz.ImportedUser, int, error)
}

// lineError is a record that cannot be read.
type lineError struct{ reason string }

// Error returns what is wrong with the record.
func (e *lineError) Error() string { return e.reason }

func badLine(format string, args ...any) error { return &lineError{fmt.Sprintf(format, args...)} }

// maxUserLine bounds one record of a file.
const maxUserLine = 64 << 10

// userColumns are the columns of a CSV file and the members of a JSON line.
var userColumns = []string{"username", "email", "email_verified", "password_hash", "roles", "must_change", "created_at"}

var errHeader = fmt.Errorf("the first line must name the columns, username among them: %s", strings.Join(userColumns, ", "))

// newUserFile reads CSV or JSON lines.
func newUserFile(format string, r io.Reader) (userFile, error) {
	switch format {
	case "csv":
		return newCSVUsers(r)
	case "jsonl":
		return &jsonUsers{lines: bufio.NewReaderSize(r, maxUserLine)}, nil
	}
	return nil, fmt.Errorf("format %q: want csv or jsonl", format)
}

// csvUsers reads CSV (RFC 4180) whose first line names the columns.
type csvUsers struct {
	records *csv.Reader
	budget  *recordBudget
	columns []string
}

func newCSVUsers(r io.Reader) (*csvUsers, error) {
	buffered := bufio.NewReader(r)
	if mark, _ := buffered.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = buffered.Discard(3)
	}
	budget := &recordBudget{r: buffered, left: maxUserLine}
	u := &csvUsers{records: csv.NewReader(budget), budget: budget}
	u.records.FieldsPerRecord = -1
	header, err := u.records.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHeader, err)
	}
	for i, column := range header {
		column = strings.ToLower(strings.TrimSpace(column))
		if !slices.Contains(userColumns, column) || slices.Contains(header[:i], column) {
			return nil, fmt.Errorf("column %q: %w", column, errHeader)
		}
		header[i] = column
	}
	if !slices.Contains(header, "username") {
		return nil, errHeader
	}
	u.columns = header
	return u, nil
}

func (u *csvUsers) next() (authz.ImportedUser, int, error) {
	u.budget.left = maxUserLine
	fields, err := u.records.Read()
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		return authz.ImportedUser{}, bad.StartLine, badLine("not a CSV record: %v", bad.Err)
	case err != nil:
		return authz.ImportedUser{}, 0, err
	}
	line, _ := u.records.FieldPos(0)
	if len(fields) != len(u.columns) {
		return authz.ImportedUser{}, line, badLine("%d fields, want %d", len(fields), len(u.columns))
	}
	values := map[string]string{}
	for i, column := range u.columns {
		values[column] = fields[i]
	}
	user, err := userOf(values)
	return user, line, err
}

// userOf reads the fields of one CSV record.
func userOf(values map[string]string) (authz.ImportedUser, error) {
	user := authz.ImportedUser{
		Username: values["username"], Email: values["email"], PasswordHash: authz.Secret(strings.TrimSpace(values["password_hash"])),
		Roles: strings.Fields(values["roles"]),
	}
	var err error
	if user.EmailVerified, err = flag(values["email_verified"]); err != nil {
		return user, badLine("email_verified: %v", err)
	}
	if user.MustChange, err = flag(values["must_change"]); err != nil {
		return user, badLine("must_change: %v", err)
	}
	if user.CreatedAt, err = createdAt(values["created_at"]); err != nil {
		return user, badLine("created_at: %v", err)
	}
	return user, nil
}

// flag reads what databases export for a yes or no.
func flag(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "0", "f", "false", "no":
		return false, nil
	case "1", "t", "true", "yes":
		return true, nil
	}
	return false, errors.New("want true or false")
}

// timeForms are the times that databases export; without a zone they are UTC.
var timeForms = []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05", time.DateOnly}

func createdAt(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds > 0 && seconds < 1<<33 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("want RFC 3339, \"2006-01-02 15:04:05\" or seconds since 1970")
}

// recordBudget ends a record that is too long, so that an unclosed quotation
// mark does not read the whole file into memory.
type recordBudget struct {
	r    io.Reader
	left int
}

var errRecordTooLong = fmt.Errorf("a record is longer than %d bytes; a quotation mark may be missing", maxUserLine)

// Read implements io.Reader.
func (b *recordBudget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRecordTooLong
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// jsonUsers reads one JSON object on each line.
type jsonUsers struct {
	lines *bufio.Reader
	line  int
}

// jsonUser is one line.
type jsonUser struct {
	Username      string   `json:"username"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	PasswordHash  string   `json:"password_hash"`
	Roles         []string `json:"roles"`
	MustChange    bool     `json:"must_change"`
	CreatedAt     any      `json:"created_at"`
}

func (u *jsonUsers) next() (authz.ImportedUser, int, error) {
	for {
		line, err := u.lines.ReadSlice('\n')
		u.line++
		if errors.Is(err, bufio.ErrBufferFull) {
			u.skip()
			return authz.ImportedUser{}, u.line, badLine("longer than %d bytes", maxUserLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return authz.ImportedUser{}, u.line, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			user, err := parseJSONUser(line)
			return user, u.line, err
		}
		if err != nil {
			return authz.ImportedUser{}, u.line, err
		}
	}
}

// skip reads to the end of a line. An error of the file comes again when the
// next line is read.
func (u *jsonUsers) skip() {
	for {
		if _, err := u.lines.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func parseJSONUser(line []byte) (authz.ImportedUser, error) {
	var parsed jsonUser
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(&parsed); err != nil {
		return authz.ImportedUser{}, badLine("not a JSON object with the members %s", strings.Join(userColumns, ", "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return authz.ImportedUser{}, badLine("more than one JSON object")
	}
	user := authz.ImportedUser{
		Username: parsed.Username, Email: parsed.Email, EmailVerified: parsed.EmailVerified, PasswordHash: authz.Secret(parsed.PasswordHash),
		Roles: parsed.Roles, MustChange: parsed.MustChange,
	}
	if parsed.CreatedAt == nil {
		return user, nil
	}
	created, err := createdAt(fmt.Sprint(parsed.CreatedAt))
	if err != nil {
		return user, badLine("created_at: %v", err)
	}
	user.CreatedAt = created
	return user, nil
}
