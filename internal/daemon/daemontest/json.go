//go:build unix

package daemontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// CheckJSONLog runs the program with --log-format=json, from flag and file, through
// a whole life and into failures, and expects nothing but objects of JSON. busy
// makes it log, with the addresses as in CheckStop.
func (p Process) CheckJSONLog(t *testing.T, busy func(tcp, http string)) {
	file := filepath.Join(t.TempDir(), p.Name+".cfg")
	if err := os.WriteFile(file, []byte("nobody-knows = 1\nlog_format = \"json\"\nlog_level = \"debug\""), 0o600); err != nil {
		t.Fatal(err)
	}
	d := p.Start(t, "--config="+file, "--verbose")
	tcp := ""
	if !p.HTTPOnly {
		tcp = WaitFor(t, d, `"msg":"TCP: listening on ([^"]+)"`)[1]
	}
	busy(tcp, WaitFor(t, d, `"msg":"HTTP: listening on ([^"]+)"`)[1])
	d.Signal(syscall.SIGHUP)
	WaitFor(t, d, `"msg":"SIGHUP: `)
	r := stops(t, d)
	levels := p.jsonLevels(t, r.Stderr)
	if levels["WARNING"] < 2 || !strings.Contains(r.Stderr, `"msg":"`+p.Bye+`"`) {
		t.Errorf("%v lines, with the last words: want warnings of key and flag, and them", levels)
	}

	for _, args := range [][]string{
		{"--log-format=json", "--config=" + file + ".missing"},
		{"--config=" + file, "--http-address=192.0.2.1:1"},
	} {
		r := tooltest.Run(t, nil, p.Name, append(p.Args[:len(p.Args):len(p.Args)], args...)...)
		if fatal := p.jsonLevels(t, r.Stderr)["FATAL"]; r.Code != 1 || fatal != 1 {
			t.Errorf("%q: exit code %d, %d FATAL lines in\n%s", args, r.Code, fatal, r.Stderr)
		}
	}
	p.CheckWrongArguments(t, `invalid value "xml" for flag -log-format: invalid log format 'xml' (text, json)`, "--log-format=xml")
}

// jsonLevels checks every line, and counts them by level.
func (p Process) jsonLevels(t *testing.T, log string) map[string]int {
	t.Helper()
	levels := map[string]int{}
	for line := range strings.Lines(log) {
		fields, err := uniqueFields(line)
		if err != nil {
			t.Errorf("%s is no object: %v", line, err)
			continue
		}
		level, _ := fields["level"].(string)
		logged, _ := fields["time"].(string)
		_, err = time.Parse(time.RFC3339Nano, logged)
		if text, ok := fields["msg"].(string); !ok || text == "" || err != nil || fields["program"] != p.Name {
			t.Errorf("the fields of %s are not as they must be: %v", line, err)
		}
		levels[level]++
	}
	return levels
}

// uniqueFields reads an object, in which encoding/json alone would take the last
// of several fields of one name.
func uniqueFields(line string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(line))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("begins with %v, %w", start, err)
	}
	fields := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, twice := fields[name.(string)]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		fields[name.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows")
	}
	return fields, nil
}
