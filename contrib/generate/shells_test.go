package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// generated returns the files below the root of the repository that match.
func generated(t *testing.T, pattern string, want int) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(nsqtest.Root(), pattern))
	if err != nil || len(paths) != want {
		t.Fatalf("%s: got %q, %v, want %d files", pattern, paths, err, want)
	}
	return paths
}

// need returns a program of the system, or skips the test.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	if runtime.GOOS == "windows" {
		t.Skipf("%s takes no paths of Windows", name)
	}
	return path
}

// run expects a program to end well, with nothing on stderr, and returns the lines
// that it printed.
func run(t *testing.T, name string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = t.TempDir()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := os.WriteFile(filepath.Join(cmd.Dir, "a file.cfg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(cmd.Dir, "a directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("%q: %v, %s%s", args, err, out, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// bashScript asks for the completion of the last of its arguments, which are the
// words as the shell parts them.
const bashScript = `source "$0"
complete -p "$1" >/dev/null || exit
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
"_$1"
printf '%s\n' "${COMPREPLY[@]}"`

func TestBashCompletion(t *testing.T) {
	bash := need(t, "bash")
	for _, path := range generated(t, "contrib/completion/bash/*", 10) {
		run(t, bash, "-n", path)
	}
	const nothing = ""
	for _, c := range []struct {
		words string // parted by "|"
		want  []string
	}{
		{"nsqd|--log-", []string{"--log-level=", "--log-format=", "--log-prefix="}},
		{"nsqd|-log-l", []string{"-log-level="}},
		{"nsqd|--snap", []string{"--snappy"}},
		{"nsqd|--log-level|=|", []string{"debug", "info", "warn", "error", "fatal"}},
		{"nsqd|--log-level|=", []string{"debug", "info", "warn", "error", "fatal"}},
		{"nsqd|-log-level|d", []string{"debug"}},
		{"nsqd|--log-level=d", []string{"--log-level=debug"}}, // where "=" parts no words
		{"nsqlookupd|--log-format|=|", []string{"text", "json"}},
		{"nsqd|--tls-min-version|=|tls1.", []string{"tls1.0", "tls1.1", "tls1.2", "tls1.3"}},
		{"nsqd|--tls-required|=|t", []string{"true", "tcp-https"}},
		{"nsqd|--snappy|=|", []string{"true", "false"}},
		{"nsqd|--snappy|--defl", []string{"--deflate"}}, // a boolean has no value of its own
		{"nsqd|--log-level|=|debug|--defl", []string{"--deflate"}},
		{"nsqadmin|--config|=|a f", []string{"a file.cfg"}},
		{"nsqd|--tls-cert|a", []string{"a directory", "a file.cfg"}},
		{"nsqd|--data-path|a", []string{"a directory"}},
		{"nsq_to_file|-output-dir|", []string{"a directory"}},
		{"nsq_to_http|--mode|=|", []string{"round-robin", "hostpool", "epsilon-greedy", "all"}},
		{"nsqd|--node-id|=|", []string{nothing}},
		{"nsqd|--lookupd-tcp-address|=|host|:|4", []string{nothing}},
		{"nsq_tail|x", []string{nothing}},
		{"to_nsq|", []string{"--delimiter=", "--nsqd-tcp-address=", "--producer-opt=", "--progress", "--rate=", "--topic=", "--version"}},
	} {
		words := strings.Split(c.words, "|")
		path := filepath.Join(nsqtest.Root(), "contrib", "completion", "bash", words[0])
		got := run(t, bash, append([]string{"--norc", "-c", bashScript, path}, words...)...)
		slices.Sort(got)
		if slices.Sort(c.want); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.words, got, c.want)
		}
	}
}

func TestFishCompletion(t *testing.T) {
	fish := need(t, "fish")
	for _, path := range generated(t, "contrib/completion/fish/*.fish", 10) {
		run(t, fish, "--no-execute", path)
	}
	for line, want := range map[string]string{
		"nsqd --log-for":             "--log-format",
		"nsqd --log-format=j":        "--log-format=json",
		"nsqd -tls-min-version tls1": "tls1.0 tls1.1 tls1.2 tls1.3",
		"nsqd --tls-cert a":          "a directory/ a file.cfg",
		"nsqd --data-path a":         "a directory/",
		"nsq_to_http --mode r":       "round-robin",
	} {
		program, _, _ := strings.Cut(line, " ")
		path := filepath.Join(nsqtest.Root(), "contrib", "completion", "fish", program+".fish")
		var got []string
		for _, offer := range run(t, fish, "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", path, line) {
			word, _, _ := strings.Cut(offer, "\t") // and what it is for
			got = append(got, strings.ReplaceAll(word, `\ `, " "))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: got %q, want %q", line, text, want)
		}
	}
}

func TestZshCompletionIsWellFormed(t *testing.T) {
	zsh := need(t, "zsh")
	for _, path := range generated(t, "contrib/completion/zsh/_*", 10) {
		run(t, zsh, "-f", "-n", path)
		text, err := os.ReadFile(path)
		if program := strings.TrimPrefix(filepath.Base(path), "_"); err != nil || !strings.HasPrefix(string(text), "#compdef "+program+"\n") {
			t.Errorf("%s is not for %s, %v", path, program, err)
		}
	}
}

// Every page is read without a warning, by whichever of the readers there are.
func TestManPagesAreWellFormed(t *testing.T) {
	pages := append(generated(t, "contrib/man/man1/*.1", 7), generated(t, "contrib/man/man8/*.8", 3)...)
	for name, args := range map[string][]string{
		"mandoc": {"-T", "lint", "-W", "warning"},
		"groff":  {"-ww", "-man", "-z"},
		"man":    {"--warnings", "-l"},
	} {
		t.Run(name, func(t *testing.T) {
			path := need(t, name)
			if name == "man" && runtime.GOOS != "linux" {
				t.Skip("this man has no --warnings")
			}
			for _, page := range pages {
				run(t, path, append(args, page)...)
			}
		})
	}
}
