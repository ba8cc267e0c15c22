package deploy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestHealthCheckAsksTheDaemon(t *testing.T) {
	cert, key := certstest.SelfSigned(t).Write(t, t.TempDir(), "nsqd")
	for name, start := range map[string]func(dir, address string) []string{
		"nsqd": func(_, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "--http-address=" + address}
		},
		"nsqlookupd, one dash, value apart": func(_, address string) []string {
			return []string{"nsqlookupd", "-tcp-address", "127.0.0.1:0", "-http-address", address}
		},
		"nsqadmin below a path": func(_, address string) []string {
			return []string{"nsqadmin", "--http-address", address, "--nsqd-http-address=127.0.0.1:1", "--base-path=/nsq"}
		},
		"the last flag counts": func(_, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:1", "--http-address=" + address}
		},
		"config file": func(dir, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "--config=" + configFile(t, dir, address)}
		},
		"config file in the working directory": func(dir, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "-config", filepath.Base(configFile(t, dir, address))}
		},
		"a flag before the config file": func(dir, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "--config=" + configFile(t, dir, "127.0.0.1:1"), "--http-address=" + address}
		},
		"HTTP refused without TLS": func(_, address string) []string {
			return []string{"nsqd", "--tcp-address=127.0.0.1:0", "--http-address=" + address, "--https-address=127.0.0.1:0",
				"--tls-required=true", "--tls-cert=" + cert, "--tls-key=" + key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, address := t.TempDir(), freeAddress(t)
			daemon := run(t, dir, start(dir, address)...)
			nsqtest.Eventually(t, "the daemon's HTTP", func() bool {
				resp, err := http.Get("http://" + address + "/ping")
				if err == nil {
					resp.Body.Close()
				}
				return err == nil
			})
			if out, err := healthCheck(t, daemon); err != nil {
				t.Errorf("unhealthy: %v\n%s", err, out)
			}
		})
	}
}

// configFile writes a config file and returns its path.
func configFile(t *testing.T, dir, address string) string {
	file := filepath.Join(dir, "nsqd.cfg")
	text := fmt.Sprintf("# http_address = \"127.0.0.1:2\"\nlog_level = \"info\"\n http_address = %q # here\n", address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestContainersWithoutAnHTTPDaemonAreHealthy(t *testing.T) {
	for name, process := range map[string][]string{
		"tool":        {"nsq_to_http", "--http-address=" + freeAddress(t)},
		"no HTTP":     {"nsqd", "--http-address="},
		"unix socket": {"nsqd", "--http-address=/run/nsqd.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := healthCheck(t, pretend(t, process...)); err != nil {
				t.Errorf("unhealthy: %v\n%s", err, out)
			}
		})
	}
}

func TestHealthCheckFails(t *testing.T) {
	t.Run("nothing listens", func(t *testing.T) {
		t.Parallel()
		daemon := pretend(t, "nsqd", "--http-address="+freeAddress(t))
		if out, err := healthCheck(t, daemon); err == nil {
			t.Errorf("healthy: %s", out)
		}
	})
	t.Run("the second daemon of two", func(t *testing.T) {
		t.Parallel()
		tool, daemon := pretend(t, "nsq_stat"), pretend(t, "nsqlookupd", "--http-address="+freeAddress(t))
		if out, err := healthCheck(t, tool, daemon); err == nil {
			t.Errorf("healthy: %s", out)
		}
	})
	t.Run("an error", func(t *testing.T) {
		t.Parallel()
		address := serve(t, func(w http.ResponseWriter) { http.Error(w, "NOK", http.StatusInternalServerError) })
		if out, err := healthCheck(t, pretend(t, "nsqd", "--http-address="+address)); err == nil {
			t.Errorf("healthy: %s", out)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		done := make(chan struct{})
		address := serve(t, func(http.ResponseWriter) { <-done })
		t.Cleanup(func() { close(done) })
		if out, err := healthCheck(t, pretend(t, "nsqd", "--http-address="+address)); err == nil {
			t.Errorf("healthy: %s", out)
		}
	})
}

func serve(t *testing.T, answer func(http.ResponseWriter)) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}

// healthCheck runs the image's HEALTHCHECK, as an engine would in a container that
// has these processes: directories like those in /proc.
func healthCheck(t *testing.T, processes ...string) (output string, err error) {
	t.Helper()
	proc := t.TempDir()
	for n, dir := range processes {
		if err := os.Symlink(dir, filepath.Join(proc, strconv.Itoa(n+1))); err != nil {
			t.Fatal(err)
		}
	}
	check := theImage(t).health.Health
	if check.Test[0] != "CMD" || len(check.Test) != 2 {
		t.Fatalf("HEALTHCHECK %q, want a program without arguments", check.Test)
	}
	ctx, cancel := context.WithTimeout(t.Context(), check.Timeout)
	defer cancel()
	shell, path := applets(t)
	cmd := exec.CommandContext(ctx, shell, theImage(t).path(check.Test[1]), proc)
	cmd.Env = append(os.Environ(), "PATH="+path, "http_proxy=http://127.0.0.1:1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// applets returns a shell and where it finds its commands: busybox', as in the
// image, or the machine's where there is no busybox.
func applets(t *testing.T) (shell, path string) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Log("without busybox, by the machine's own sh and wget")
		return "sh", os.Getenv("PATH")
	}
	dir := t.TempDir()
	for _, name := range []string{"sh", "tr", "sed", "grep", "wget"} {
		if err := os.Symlink(busybox, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sh"), dir
}

// run starts a program of the image in a directory and returns what /proc has of it.
func run(t *testing.T, dir string, args ...string) (process string) {
	t.Helper()
	cmd := exec.Command(theImage(t).path(args[0]), args[1:]...)
	cmd.Dir = dir
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", args[0], err)
		}
	})
	return fmt.Sprintf("/proc/%d", cmd.Process.Pid)
}

// pretend returns what /proc would have of a process with these arguments.
func pretend(t *testing.T, args ...string) (process string) {
	dir := t.TempDir()
	for name, text := range map[string]string{"comm": args[0] + "\n", "cmdline": strings.Join(args, "\x00") + "\x00"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// freeAddress returns one that nobody listens on.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
