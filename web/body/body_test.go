package body_test

import (
	"encoding/json"
	"strings"
	"testing"

	"chancery/web/body"

	"github.com/google/go-cmp/cmp"
)

type inner struct {
	Name string `json:"name"`
}

type sample struct {
	Text  string   `json:"text"`
	Count int      `json:"count"`
	Yes   bool     `json:"yes"`
	List  []string `json:"list"`
	Inner []inner  `json:"inner"`
}

func TestUnmarshal(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want *sample
	}{
		"empty object":      {`{}`, &sample{}},
		"all":               {`{"text":"a","count":3,"yes":true,"list":["x","y"],"inner":[{"name":"n"}]}`, &sample{"a", 3, true, []string{"x", "y"}, []inner{{"n"}}}},
		"pair of halves":    {`{"text":"\ud83d\ude00"}`, &sample{Text: "😀"}},
		"nothing":           {``, nil},
		"array":             {`[]`, nil},
		"null":              {`null`, nil},
		"null member":       {`{"text":null}`, nil},
		"null in a list":    {`{"list":[null]}`, nil},
		"twice":             {`{"text":"a","text":"b"}`, nil},
		"twice inside":      {`{"inner":[{"name":"a","name":"b"}]}`, nil},
		"other case":        {`{"Text":"a"}`, nil},
		"other alphabet":    {`{"liſt":[]}`, nil},
		"unknown":           {`{"more":1}`, nil},
		"unknown inside":    {`{"inner":[{"more":1}]}`, nil},
		"half of a pair":    {`{"text":"\ud83d"}`, nil},
		"more after it":     {`{} {}`, nil},
		"not closed":        {`{"list":["a"`, nil},
		"wrong type":        {`{"count":"3"}`, nil},
		"huge number":       {`{"count":1e400}`, nil},
		"too deep":          {`{"list":[[["a"]]]}`, nil},
		"far too deep":      {`{"list":` + strings.Repeat("[", 10_000), nil},
		"not UTF-8":         {"{\"text\":\"\xff\"}", nil},
		"trailing comma":    {`{"text":"a",}`, nil},
		"bare word":         {`{text:"a"}`, nil},
		"control in a text": {"{\"text\":\"a\nb\"}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got sample
			err := body.Unmarshal([]byte(test.text), 3, &got)
			if (err == nil) != (test.want != nil) {
				t.Fatalf("Unmarshal = %v, want success: %v", err, test.want != nil)
			}
			if test.want == nil {
				return
			}
			if diff := cmp.Diff(*test.want, got); diff != "" {
				t.Errorf("body differs (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2,{"b":"c"}]}`, `{"a":null}`, `{"a":1,"a":2}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if body.Check(data, 4) != nil {
			return
		}
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil || object == nil {
			t.Errorf("%q was accepted, and is no object: %v", data, err)
		}
	})
}
