package clustertest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// What is created is on disk at once, whatever nsqlookupds do: a broker that
// waited for them could forget a topic in a crash.
func TestHungLookupdsDelayNoMetadata(t *testing.T) {
	opts := nsqtest.Options(t)
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0") // it lets everybody connect, and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		opts.LookupdTCPAddresses = append(opts.LookupdTCPAddresses, l.Addr().String())
	}
	n := &localNSQD{nsqtest.Start(t, opts)}

	begin := time.Now()
	publish(t, n, "t", "hello") // publishers do not wait for the file
	post(t, n.http()+"/channel/create?topic=t&channel=c", "")
	within(t, "a publish and a channel took", begin, 3*time.Second)
	data, err := os.ReadFile(filepath.Join(opts.DataPath, "nsqd.dat"))
	if want := `{"name":"t","paused":false,"channels":[{"name":"c","paused":false}]}`; err != nil || !strings.Contains(string(data), want) {
		t.Errorf("nsqd.dat is %s, %v; want %s in it", data, err, want)
	}
}
