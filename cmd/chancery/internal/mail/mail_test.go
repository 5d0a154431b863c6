package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chancery/authz"
	"chancery/cmd/chancery/internal/mail"

	"github.com/cenkalti/backoff/v5"
)

var (
	errBusy    = errors.New("busy (code 451)")
	errUnknown = backoff.Permanent(errors.New("unknown (code 550)"))
)

// fake is a transport that answers as answer says, and keeps what it took.
type fake struct {
	// answer gets the recipient and how often it was tried before.
	answer func(ctx context.Context, to string, before int) error
	took   chan string

	mu    sync.Mutex
	tries map[string][]time.Time
}

func newFake(answer func(ctx context.Context, to string, before int) error) *fake {
	return &fake{answer: answer, took: make(chan string, 2*mail.MaxQueue), tries: map[string][]time.Time{}}
}

func (f *fake) Deliver(ctx context.Context, message mail.Message) error {
	f.mu.Lock()
	before := len(f.tries[message.To])
	f.tries[message.To] = append(f.tries[message.To], time.Now())
	f.mu.Unlock()
	if err := f.answer(ctx, message.To, before); err != nil {
		return err
	}
	f.took <- message.To
	return nil
}

func (f *fake) triesOf(to string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tries[to])
}

// running is a queue that runs until stop, which returns what it logged.
func running(t *testing.T, f *fake) (q *mail.Queue, stop func() string) {
	t.Helper()
	log := new(bytes.Buffer)
	q = mail.NewQueue(f, slog.New(slog.NewJSONHandler(log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return q, func() string {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		return log.String()
	}
}

func mailTo(to string) authz.Mail {
	m := withLink(authz.MailRegistration)
	m.To = to
	return m
}

// wantPrivate checks that the log tells nothing about whom and what.
func wantPrivate(t *testing.T, log string) {
	t.Helper()
	wantNotIn(t, "the log", log, "mail.example", "token", "https:", "countess")
}

func TestQueueDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, string, int) error { return nil })
		q, stop := running(t, f)
		q.Send(mailTo("ada@mail.example"))
		if to := <-f.took; to != "ada@mail.example" {
			t.Errorf("delivered to %q", to)
		}
		log := stop()
		wantIn(t, "the log", log, `"mail handed over","kind":"registration"`)
		wantPrivate(t, log)
	})
}

func TestQueueRetriesWhatIsTemporary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(_ context.Context, _ string, before int) error {
			if before < 2 {
				return errBusy
			}
			return nil
		})
		q, stop := running(t, f)
		q.Send(mailTo("ada@mail.example"))
		<-f.took
		tries := f.triesOf("ada@mail.example")
		first, second := tries[1].Sub(tries[0]), tries[2].Sub(tries[1])
		if first < 500*time.Millisecond || first > 1500*time.Millisecond || second < 1500*time.Millisecond || second > 4500*time.Millisecond {
			t.Errorf("waited %s and %s, want about 1 s and 3 s", first, second)
		}
		log := stop()
		wantIn(t, "the log", log, `"mail handed over"`, errBusy.Error())
		wantPrivate(t, log)
	})
}

func TestQueueGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, string, int) error { return errBusy })
		q, stop := running(t, f)
		q.Send(mailTo("ada@mail.example"))
		time.Sleep(time.Hour)
		tries := f.triesOf("ada@mail.example")
		if took := tries[len(tries)-1].Sub(tries[0]); len(tries) < 5 || took > 10*time.Minute {
			t.Errorf("%d tries in %s, want several within 10 minutes", len(tries), took)
		}
		log := stop()
		if n := strings.Count(log, `"mail not delivered"`); n != 1 {
			t.Errorf("%d failures logged, want 1:\n%s", n, log)
		}
		wantPrivate(t, log)
	})
}

func TestQueueDoesNotRetryWhatIsPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(context.Context, string, int) error { return errUnknown })
		q, stop := running(t, f)
		q.Send(mailTo("ada@mail.example"))
		time.Sleep(time.Hour)
		if n := len(f.triesOf("ada@mail.example")); n != 1 {
			t.Errorf("%d tries, want 1", n)
		}
		log := stop()
		wantIn(t, "the log", log, `"mail not delivered"`, "unknown (code 550)")
		wantPrivate(t, log)
	})
}

// Mails that a server refuses for now do not hold up the others: anybody can
// cause some.
func TestQueueRetriesBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(_ context.Context, to string, _ int) error {
			if to != "ada@mail.example" {
				return errBusy
			}
			return nil
		})
		q, stop := running(t, f)
		for i := range 50 {
			q.Send(mailTo(fmt.Sprintf("eve%d@mail.example", i)))
		}
		q.Send(mailTo("ada@mail.example"))
		began := time.Now()
		<-f.took
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("delivered after %s, want at once", waited)
		}
		stop()
	})
}

func TestQueueUsesFewConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now, most int
		count := func(n int) { mu.Lock(); defer mu.Unlock(); now += n; most = max(most, now) }
		f := newFake(func(context.Context, string, int) error {
			count(1)
			defer count(-1)
			time.Sleep(time.Second)
			return nil
		})
		q, stop := running(t, f)
		for range 20 {
			q.Send(mailTo("ada@mail.example"))
		}
		for range 20 {
			<-f.took
		}
		stop()
		if most != 2 {
			t.Errorf("%d deliveries at once, want 2", most)
		}
	})
}

// A delivery is bounded by a deadline, and the end of Run does not break it
// off.
func TestQueueDeliveryContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(ctx context.Context, _ string, _ int) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 30*time.Second {
				t.Errorf("deadline %v, %v, want one within 30 s", deadline, ok)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Second):
				return nil
			}
		})
		q, stop := running(t, f)
		q.Send(mailTo("ada@mail.example"))
		synctest.Wait()
		stop()
		if len(f.took) != 1 {
			t.Error("the end of Run broke a delivery off")
		}
	})
}

func TestQueueDropsWhenFull(t *testing.T) {
	log := new(bytes.Buffer)
	f := newFake(func(context.Context, string, int) error { return nil })
	q := mail.NewQueue(f, slog.New(slog.NewJSONHandler(log, nil)))
	for range mail.MaxQueue + 2 { // nothing runs: Send would block for ever
		q.Send(mailTo("ada@mail.example"))
	}
	if n := strings.Count(log.String(), `"mail dropped, too many wait"`); n != 2 {
		t.Errorf("%d drops logged, want 2:\n%s", n, log)
	}
	wantIn(t, "the log", log.String(), `"kind":"registration","dropped":2`)
	wantPrivate(t, log.String())
}

func TestQueueDrainsAtTheEnd(t *testing.T) {
	f := newFake(func(context.Context, string, int) error { return nil })
	q := mail.NewQueue(f, slog.New(slog.DiscardHandler))
	for range mail.MaxQueue {
		q.Send(mailTo("ada@mail.example"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(f.took); n != mail.MaxQueue {
		t.Errorf("%d mails delivered, want %d", n, mail.MaxQueue)
	}
}

// A mail that waits for its next try is tried once more at the end.
func TestQueueTriesOnceMoreAtTheEnd(t *testing.T) {
	for name, last := range map[string]error{"delivered": nil, "refused": errBusy} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(func(_ context.Context, _ string, before int) error {
					if before == 0 {
						return errBusy
					}
					return last
				})
				q, stop := running(t, f)
				q.Send(mailTo("ada@mail.example"))
				synctest.Wait()
				log := stop()
				if n := len(f.triesOf("ada@mail.example")); n != 2 {
					t.Errorf("%d tries, want 2", n)
				}
				if last == nil {
					wantIn(t, "the log", log, `"mail handed over"`)
				} else {
					wantIn(t, "the log", log, `"mail not delivered","kind":"registration","error":"busy (code 451)"`)
				}
				wantPrivate(t, log)
			})
		})
	}
}

// The end is bounded although the server is slow, and what is lost is logged.
func TestQueueEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(ctx context.Context, _ string, _ int) error { <-ctx.Done(); return ctx.Err() })
		q, stop := running(t, f)
		for range 20 {
			q.Send(mailTo("ada@mail.example"))
		}
		synctest.Wait()
		began := time.Now()
		log := stop()
		if took := time.Since(began); took > time.Minute {
			t.Errorf("Run took %s to end", took)
		}
		if n := strings.Count(log, `"mail not delivered"`); n != 20 {
			t.Errorf("%d losses logged, want 20", n)
		}
		wantPrivate(t, log)
	})
}

func TestQueueReportsWhatCannotBeComposed(t *testing.T) {
	f := newFake(func(context.Context, string, int) error { return nil })
	log := new(bytes.Buffer)
	q := mail.NewQueue(f, slog.New(slog.NewJSONHandler(log, nil)))
	m := mailTo("ada@mail.example")
	m.Kind = "unheard_of"
	q.Send(m)
	q.Send(mailTo("ada@mail.example"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Run(ctx); err != nil {
		t.Fatal(err)
	}
	wantIn(t, "the log", log.String(), `"level":"ERROR"`, `"kind":"unheard_of"`)
	wantPrivate(t, log.String())
	if n := len(f.took); n != 1 {
		t.Errorf("%d mails delivered, want the other one", n)
	}
}

func TestLogTransport(t *testing.T) {
	log := new(bytes.Buffer)
	message := composed(t, withLink(authz.MailRegistration))
	if err := (mail.Log{Log: slog.New(slog.NewJSONHandler(log, nil))}).Deliver(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	wantIn(t, "the log", log.String(), `"level":"WARN"`, "ada@mail.example", message.Subject, testLink)
}
