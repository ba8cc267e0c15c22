package nsqd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed893f581e/nsq/internal/store"
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

// While a topic is replaced, nobody takes its name in another case, and it keeps its own.
func TestNameOfATopicThatIsReplaced(t *testing.T) {
	e := testEnv(t, 1)
	e.foldsCase.Store(true)
	var ts topics
	ts.init(e)
	old, err := ts.topic([]byte("orders"))
	if err != nil {
		t.Fatal(err)
	}
	old.stopPump()
	entry := func(*topic) []byte { return []byte("{}") }
	if !ts.beginMaking("orders") || !ts.closeRequests(old, entry, func() bool { return old.exit(false) }) {
		t.Fatal("the topic cannot be replaced")
	}
	ts.replaced(old)
	if _, err := ts.topic([]byte("Orders")); !errors.Is(err, errNameTaken) {
		t.Errorf("a topic with the name in another case: %v", err)
	}
	next, err := ts.make(newTopicWanted{name: "orders"}, nil)
	if next == nil {
		t.Fatalf("the topic is gone: %v", err)
	}
	next.stopPump()
	ts.endReplacing(next)
	ts.endMaking("orders")
}

// A topic of an earlier run that could not be made is made when what was in its way is gone.
func TestALogOutlivesARefusalOfItsName(t *testing.T) {
	e := testEnv(t, 1)
	defer e.durable.close()
	opened, err := e.durable.open()
	if err != nil {
		t.Fatal(err)
	}
	log, err := opened.Create("Orders", store.Disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Append([]*store.Batch{newKeptBatch(1, 0, 0, 1, []byte{0, 0, 0, 1, 'a'})}); err != nil {
		t.Fatal(err)
	}
	e.durable.giveBack(log) // as if the store had been opened with it

	e.foldsCase.Store(true)
	var ts topics
	ts.init(e)
	inTheWay, err := ts.topic([]byte("orders"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ts.topic([]byte("Orders")); !errors.Is(err, errNameTaken) {
		t.Errorf("a topic with a name that is taken: %v", err)
	}
	inTheWay.exit(false)
	if err := ts.drop(inTheWay); err != nil {
		t.Fatal(err)
	}
	again, err := ts.topic([]byte("Orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.stopPump()
	if depth, _ := again.depth(); depth != 1 {
		t.Errorf("it has %d messages, want 1", depth)
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
