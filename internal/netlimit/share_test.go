package netlimit

import (
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging"
)

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		max       int
		tcp, http int
		want      string
	}{
		{8, 4, 1, "INFO: at most 8 connections are served at a time, by --max-connections\n"},
		{200, 100, 16, "INFO: at most 200 connections are served at a time, by --max-connections\n"},
	} {
		var out strings.Builder
		s, err := Share(tt.max, slog.New(logging.NewHandler(&out, "", slog.LevelInfo)))
		if err != nil {
			t.Fatal(err)
		}
		if s.TCP.share != tt.tcp || s.HTTP.share != tt.http || s.TCP.pool != s.HTTP.pool {
			t.Errorf("%d: %d for TCP, %d for HTTP, want %d and %d", tt.max, s.TCP.share, s.HTTP.share, tt.tcp, tt.http)
		}
		if got := out.String(); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%d: logged %q, want %q", tt.max, got, tt.want)
		}
	}

	var out strings.Builder
	if _, err := Share(math.MaxInt, slog.New(logging.NewHandler(&out, "", slog.LevelInfo))); err != nil {
		t.Fatal(err)
	}
	if want := " allows: at most "; !strings.Contains(out.String(), " WARNING: --max-connections ") || !strings.Contains(out.String(), want) {
		t.Errorf("logged %q for more than there can be", out.String())
	}
}
