package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestUserFileIsBounded(t *testing.T) {
	long := strings.Repeat("x", 2*maxUserLine)
	for name, test := range map[string]struct {
		format, content string
		users           int
		bad             bool // a line that is passed over
		end             error
	}{
		"jsonl long line":     {"jsonl", `{"username":"a"}` + "\n" + `{"username":"` + long + `"}` + "\n" + `{"username":"b"}` + "\n", 2, true, io.EOF},
		"jsonl no newline":    {"jsonl", `{"username":"a"}`, 1, false, io.EOF},
		"csv open quotation":  {"csv", "username\na\n\"" + strings.Repeat("b\n", maxUserLine), 1, false, errRecordTooLong},
		"csv byte order mark": {"csv", "\xef\xbb\xbfusername\na\n", 1, false, io.EOF},
		"csv empty lines":     {"csv", "username\n\na\n\n", 1, false, io.EOF},
	} {
		file, err := newUserFile(test.format, strings.NewReader(test.content))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		users, passed := 0, false
		for {
			_, _, err = file.next()
			var bad *lineError
			if errors.As(err, &bad) {
				passed = true
				continue
			}
			if err != nil {
				break
			}
			users++
		}
		if users != test.users || passed != test.bad || !errors.Is(err, test.end) {
			t.Errorf("%s: %d users, a bad line: %v, end %v, want %d, %v, %v", name, users, passed, err, test.users, test.bad, test.end)
		}
	}
}

func TestProgressBar(t *testing.T) {
	b := &progressBar{unit: "users", total: 1000, done: 500}
	if got, want := b.line(250, 2*time.Second), "[###############...............]  50 %  250 users, 125/s"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

func FuzzUserFile(f *testing.F) {
	f.Add("csv", "username,email,password_hash\nada,ada@mail.example,$2y$10$x\n\"a\"\"b\",c\n")
	f.Add("jsonl", `{"username":"ada","roles":["a"],"created_at":12}`+"\n{}\n[]\n{\"username\":1}\n")
	f.Fuzz(func(t *testing.T, format, content string) {
		file, err := newUserFile(format, strings.NewReader(content))
		if err != nil {
			return
		}
		// Every record ends, well or badly, and reading comes to an end.
		for range len(content) + 2 {
			_, _, err := file.next()
			var bad *lineError
			if err != nil && !errors.As(err, &bad) {
				return
			}
		}
		t.Error("reading does not end")
	})
}
