package nsqd

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// However a file is cut, the topics before the cut are read.
func TestCutMetadata(t *testing.T) {
	const whole = `{"topics":[{"name":"a","paused":true,"channels":null},{"name":"b","paused":false,"channels":[{"name":"c","paused":true}]}],"version":"1.3.0"}`
	ends := []int{strings.Index(whole, `,{"name":"b"`), strings.Index(whole, `],"version"`)} // of topics
	for cut := range len(whole) {
		file, damage := parseMetadata([]byte(whole[:cut]))
		want := 0
		for _, end := range ends {
			if cut >= end {
				want++
			}
		}
		if damage == nil || len(file.Topics) != want {
			t.Errorf("cut at %d: %d topics and damage %v, want %d", cut, len(file.Topics), damage, want)
		}
	}
	if file, damage := parseMetadata([]byte(whole)); damage != nil || len(file.Topics) != 2 || !file.Topics[1].Channels[0].Paused {
		t.Errorf("the whole file is %+v, %v", file, damage)
	}
}

// What is read of a file, damaged or not, is a file that is whole.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"topics":[{"name":"a","paused":true,"channels":null}],"version":"1.3.0"}`))
	f.Add([]byte(`{"topics":[{"name":"a","channels":[{"name":"\xff"}]},{"topics":[1,{"name":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, _ := parseMetadata(data)
		again, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, damage := parseMetadata(again); damage != nil || !reflect.DeepEqual(got, file) {
			t.Errorf("%q was read as %+v, which comes back as %+v, %v", data, file, got, damage)
		}
	})
}

func TestQueuesWithFiles(t *testing.T) {
	opts := NewOptions()
	opts.DataPath = t.TempDir()
	for _, name := range []string{
		"a.diskqueue.meta.dat", "a:b.diskqueue.000000.dat", "a:c.deferred.dat", "a:b.deferred.dat", "big.diskqueue.1000000.dat", "x.diskqueue.y.diskqueue.000001.dat",
		"nsqd.dat", "n.diskqueue.000000.dat.bad", "n.diskqueue.meta.dat.123.tmp", "n.diskqueue.1.dat", "n.deferred.dat.bad",
	} {
		if err := os.WriteFile(filepath.Join(opts.DataPath, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &env{opts: opts, log: slog.New(slog.DiscardHandler)}
	e.durable.init(e)
	if err := e.openDisk(); err != nil {
		t.Fatal(err)
	}
	defer e.closeDisk()
	got, err := (&NSQD{env: e, opts: opts}).queuesWithFiles()
	if want := []string{"a", "a:b", "a:c", "big", "x.diskqueue.y"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("files of %q, %v, want %q", got, err, want)
	}
}
