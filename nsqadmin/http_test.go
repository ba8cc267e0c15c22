package nsqadmin

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestPing(t *testing.T) {
	a := start(t, testOptions(t, nsqtest.StartLookupd(t, nil)))
	a.want(200, "OK", "GET", "/ping", "")
}
