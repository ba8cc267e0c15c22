package nsq_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// The Go programs of the README compile, and what one publishes the other prints.
func TestReadmePrograms(t *testing.T) {
	nsqtest.Parallel(t)
	readme, err := os.ReadFile(filepath.Join(nsqtest.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d Go programs, want one that publishes and one that consumes", len(blocks))
	}
	lookupd := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	d := nsqtest.Start(t, opts)
	at := strings.NewReplacer("127.0.0.1:4150", d.TCPAddr(), "127.0.0.1:4161", lookupd.HTTPAddr())
	var programs []string
	for i, name := range []string{"publish", "consume"} {
		dir := t.TempDir()
		source := at.Replace(string(blocks[i][1]))
		file := filepath.Join(dir, name+".go")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(dir, name+".exe")
		build := exec.Command("go", "build", "-o", program, file)
		build.Dir = nsqtest.Root()
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("program %q: %v\n%s", name, err, out)
		}
		programs = append(programs, program)
	}

	if out, err := exec.Command(programs[0]).CombinedOutput(); err != nil {
		t.Fatalf("publish: %v\n%s", err, out)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	consume := exec.CommandContext(ctx, programs[1])
	stdout, err := consume.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := consume.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "hello\n" {
		t.Errorf("consume printed %q, %v", line, err)
	}
	consume.Process.Kill()
	consume.Wait()
}
