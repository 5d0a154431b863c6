package account

import (
	"net/http"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// callerBody is how a request without access token says which client it comes
// from. A confidential client sends its secret too.
type callerBody struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// caller returns who makes the request.
func (b callerBody) caller(c *gin.Context) authz.Caller {
	respond.NoteClient(c, b.ClientID)
	credentials := authz.Credentials{ClientID: b.ClientID, Secret: authz.Secret(b.ClientSecret), Method: authz.AuthNone}
	if b.ClientSecret != "" {
		credentials.Method = authz.AuthAnySecret
	}
	return authz.Caller{Credentials: credentials, Address: c.ClientIP(), UserAgent: c.Request.UserAgent()}
}

// proofBody is the link or code of a mail.
type proofBody struct {
	Token     string `json:"token"`
	RequestID string `json:"request_id"`
	Code      string `json:"code"`
}

func (b proofBody) proof() authz.Proof {
	return authz.Proof{Token: authz.Secret(b.Token), RequestID: authz.Secret(b.RequestID), Code: authz.Secret(b.Code)}
}

func (e *Endpoints) register(c *gin.Context) error {
	var body struct {
		callerBody
		Username string `json:"username"`
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	registration := authz.Registration{Username: body.Username, Email: body.Email, Password: authz.Secret(body.Password)}
	sent, err := e.Recovery.Register(c.Request.Context(), body.caller(c), registration)
	if err != nil {
		return err
	}
	return accepted(c, sent)
}

func (e *Endpoints) verifyEmail(c *gin.Context) error {
	var body struct {
		callerBody
		proofBody
		Password string `json:"password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	user, err := e.Recovery.VerifyEmail(c.Request.Context(), body.caller(c), body.proof(), authz.Secret(body.Password))
	if err != nil {
		return err
	}
	return answerUser(c, user)
}

func (e *Endpoints) forgotPassword(c *gin.Context) error {
	var body struct {
		callerBody
		Username string `json:"username"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	sent, err := e.Recovery.ForgotPassword(c.Request.Context(), body.caller(c), body.Username)
	if err != nil {
		return err
	}
	return accepted(c, sent)
}

func (e *Endpoints) resetPassword(c *gin.Context) error {
	var body struct {
		callerBody
		proofBody
		NewPassword string `json:"new_password"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	if err := e.Recovery.ResetPassword(c.Request.Context(), body.caller(c), body.proof(), authz.Secret(body.NewPassword)); err != nil {
		return err
	}
	return empty(c)
}

// strengthAnswer is what a form shows beside the password that is being
// chosen.
type strengthAnswer struct {
	Score      int    `json:"score"`
	CrackTime  string `json:"crack_time"`
	Acceptable bool   `json:"acceptable"`
	Problem    string `json:"problem,omitempty"`
}

func (e *Endpoints) strength(c *gin.Context) error {
	var body struct {
		callerBody
		Password string `json:"password"`
		Username string `json:"username"`
		Email    string `json:"email"`
	}
	if err := decode(c, &body); err != nil {
		return err
	}
	strength, err := e.Recovery.Strength(c.Request.Context(), body.caller(c), authz.Secret(body.Password), body.Username, body.Email)
	if err != nil {
		return err
	}
	respond.JSON(c, http.StatusOK, strengthAnswer{
		Score: strength.Score, CrackTime: strength.CrackTime, Acceptable: strength.Problem == "", Problem: strength.Problem,
	})
	return nil
}
