package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
)

// An nsqd from before durable topics answers a request to create one like any other.
func TestAServerWithoutDurableTopicsIsRecognized(t *testing.T) {
	for name, c := range map[string]struct {
		topic string // what /stats tells of it
		want  error
	}{
		"none":       {`{"topic_name":"bench"}`, errNotDurable},
		"of memory":  {`{"topic_name":"bench","durability":"memory"}`, errNotDurable},
		"as desired": {`{"topic_name":"bench","durability":"disk"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/stats" {
					_, _ = io.WriteString(w, `{"topics":[`+c.topic+`]}`) // the test fails if it does not arrive
				}
			}))
			defer s.Close()
			r := &round{server: &process.Server{HTTP: strings.TrimPrefix(s.URL, "http://")}}
			if err := r.createDurable(t.Context(), "disk"); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestABareWriterLeavesNothingBehind(t *testing.T) {
	r := &round{options: options{time: 20 * time.Millisecond}, dataPath: t.TempDir()}
	for _, zeros := range []bool{false, true} {
		var s syncs
		if err := s.measure(r, zeros); err != nil || s.n == 0 || s.rate() <= 0 {
			t.Errorf("zeros %v: %+v, %v", zeros, s, err)
		}
	}
	if left, err := os.ReadDir(r.dataPath); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFilesBelowADirectoryAreAddedUp(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 100, filepath.Join("x", "b"): 20, filepath.Join("x", "y", "c"): 3} {
		if err := writeFile(filepath.Join(dir, name), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := filesBelow(dir); err != nil || size != 123 {
		t.Errorf("got %d, %v, want 123", size, err)
	}
	if size, err := filesBelow(filepath.Join(dir, "gone")); err != nil || size != 0 {
		t.Errorf("of a directory that is gone: %d, %v", size, err)
	}
}
