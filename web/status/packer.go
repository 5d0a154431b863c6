package status

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"chancery/authz"
	"chancery/web/respond"

	"github.com/gin-gonic/gin"
)

// packer keeps the gzip form of lists, which is made once for each version.
// The double base64 of a list compresses well.
type packer struct {
	mu    sync.Mutex
	lists map[string]packed
}

type packed struct {
	version int64
	body    []byte
}

// maxPacked bounds how many lists are kept compressed; lists that have retired
// are among them until they are dropped all at once.
const maxPacked = 4096

// write answers with the list, compressed if the client takes that, or with
// 304 if it has it.
func (p *packer) write(c *gin.Context, list authz.SignedStatusList) error {
	c.Header("Vary", "Accept-Encoding")
	body, tag := []byte(list.Token), strconv.FormatInt(list.Version, 10)
	compressed := acceptsGzip(c.GetHeader("Accept-Encoding"))
	if compressed {
		var err error
		if body, err = p.gzip(list); err != nil {
			return err
		}
		tag += "-gzip"
	}
	if respond.NotModified(c, `"`+tag+`"`) {
		return nil
	}
	if compressed {
		c.Header("Content-Encoding", "gzip")
	}
	c.Data(http.StatusOK, mediaType, body)
	return nil
}

func (p *packer) gzip(list authz.SignedStatusList) ([]byte, error) {
	p.mu.Lock()
	kept := p.lists[list.ID]
	p.mu.Unlock()
	if kept.version == list.Version {
		return kept.body, nil
	}
	var body bytes.Buffer
	writer := gzip.NewWriter(&body)
	if _, err := writer.Write([]byte(list.Token)); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lists == nil || len(p.lists) >= maxPacked {
		p.lists = map[string]packed{}
	}
	if p.lists[list.ID].version < list.Version {
		p.lists[list.ID] = packed{version: list.Version, body: body.Bytes()}
	}
	return body.Bytes(), nil
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110 section 12.5.3).
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		coding, weight, weighted := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
		return !weighted || (err == nil && q > 0)
	}
	return false
}
