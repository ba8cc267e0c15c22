package packages_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mayInstall skips a test where it could harm, or be in the way of, what is there.
// Until it ends, no other run of it installs anything.
func mayInstall(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may install packages")
	}
	for _, program := range []string{"dpkg", "userdel"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("systemd runs: this is a machine of somebody, who may have services")
	}
	lock, err := os.OpenFile("/tmp/nsq-install-test.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := user.Lookup("nsq"); err == nil {
		t.Skip("there is a user nsq already")
	}
	if _, err := user.LookupGroup("nsq"); err == nil {
		t.Skip("there is a group nsq already")
	}
	for _, path := range append([]string{"/etc/nsq", "/var/lib/nsq"}, mapKeys(files())...) {
		if _, err := os.Lstat(path); err == nil {
			t.Skipf("%s is there already", path)
		}
	}
	if out, err := exec.Command("dpkg", "-s", "nsq").Output(); err == nil {
		t.Skipf("dpkg knows a package nsq: %s", out)
	}
}

func mapKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// do runs a program that must succeed.
func do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "is locked by another process") {
			t.Skip("somebody else installs packages")
		}
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// A daemon is the installed nsqd, run as its unit does.
type daemon struct {
	t         *testing.T
	cmd       *exec.Cmd
	tcp, http string
}

// startDaemon starts nsqd with the unit's arguments, as the unit's user and in its
// directory, but on free ports.
func startDaemon(t *testing.T) *daemon {
	t.Helper()
	unit, err := os.ReadFile("/usr/lib/systemd/system/nsqd.service")
	if err != nil {
		t.Fatal(err)
	}
	setting := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit has no %s", name)
		}
		return string(m[1])
	}
	args := strings.Fields(setting("ExecStart"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, args[0], append(args[1:], "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0")...)
	cmd.Dir = strings.ReplaceAll(setting("WorkingDirectory"), "%S", "/var/lib")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(t, setting("User"))}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, cmd: cmd}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // says that it was killed
		}
	})
	log := bufio.NewScanner(stderr)
	for d.tcp == "" || d.http == "" {
		if !log.Scan() {
			t.Fatal("nsqd ended before it listened")
		}
		if m := regexp.MustCompile(` (TCP|HTTP): listening on (\S+)$`).FindStringSubmatch(log.Text()); m != nil {
			*map[string]*string{"TCP": &d.tcp, "HTTP": &d.http}[m[1]] = m[2]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the process
	return d
}

func credential(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	if uid == 0 || gid == 0 {
		t.Fatalf("the service user is %v", u)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (d *daemon) publish(message string) {
	d.t.Helper()
	cmd := exec.Command("/usr/bin/to_nsq", "--nsqd-tcp-address="+d.tcp, "--topic=t")
	cmd.Stdin = strings.NewReader(message + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("to_nsq: %v\n%s", err, out)
	}
}

// receive reads one message of a channel.
func (d *daemon) receive() string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/nsq_tail", "--nsqd-tcp-address="+d.tcp, "--topic=t", "--channel=c", "-n=1").Output()
	if err != nil {
		d.t.Fatalf("nsq_tail: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("nsqd: %v", err)
	}
}

func TestDebIsInstalledUsedAndRemoved(t *testing.T) {
	mayInstall(t)
	t.Cleanup(func() {
		_ = exec.Command("dpkg", "--purge", "nsq").Run() // it is gone, unless the test failed
		_ = exec.Command("userdel", "nsq").Run()
		_ = exec.Command("groupdel", "nsq").Run()
		if err := os.RemoveAll("/var/lib/nsq"); err != nil {
			t.Error(err)
		}
		for _, path := range append([]string{"/etc/nsq"}, mapKeys(files())...) {
			if exists(path) {
				t.Errorf("%s is left", path)
			}
		}
	})

	do(t, "dpkg", "--install", debPath())
	d := startDaemon(t)
	d.publish("first")
	if m := d.receive(); m != "first" {
		t.Errorf("received %q", m)
	}
	d.publish("kept")
	d.stop()

	const config = "/etc/nsq/nsqd.cfg"
	changed, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed = append(changed, "\nlog_prefix = \"[changed] \"\n"...)
	if err := os.WriteFile(config, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, "dpkg", "--install", debPath())
	if now, err := os.ReadFile(config); err != nil || string(now) != string(changed) {
		t.Errorf("%s was not kept: %v", config, err)
	}
	d = startDaemon(t)
	if m := d.receive(); m != "kept" {
		t.Errorf("received %q", m)
	}
	d.publish("left")
	d.stop()

	do(t, "dpkg", "--remove", "nsq")
	for path, want := range map[string]bool{"/usr/bin/nsqd": false, config: true, "/var/lib/nsq/nsqd.dat": true} {
		if exists(path) != want {
			t.Errorf("after remove: %s is there: %v", path, !want)
		}
	}
	out := do(t, "dpkg", "--purge", "nsq")
	for path, want := range map[string]bool{"/etc/nsq": false, "/var/lib/nsq/nsqd.dat": true} {
		if exists(path) != want {
			t.Errorf("after purge: %s is there: %v", path, !want)
		}
	}
	if !strings.Contains(out, "/var/lib/nsq holds data and stays") {
		t.Errorf("purge says nothing of the data: %s", out)
	}
}
