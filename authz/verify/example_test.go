package verify_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"chancery/authz/verify"
)

// A resource server that lets clients read orders with the scope orders:read.
func Example() {
	verifier, err := verify.New("https://login.example", "https://api.example", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = verifier.Run(context.Background()) }() // for as long as the server runs

	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.FromContext(r.Context())
		_, _ = fmt.Fprintln(w, "orders of", token.Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Require("orders:read")(orders))
	mux.Handle("GET "+verifier.MetadataPath(), verifier.Metadata("orders:read"))
	_ = mux // http.ListenAndServe(":8081", mux)
}

// Verify without HTTP: in a queue's consumer, or behind another framework.
func ExampleVerifier_Verify() {
	verifier, err := verify.New("https://login.example", "https://api.example", verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Verify(context.Background(), "not a token")
	fmt.Println(err)
	// Output: invalid token: malformed
}
