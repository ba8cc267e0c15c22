package nsqd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestNamesThatDifferInCaseOnly(t *testing.T) {
	for _, folds := range []bool{true, false} {
		e := testEnv(t, 1)
		e.foldsCase.Store(folds)
		var ts topics
		ts.init(e)
		orders, err := ts.topic([]byte("orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer orders.stopPump()
		if _, err := orders.channel("billing"); err != nil {
			t.Fatal(err)
		}
		other, err := ts.topic([]byte("Orders"))
		if errors.Is(err, errNameTaken) != folds {
			t.Errorf("on a file system that folds case (%v) a second topic: %v", folds, err)
		}
		if other != nil {
			defer other.stopPump()
		}
		if _, err := orders.channel("Billing"); errors.Is(err, errNameTaken) != folds {
			t.Errorf("on a file system that folds case (%v) a second channel: %v", folds, err)
		}
		if again, err := orders.channel("billing"); again == nil || err != nil {
			t.Errorf("the channel that is there: %v", err)
		}
	}
}

func TestFoldsCase(t *testing.T) {
	dir := t.TempDir()
	if foldsCase(dir) {
		t.Error("without nsqd.dat nothing is known")
	}
	if err := os.WriteFile(filepath.Join(dir, "nsqd.dat"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := os.Stat(filepath.Join(dir, "NSQD.dat"))
	if got := foldsCase(dir); got != (err == nil) {
		t.Errorf("foldsCase = %v, but another spelling gives %v", got, err)
	}
	if os.Link(filepath.Join(dir, "nsqd.dat"), filepath.Join(dir, "NSQD.DAT")) == nil && !foldsCase(dir) {
		t.Error("both names are the same file, and it was not seen")
	}
}
