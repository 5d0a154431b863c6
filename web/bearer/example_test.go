package bearer_test

import (
	"context"
	"log"
	"net/http"

	"chancery/authz/verify"
	"chancery/web/bearer"

	"github.com/gin-gonic/gin"
)

// A resource server on Gin that lets clients read orders with the scope
// orders:read.
func Example() {
	verifier, err := verify.New("https://login.example", "https://api.example", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = verifier.Run(context.Background()) }() // for as long as the server runs

	router := gin.New()
	router.GET("/orders", bearer.Require(verifier, "orders:read"), func(c *gin.Context) {
		token, _ := bearer.Token(c)
		c.String(http.StatusOK, "orders of %s", token.Subject)
	})
	router.GET(verifier.MetadataPath(), gin.WrapH(verifier.Metadata("orders:read")))
	_ = router // router.Run(":8081")
}
