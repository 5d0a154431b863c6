package account

import (
	"errors"
	"net/http"
	"time"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

func (e *Endpoints) me(c *gin.Context, p authz.Principal) error {
	if err := checkQuery(c); err != nil {
		return err
	}
	user, err := e.Self.Me(c.Request.Context(), p)
	if err != nil {
		return err
	}
	return answerUser(c, user)
}

func (e *Endpoints) changePassword(c *gin.Context, p authz.Principal) error {
	var body struct {
		CurrentPassword string `json:"current_password"`
		NewPassword     string `json:"new_password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := e.Self.ChangePassword(c.Request.Context(), p, authz.Secret(body.CurrentPassword), authz.Secret(body.NewPassword)); err != nil {
		return err
	}
	return empty(c)
}

func (e *Endpoints) changeEmail(c *gin.Context, p authz.Principal) error {
	var body struct {
		CurrentPassword string `json:"current_password"`
		Email           string `json:"email"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	sent, err := e.Self.ChangeEmail(c.Request.Context(), p, authz.Secret(body.CurrentPassword), body.Email)
	if err != nil {
		return err
	}
	return accepted(c, sent)
}

func (e *Endpoints) delete(c *gin.Context, p authz.Principal) error {
	var body struct {
		CurrentPassword string `json:"current_password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := e.Self.Delete(c.Request.Context(), p, authz.Secret(body.CurrentPassword)); err != nil {
		return err
	}
	return empty(c)
}

// sessionAnswer is one session of the user.
type sessionAnswer struct {
	ID         string `json:"id"`
	ClientID   string `json:"client_id"`
	ClientName string `json:"client_name,omitempty"`
	// Device is what the device calls itself.
	Device     string    `json:"device"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	Current    bool      `json:"current"`
}

func (e *Endpoints) sessions(c *gin.Context, p authz.Principal) error {
	if err := checkQuery(c); err != nil {
		return err
	}
	families, err := e.Sessions.Sessions(c.Request.Context(), p)
	if err != nil {
		return err
	}
	sessions := []sessionAnswer{}
	for _, f := range families {
		client, err := e.Clients.Client(c.Request.Context(), f.ClientID)
		if err != nil && !errors.Is(err, authz.ErrNotFound) {
			return err
		}
		sessions = append(sessions, sessionAnswer{
			ID: f.SessionID, ClientID: f.ClientID, ClientName: client.Name, Device: f.Device.UserAgent, Address: f.Device.Address,
			CreatedAt: f.CreatedAt, LastUsedAt: f.RotatedAt, Current: f.SessionID == p.SessionID,
		})
	}
	respond.JSON(c, http.StatusOK, map[string]any{"sessions": sessions})
	return nil
}

func (e *Endpoints) endSession(c *gin.Context, p authz.Principal) error {
	if err := checkQuery(c); err != nil {
		return err
	}
	if err := e.Sessions.EndSession(c.Request.Context(), p, c.Param("id")); err != nil {
		return err
	}
	return empty(c)
}

// logout reads which sessions end from the query, where nothing of it is
// secret.
func (e *Endpoints) logout(c *gin.Context, p authz.Principal) error {
	if err := checkQuery(c, "scope"); err != nil {
		return err
	}
	n, err := e.Sessions.Logout(c.Request.Context(), p, authz.LogoutScope(c.DefaultQuery("scope", string(authz.LogoutLocal))))
	if err != nil {
		return err
	}
	respond.JSON(c, http.StatusOK, map[string]int{"ended": n})
	return nil
}
