package nsqd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// Where the file that names a topic's channels is lost, the log says that, and no log is called
// damaged; the messages are there.
func TestLostNamesOfChannelsAreNoDamagedLog(t *testing.T) {
	for also, want := range map[string]string{
		"":      "the file that names the channels of a topic is lost or damaged: they are found again in the index",
		"index": "the file that names the channels of a topic is lost, and nothing else names them; no message is lost",
	} {
		t.Run("and "+also, func(t *testing.T) {
			opts := durableOptions(t)
			n := nsqtest.Start(t, opts)
			a := newAPI(t, n)
			a.post("/topic/create?topic=t")
			a.post("/channel/create?topic=t&channel=c")
			a.pub("t", "m")
			n.Stop()
			metas, err := filepath.Glob(filepath.Join(opts.DataPath, "store", "topics", "*", "meta.json"))
			if err != nil || len(metas) != 1 {
				t.Fatal(metas, err)
			}
			if err := os.Remove(metas[0]); err != nil {
				t.Fatal(err)
			}
			if also != "" {
				if err := os.RemoveAll(filepath.Join(opts.DataPath, "store", also)); err != nil {
					t.Fatal(err)
				}
			}
			var log loggingtest.Buffer
			opts.Logger = log.Logger(slog.LevelWarn)
			n = nsqtest.Start(t, opts)
			wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 1})
			if text := log.String(); strings.Count(text, want) != 1 || !strings.Contains(text, metas[0]) || strings.Contains(text, "a log is damaged") {
				t.Errorf("it logged %s\nwant %q", text, want)
			}
		})
	}
}
