package main

import (
	"context"
	"log/slog"

	"chancery/authz"
)

// logEvents writes a line for each security event that this process stored.
func (a *app) logEvents(ctx context.Context, events []authz.Event) {
	for _, event := range events {
		attrs := []slog.Attr{slog.String("event", string(event.Kind)), slog.String("event_id", event.ID)}
		for _, field := range [][2]string{
			{"user_id", event.UserID},
			{"client_id", event.ClientID},
			{"sid", event.SessionID},
			{"actor", event.Actor},
			{"target", event.Target},
			{"cause", string(event.Cause)},
			{"address", event.Device.Address},
			{"detail", event.Detail},
		} {
			if field[1] != "" {
				attrs = append(attrs, slog.String(field[0], field[1]))
			}
		}
		a.log.LogAttrs(ctx, slog.LevelInfo, "security event", attrs...)
	}
}
