package process

import (
	"os"
	"testing"
)

// noProcess is an id beyond those that Linux gives.
const noProcess = 1 << 24

func TestMemory(t *testing.T) {
	now, err := ResidentMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	peak, err := PeakMemory(os.Getpid())
	if err != nil || peak < now/2 || now < 1<<20 {
		t.Errorf("%d bytes, at most %d, %v", now, peak, err)
	}
	if _, err := ResidentMemory(noProcess); err == nil {
		t.Error("a process that does not exist uses memory")
	}
}

func TestOpenFiles(t *testing.T) {
	before, err := OpenFiles(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := OpenFiles(os.Getpid()); err != nil || n != before+1 {
		t.Errorf("%d files are open and then %d, %v", before, n, err)
	}
	if _, err := OpenFiles(noProcess); err == nil {
		t.Error("a process that does not exist has files open")
	}
}
