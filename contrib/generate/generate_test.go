package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
)

// testOptions are those of a daemon that is like the others.
type testOptions struct {
	ID      int64         `section:"First" flag:"node-id" cfg:"id" usage:"number; the default comes from the host" example:"7"`
	Level   string        `flag:"log-level" words:"low high" usage:"least level: low or high" change:"PUT /config/log_level"`
	Cert    string        `section:"Second | third" flag:"tls-cert" words:"file" usage:"PEM file; see --tls-required" more:"It is <not> read twice."`
	TLS     bool          `flag:"tls-required" usage:"clients must use it"`
	Timeout time.Duration `flag:"timeout" usage:"how long"`
	Peers   []string      `flag:"peer" cfg:"peers" usage:"host:port of a peer" example:"127.0.0.1:1"`
}

// testProgram is what readPrograms makes of such a daemon.
func testProgram(t *testing.T) *program {
	t.Helper()
	opts := &testOptions{ID: 617, Level: "low", Timeout: time.Hour}
	var help bytes.Buffer
	fs := flag.NewFlagSet("testd", flag.ContinueOnError)
	fs.SetOutput(&help)
	config.Register(fs, opts)
	fs.String("config", "", "TOML file; see -timeout")
	help.WriteString("Usage of testd:\n")
	fs.PrintDefaults()
	help.WriteString("\n.notation 'is' a-b.\n")

	p := &program{name: "testd", section: 8, does: "a test", comment: "testd is a test.", options: config.Describe(opts), set: "peers"}
	if err := p.readHelp(help.String()); err != nil {
		t.Fatal(err)
	}
	return p
}

// all expects each of the texts in a file.
func all(t *testing.T, got []byte, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(string(got), text) {
			t.Errorf("%q is missing in\n%s", text, got)
		}
	}
}

func TestConfigExample(t *testing.T) {
	all(t, configExample(testProgram(t)),
		"# testd configuration (TOML), for testd --config=<file>\n",
		"\n\n## First\n\n# Number; the default comes from the host.\n#id = 7\n",
		"# Least level: low or high. Can be changed at run time: PUT /config/log_level.\n#log_level = \"low\"\n",
		"\n\n## Second | third\n\n# PEM file; see tls_required. It is <not> read twice.\n#tls_cert = \"\"\n",
		"#tls_required = false\n", "#timeout = \"1h\"\n",
		"\n\n# host:port of a peer.\npeers = [\"127.0.0.1:1\"]\n",
	)
	if head := configHead(testProgram(t)); !strings.Contains(head, `"_" for "-", except id (--node-id) and peers (--peer). A duration`) {
		t.Errorf("the head is %q", head)
	}
}

func TestReference(t *testing.T) {
	p := testProgram(t)
	tool := &program{name: "tool", comment: "tool is one."}
	if err := tool.readHelp("Usage of tool:\n  -mode string\n    \tround-robin, hostpool, epsilon-greedy or all (default \"all\")\n  -n int\n    \tnumber of <x>|y\n  -topic topic\n    \ttopic (may be given several times)\n"); err != nil {
		t.Fatal(err)
	}
	all(t, reference([]*program{p, tool}),
		"\n## testd\n\ntestd is a test.\n\n### testd: First\n\n| flag | key in the file | type | default | meaning |\n",
		"| `--node-id` | `id` | integer | from the host name | Number; the default comes from the host. |\n",
		"| `--log-level` | `log_level` | `low` or `high` | `low` | Least level: low or high. At run time: `PUT /config/log_level`. |\n",
		"| `--tls-cert` | `tls_cert` | path of a file | empty | PEM file; see `--tls-required`. It is &lt;not&gt; read twice. |\n",
		"| `--tls-required` | `tls_required` | boolean | `false` | Clients must use it. |\n",
		"| `--timeout` | `timeout` | duration | `1h` | How long. |\n",
		"| `--peer` | `peers` | list | none | host:port of a peer; may be given several times. |\n",
		"\n### testd: The program itself\n", "| `--config` | none | path of a file | none | TOML file; see -timeout. |\n",
		"\n## tool\n\ntool is one.\n\n| flag | type | default | meaning |\n",
		"| `--mode` | `round-robin`, `hostpool`, `epsilon-greedy` or `all` | `\"all\"` | round-robin, hostpool, epsilon-greedy or all. |\n",
		"| `--n` | integer | `0` | Number of &lt;x&gt;\\|y. |\n",
		"| `--topic` | list of topic | none | Topic (may be given several times). |\n",
	)
}

// A table of words that a flag does not have any more must not be shown.
func TestWordsMustBeTrue(t *testing.T) {
	p := &program{name: "tool"}
	err := p.readHelp("Usage of tool:\n  -mode string\n    \tround-robin or all\n")
	if want := "--mode does not tell of hostpool"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	p = &program{name: "testd", options: testProgram(t).options}
	err = p.readHelp("Usage of testd:\n  -node-id int\n    \tnumber\n")
	if want := "--log-level is missing: are the programs older than their options?"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestManPage(t *testing.T) {
	p := testProgram(t)
	all(t, manPage(p, []*program{p, {name: "other", section: 1}}),
		".TH TESTD 8 ", ".SH NAME\ntestd \\- a test\n",
		".SS First\n.TP\n\\fB\\-\\-node\\-id\\fR=\\fIint\\fR\nNumber; the default comes from the host. Key in the file: id.\n",
		"Least level: low or high. The default is \"low\". Key in the file:\nlog_level. Can be changed at run time: PUT /config/log_level.\n",
		".TP\n\\fB\\-\\-tls\\-required\\fR\nClients must use it. ",
		".SH NOTATION AND SIGNALS\n\\&.notation 'is' a\\-b.\n",
		".SH SEE ALSO\n.BR other (1)\n",
	)
	if got, want := roff(`'a\b`), `\&'a\eb`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The check finds what write has to do, and names it.
func TestCheck(t *testing.T) {
	root := t.TempDir()
	programs := []*program{testProgram(t)}
	path := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	check := func(want ...string) {
		t.Helper()
		var got []string
		if err := compare(root, files(programs)); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	update := func() {
		t.Helper()
		if err := write(root, files(programs)); err != nil {
			t.Fatal(err)
		}
		check()
	}
	check(
		"docs/configuration.md is missing: make generate",
		"contrib/testd.cfg.example is missing: make generate",
		"contrib/man/man8/testd.8 is missing: make generate",
		"contrib/completion/bash/testd is missing: make generate",
		"contrib/completion/zsh/_testd is missing: make generate",
		"contrib/completion/fish/testd.fish is missing: make generate",
	)
	update()

	if err := os.WriteFile(path("contrib/testd.cfg.example"), []byte("id = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path("contrib/man/man8/testd.8")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("contrib/man/man8/gone.8"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(
		"contrib/testd.cfg.example is not what the options say: make generate",
		"contrib/man/man8/testd.8 is missing: make generate",
		"contrib/man/man8/gone.8 is generated no more: make generate",
	)
	update()

	programs[0].options[0].Usage = "another text"
	check("contrib/testd.cfg.example is not what the options say: make generate")
}

func TestWrap(t *testing.T) {
	for text, want := range map[string][]string{
		"a bb ccc":    {"a bb", "ccc"},
		"toolongword": {"toolongword"},
		"a toolong b": {"a", "toolong", "b"},
	} {
		if got := wrap(text, 5); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 10 * time.Second: "10s", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
