package storage

import (
	"context"
	"encoding/json"
	"slices"

	"chancery/authz"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type eventRow struct {
	ID        string `gorm:"primaryKey"`
	Time      int64
	Kind      string
	UserID    string
	ClientID  string
	SID       string `gorm:"column:sid"`
	Actor     string
	Target    string
	Changes   string
	Cause     string
	Address   string
	UserAgent string
	Detail    string
	Once      *string
}

// TableName names the table of eventRow.
func (eventRow) TableName() string { return "security_events" }

func newEventRow(e authz.Event) eventRow {
	row := eventRow{
		ID: e.ID, Time: millis(e.Time), Kind: string(e.Kind), UserID: e.UserID, ClientID: e.ClientID, SID: e.SessionID,
		Actor: e.Actor, Target: e.Target, Changes: encodeChanges(e.Changes), Cause: string(e.Cause), Address: e.Device.Address, UserAgent: e.Device.UserAgent, Detail: e.Detail,
	}
	if e.Once != "" {
		row.Once = &e.Once
	}
	return row
}

func (r eventRow) event() authz.Event {
	e := authz.Event{
		ID: r.ID, Time: moment(r.Time), Kind: authz.EventKind(r.Kind), UserID: r.UserID, ClientID: r.ClientID, SessionID: r.SID,
		Actor: r.Actor, Target: r.Target, Changes: decodeChanges(r.Changes), Cause: authz.Cause(r.Cause), Device: authz.Device{Address: r.Address, UserAgent: r.UserAgent}, Detail: r.Detail,
	}
	if r.Once != nil {
		e.Once = *r.Once
	}
	return e
}

// differenceJSON is one changed field as it is stored.
type differenceJSON struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

func encodeChanges(changes []authz.Difference) string {
	if len(changes) == 0 {
		return ""
	}
	stored := make([]differenceJSON, len(changes))
	for i, d := range changes {
		stored[i] = differenceJSON(d)
	}
	encoded, _ := json.Marshal(stored) // texts alone: it cannot fail
	return string(encoded)
}

// decodeChanges reads what encodeChanges wrote. An event that holds anything
// else, which nobody can have written, is shown without it.
func decodeChanges(text string) []authz.Difference {
	var stored []differenceJSON
	if text == "" || json.Unmarshal([]byte(text), &stored) != nil {
		return nil
	}
	changes := make([]authz.Difference, len(stored))
	for i, d := range stored {
		changes[i] = authz.Difference(d)
	}
	return changes
}

const eventBatch = 100

// insertEvents stores events within a transaction. One whose Once is stored
// already is left out.
func insertEvents(tx *gorm.DB, events ...authz.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]eventRow, len(events))
	for i, event := range events {
		rows[i] = newEventRow(event)
	}
	done := effectsOf(tx)
	done.events = append(done.events, events...)
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "once"}}, DoNothing: true}).CreateInBatches(&rows, eventBatch).Error
}

// AppendEvents implements authz.EventStore.
func (db *DB) AppendEvents(ctx context.Context, events []authz.Event) error {
	return db.transaction(ctx, func(tx *gorm.DB) error { return insertEvents(tx, events...) })
}

// ListEvents implements authz.EventStore.
func (db *DB) ListEvents(ctx context.Context, filter authz.EventFilter) ([]authz.Event, error) {
	var rows []eventRow
	err := db.query(ctx, func(tx *gorm.DB) error {
		for column, value := range map[string]string{
			"kind": string(filter.Kind), "user_id": filter.UserID, "client_id": filter.ClientID, "sid": filter.SessionID,
			"actor": filter.Actor, "target": filter.Target,
		} {
			if value == "" {
				continue
			}
			tx = tx.Where(column+" = ?", value)
			if column == "actor" || column == "target" {
				tx = tx.Where(column + " <> ''") // so that SQLite takes the index, which is partial
			}
		}
		if !filter.From.IsZero() {
			tx = tx.Where("time >= ?", millis(filter.From))
		}
		if !filter.Until.IsZero() {
			tx = tx.Where("time < ?", millis(filter.Until))
		}
		return pageOf(tx, filter.Page, "time", "id").Find(&rows).Error
	})
	events := make([]authz.Event, len(rows))
	for i, row := range rows {
		events[i] = row.event()
	}
	return events, err
}

// personal are the fields of a user that go with the account. What else has
// changed of it stays: an admin must not wipe out what he has done.
var personal = []string{"username", "email", "email_verified", "ban_reason"}

// maxForgotten bounds how many events of one user are changed at once.
const maxForgotten = 10_000

// forgetUser takes out of the events what is personal of a deleted user: his
// devices, and not those of admins who acted on him; and of what was changed of
// the account his names.
func forgetUser(tx *gorm.DB, userID string) error {
	blank := map[string]any{"address": "", "user_agent": ""}
	if err := tx.Model(&eventRow{}).Where("user_id = ? AND actor = ''", userID).Updates(blank).Error; err != nil {
		return err
	}
	if err := tx.Model(&eventRow{}).Where("actor = ? AND actor <> ''", userID).Updates(blank).Error; err != nil {
		return err
	}
	var rows []eventRow
	if err := tx.Where("user_id = ? AND changes <> ''", userID).Order("time DESC, id DESC").Limit(maxForgotten).Find(&rows).Error; err != nil {
		return err
	}
	for _, row := range rows {
		kept := slices.DeleteFunc(decodeChanges(row.Changes), func(d authz.Difference) bool { return slices.Contains(personal, d.Field) })
		if err := tx.Model(&eventRow{}).Where("id = ?", row.ID).Update("changes", encodeChanges(kept)).Error; err != nil {
			return err
		}
	}
	return nil
}
