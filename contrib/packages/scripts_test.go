package packages_test

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A machine is a directory in which a script of the packages runs: it has the directories
// which the script asks for, and programs that only note how they were called.
type machine struct {
	t   *testing.T
	dir string
}

// standIns are the programs that scripts call, and what they do beside noting it.
var standIns = map[string]string{
	"getent":           `grep -qx "$1 $2" "$machine/accounts"`,
	"groupadd":         "",
	"useradd":          "",
	"systemd-sysusers": "",
	"systemctl":        "",
	"install":          `for dir; do :; done; exec mkdir -p "$dir"`,
}

// newMachine makes one with a systemd that runs, directories and accounts as given, like
// "passwd nsq". The programs in failing fail; those in without are not installed.
func newMachine(t *testing.T, systemd bool, accounts, failing, without []string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	m.write("accounts", strings.Join(accounts, "\n")+"\n", 0o600)
	m.write("calls", "", 0o600)
	if systemd {
		m.mkdir("run/systemd/system")
	}
	for name, does := range standIns {
		if slices.Contains(without, name) {
			continue
		}
		if slices.Contains(failing, name) {
			does = "exit 1"
		}
		m.write("bin/"+name, "#!/bin/sh\nmachine="+m.dir+"\necho "+name+` "$@" >>"$machine/calls"`+"\n"+does+"\n", 0o700)
	}
	for _, name := range []string{"grep", "mkdir", "rmdir"} {
		real, err := exec.LookPath(name)
		if err == nil {
			err = os.Symlink(real, m.path("bin/"+name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) mkdir(name string) {
	m.t.Helper()
	if err := os.MkdirAll(m.path(name), 0o700); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	m.mkdir(filepath.Dir(name))
	if err := os.WriteFile(m.path(name), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

// machinePaths are the directories that scripts look into.
var machinePaths = regexp.MustCompile(`/(run|var/lib)/`)

// run runs a script with arguments as its package manager would. It returns the calls of
// programs, but those that only ask, and what the script printed.
func (m *machine) run(script, args string) (calls []string, printed string, err error) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join("scripts", script))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("script", machinePaths.ReplaceAllString(string(text), m.dir+"$0"), 0o600)
	cmd := exec.Command("/bin/sh", append([]string{m.path("script")}, strings.Split(args, " ")...)...)
	cmd.Env = []string{"PATH=" + m.path("bin")}
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		m.t.Fatal(err)
	}
	log, readErr := os.ReadFile(m.path("calls"))
	if readErr != nil {
		m.t.Fatal(readErr)
	}
	for call := range strings.Lines(strings.ReplaceAll(string(log), m.dir, "")) {
		if !strings.HasPrefix(call, "getent ") {
			calls = append(calls, strings.TrimSpace(call))
		}
	}
	return calls, strings.ReplaceAll(string(out), m.dir, ""), err
}

const (
	sysusers = "systemd-sysusers nsq.conf"
	group    = "groupadd --system nsq"
	account  = "useradd --system --gid nsq --home-dir /var/lib/nsq --no-create-home --shell /usr/sbin/nologin --comment NSQ message broker nsq"
	data     = "install -d -o nsq -g nsq -m 0750 /var/lib/nsq"
	reload   = "systemctl daemon-reload"
	restart  = "systemctl try-restart nsqlookupd.service nsqd.service nsqadmin.service"
	disable  = "systemctl disable --now nsqadmin.service nsqd.service nsqlookupd.service"
)

// What each script does for dpkg and rpm, on machines of different kinds.
func TestScripts(t *testing.T) {
	noSysusers := []string{"systemd-sysusers"}
	known := []string{"passwd nsq", "group nsq"}
	for _, tt := range []struct {
		name             string
		script, args     string // without a version, dpkg gives an empty argument
		systemd          bool
		accounts         []string
		dataThere        bool
		failing, without []string
		want             []string
		fails            bool
	}{
		{name: "deb, new, without systemd", script: "postinstall.sh", args: "configure ", without: noSysusers, want: []string{group, account, data}},
		{name: "deb, new, a group is there", script: "postinstall.sh", args: "configure ", without: noSysusers, accounts: known[1:], want: []string{account, data}},
		{name: "deb, new", script: "postinstall.sh", args: "configure ", systemd: true, want: []string{sysusers, data, reload}},
		{name: "deb, upgrade", script: "postinstall.sh", args: "configure 1.3.0", systemd: true, accounts: known, dataThere: true, want: []string{reload, restart}},
		{name: "deb, upgrade, without systemd", script: "postinstall.sh", args: "configure 1.3.0", accounts: known, dataThere: true},
		{name: "deb, upgrade, user and data removed by hand", script: "postinstall.sh", args: "configure 1.3.0", systemd: true, want: []string{sysusers, data, reload, restart}},
		{name: "deb, a failed removal is taken back", script: "postinstall.sh", args: "abort-remove", systemd: true},
		{name: "deb, systemd has trouble", script: "postinstall.sh", args: "configure 1.3.0", systemd: true, accounts: known, dataThere: true, failing: []string{"systemctl"}, want: []string{reload, restart}},
		{name: "deb, no user can be made", script: "postinstall.sh", args: "configure ", without: noSysusers, failing: []string{"useradd"}, want: []string{group, account}, fails: true},
		{name: "rpm, new", script: "postinstall.sh", args: "1", systemd: true, want: []string{sysusers, data, reload}},
		{name: "rpm, new, without systemd", script: "postinstall.sh", args: "1", without: noSysusers, want: []string{group, account, data}},
		{name: "rpm, upgrade", script: "postinstall.sh", args: "2", systemd: true, accounts: known, dataThere: true, want: []string{reload, restart}},

		{name: "deb, before removal", script: "preremove.sh", args: "remove", systemd: true, want: []string{disable}},
		{name: "deb, before removal, without systemd", script: "preremove.sh", args: "remove"},
		{name: "deb, before removal, systemd has trouble", script: "preremove.sh", args: "remove", systemd: true, failing: []string{"systemctl"}, want: []string{disable}},
		{name: "deb, before an upgrade", script: "preremove.sh", args: "upgrade 1.5.0", systemd: true},
		{name: "rpm, before removal", script: "preremove.sh", args: "0", systemd: true, want: []string{disable}},
		{name: "rpm, before an upgrade", script: "preremove.sh", args: "1", systemd: true},

		{name: "deb, after removal", script: "postremove.sh", args: "remove", systemd: true, dataThere: true, want: []string{reload}},
		{name: "deb, after removal, systemd has trouble", script: "postremove.sh", args: "remove", systemd: true, failing: []string{"systemctl"}, want: []string{reload}},
		{name: "deb, purged, no data", script: "postremove.sh", args: "purge", want: nil},
		{name: "rpm, after an upgrade", script: "postremove.sh", args: "1", systemd: true, dataThere: true, want: []string{reload}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.systemd, tt.accounts, tt.failing, tt.without)
			if tt.dataThere {
				m.mkdir("var/lib/nsq")
			}
			calls, printed, err := m.run(tt.script, tt.args)
			if (err != nil) != tt.fails || printed != "" {
				t.Errorf("ended with %v and %q", err, printed)
			}
			if !slices.Equal(calls, tt.want) {
				t.Errorf("called\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// The last removal takes the directory for data, unless there are any.
func TestScriptsKeepData(t *testing.T) {
	for _, args := range []string{"purge", "0", "remove", "1"} {
		for _, data := range []bool{true, false} {
			t.Run(fmt.Sprint(args, ", data: ", data), func(t *testing.T) {
				m := newMachine(t, false, nil, nil, nil)
				m.mkdir("var/lib/nsq")
				if data {
					m.write("var/lib/nsq/nsqd.dat", "{}", 0o600)
				}
				_, printed, err := m.run("postremove.sh", args)
				if err != nil {
					t.Error(err)
				}
				last := args == "purge" || args == "0"
				if _, err := os.Stat(m.path("var/lib/nsq")); (err == nil) != (data || !last) {
					t.Errorf("the directory: %v", cmp.Or(err, errors.New("it is there")))
				}
				if said := strings.Contains(printed, "/var/lib/nsq holds data and stays"); said != (data && last) {
					t.Errorf("says %q", printed)
				}
			})
		}
	}
}
