package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxSetting is how many bytes the value of an option may have.
const maxSetting = 64 << 10

// Setting asks an nsqd for one of its options, by its key in a config file. The
// value is a string where it answers with text, and else what the JSON is, with
// a json.Number for numbers. Errors are those of Get.
func (c *Client) Setting(ctx context.Context, nsqd, key string) (any, error) {
	resp, err := c.do(ctx, http.MethodGet, nsqd, "/config/"+key, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSetting+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxSetting {
		return nil, &AnswerError{fmt.Errorf("has more than %d bytes", maxSetting)}
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return string(body), nil
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, &AnswerError{fmt.Errorf("is not as expected: %w", err)}
	}
	return value, nil
}
