package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/dirlock"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_store") }

// The time of all messages, and that of those that are deferred, which is to come.
const published = 1_700_000_000_000_000_000

var later = time.Now().Add(time.Hour).UnixNano()

// batch is a batch of messages with ids from id.
func batch(id uint64, bodies ...string) *store.Batch {
	b := &store.Batch{ID: id, Time: published, Count: len(bodies)}
	for _, body := range bodies {
		b.Payload = append(wire.AppendSize(b.Payload, len(body)), body...)
	}
	return b
}

// must ends the test if something went wrong with what it depends on.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, dataPath string) *store.Store {
	t.Helper()
	return must(store.Open(store.Options{Dir: filepath.Join(dataPath, storeDir), Logger: slog.New(slog.DiscardHandler)}))(t)
}

// dataPath makes a data path with two durable topics. One has a channel with messages
// that wait, one of which was delivered three times, and deferred ones, by its
// publisher and by a consumer; the channel of a second has finished all. The other
// topic has no channel.
func dataPath(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := openStore(t, dir)
	orders := must(s.Create("orders", store.Fsync))(t)
	billing := must(orders.CreateChannel("billing"))(t)
	archive := must(orders.CreateChannel("archive"))(t)
	orders.Release()
	deferred := batch(30, "later")
	deferred.Due = later
	ok(t, orders.Append([]*store.Batch{batch(1, "one", "two", "three")}), orders.Append([]*store.Batch{batch(10, "four"), deferred}))

	got := must(billing.Next(nil, 2, math.MaxInt))(t)
	two := store.Message{Batch: got[0].Batch, Index: 1, Offset: wire.SizeLen + len("one"), Count: 1, Attempts: 2}
	ok(t, billing.Defer(two, later+1))
	billing.Attempts(func(yield func(uint64, int, uint16)) { yield(got[0].Seq(), 1, 3) })
	got = must(archive.Next(nil, 100, math.MaxInt))(t)
	finish(archive, got)

	drafts := must(s.Create("drafts", store.Disk))(t)
	deferred = batch(50, "draft for later")
	deferred.Due = later
	ok(t, drafts.Append([]*store.Batch{batch(40, "draft"), deferred}))
	ok(t, s.Close())
	ok(t, os.WriteFile(filepath.Join(dir, metadataName),
		[]byte(`{"topics":[{"name":"orders","paused":false,"channels":[{"name":"billing","paused":true}],"durability":"fsync"},{"name":"in-memory","paused":true,"channels":[]}],"version":"1.4.0"}`), 0o600))
	return dir
}

// tree returns the contents of all files below a directory, with their times.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	ok(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(name)
		all[name] = info.ModTime().String() + "\n" + string(content)
		return err
	}))
	return all
}

// act runs a command in this process, and fails if it changes what it reads.
func act(t *testing.T, command string, o options) (string, error) {
	t.Helper()
	before := tree(t, o.dataPath)
	var out bytes.Buffer
	err := commands[command](t.Context(), &o, &out)
	if after := tree(t, o.dataPath); !maps.Equal(before, after) {
		t.Errorf("%s changed the data path: before %q, after %q", command, slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
	return out.String(), err
}

func TestInfoListsTopicsAndChannels(t *testing.T) {
	dir := dataPath(t)
	out, err := act(t, "info", options{dataPath: dir})
	want := [][]string{
		{"TOPIC", "CHANNEL", "DURABILITY", "DEPTH", "DEFERRED", "BYTES"},
		{"orders", "fsync", "0", "BYTES"},
		{"orders", "billing", "3", "2"},
		{"orders", "archive", "0", "1"},
		{"drafts", "disk", "2", "BYTES"},
	}
	var got [][]string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) == 4 && len(got) > 0 && (fields[1] == "fsync" || fields[1] == "disk") {
			fields[3] = "BYTES"
		}
		got = append(got, fields)
	}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, %q, want %q", err, got, want)
	}
}

func TestInfoAsJSON(t *testing.T) {
	out, err := act(t, "info", options{dataPath: dataPath(t), json: true})
	for _, want := range []string{
		`{"topic_name":"orders","durability":"fsync","depth":0,"bytes":`,
		`"channels":[{"channel_name":"billing","depth":3,"deferred_count":2},{"channel_name":"archive","depth":0,"deferred_count":1}]}`,
		`{"topic_name":"drafts","durability":"disk","depth":2,"bytes":`,
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v, %s lacks %s", err, out, want)
		}
	}
}

// logFile returns the file of a topic's log in which a text is, and its content.
func logFile(t *testing.T, dir, text string) (name string, content []byte) {
	t.Helper()
	for name := range tree(t, dir) {
		content := must(os.ReadFile(name))(t)
		if strings.HasSuffix(name, ".log") && bytes.Contains(content, []byte(text)) {
			return name, content
		}
	}
	t.Fatalf("no log has %q", text)
	return "", nil
}

func TestCheckOfWhatIsWhole(t *testing.T) {
	out, err := act(t, "check", options{dataPath: dataPath(t)})
	if err != nil || !strings.Contains(out, " of 2 topics: ") || !strings.HasSuffix(out, "\nnothing is damaged\n") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestCheckNamesWhatIsDamaged(t *testing.T) {
	dir := dataPath(t)
	name, content := logFile(t, dir, "three")
	content[bytes.Index(content, []byte("three"))] ^= 1
	ok(t, os.WriteFile(name, content, 0o600))
	out, err := act(t, "check", options{dataPath: dir})
	if want := "topic orders: " + name + ", offset 0: "; !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, want) || !strings.Contains(out, " damaged, 3 messages lost\n") {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
	if out, err := act(t, "info", options{dataPath: dir}); err != nil {
		t.Errorf("what is left is not told of: %v, %s", err, out)
	}
}

func TestCheckTellsOfALogThatLostItsEnd(t *testing.T) {
	dir := dataPath(t)
	name, content := logFile(t, dir, "four")
	ok(t, os.Truncate(name, int64(bytes.Index(content, []byte("four")))))
	out, err := act(t, "check", options{dataPath: dir})
	if want := "/log, offset 87: what followed is missing, 3 messages lost\n"; !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, "\n1 file was not closed: ") || !strings.HasSuffix(out, want) {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
}

func TestCheckTellsOfAFileThatIsGone(t *testing.T) {
	dir := dataPath(t)
	name, _ := logFile(t, dir, "four")
	ok(t, os.Remove(name))
	out, err := act(t, "check", options{dataPath: dir})
	if want := "files are missing"; !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, want) {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
}

func TestCheckTellsOfDamagedMetadataOfATopic(t *testing.T) {
	dir := dataPath(t)
	names := must(filepath.Glob(filepath.Join(dir, storeDir, "topics", "*", "meta.json")))(t)
	ok(t, os.WriteFile(names[0], []byte("{"), 0o600), os.Remove(names[1]))
	out, err := act(t, "check", options{dataPath: dir})
	for _, want := range []string{names[0] + " is damaged: nsqd finds the topic's channels", names[1] + " is missing: nsqd finds the topic's channels"} {
		if !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, want) {
			t.Errorf("%v, %s, want %s", err, out, want)
		}
	}
}

func TestCheckTellsOfWhatNSQDGoesOnWithoutAWord(t *testing.T) {
	dir := dataPath(t)
	format := filepath.Join(dir, storeDir, "format")
	names := must(filepath.Glob(filepath.Join(dir, storeDir, "index", "*.log")))(t)
	log := names[len(names)-1]
	content := must(os.ReadFile(log))(t)
	content[len(content)/2] ^= 1
	ok(t, os.WriteFile(format, []byte("!\n"), 0o600), os.WriteFile(log, content, 0o600))
	out, err := act(t, "check", options{dataPath: dir})
	for _, want := range []string{format + " is damaged: nsqd writes it again; ", log + ", offset ", " damaged: nsqd does without what the index has from there on, "} {
		if !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, want) {
			t.Errorf("%v, %s, want %s", err, out, want)
		}
	}
}

// What was due while no nsqd ran is not deferred any more.
func TestInfoCountsWhatIsDueAsDepth(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	orders := must(s.Create("orders", store.Disk))(t)
	billing := must(orders.CreateChannel("billing"))(t)
	orders.Release()
	ok(t, orders.Append([]*store.Batch{batch(1, "due", "due later", "waits")}))
	for _, due := range []int64{published, later} {
		got := must(billing.Next(nil, 1, math.MaxInt))(t)
		ok(t, billing.Defer(got[0], due))
	}
	ok(t, s.Close())
	out, err := act(t, "info", options{dataPath: dir, json: true})
	if want := `{"channel_name":"billing","depth":2,"deferred_count":1}`; err != nil || !strings.Contains(out, want) {
		t.Errorf("%v, %s lacks %s", err, out, want)
	}
}

func TestCheckTellsOfADamagedIndex(t *testing.T) {
	for name, damage := range map[string]func(index string) error{
		"removed": os.RemoveAll,
		"cut": func(index string) error {
			names, err := filepath.Glob(filepath.Join(index, "MANIFEST-*"))
			if err != nil {
				return err
			}
			return os.Truncate(names[len(names)-1], 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := dataPath(t)
			ok(t, damage(filepath.Join(dir, storeDir, "index")))
			out, err := act(t, "check", options{dataPath: dir})
			if !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, "the next start of nsqd rebuilds the index ") {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}

func TestADataPathInUseIsRefused(t *testing.T) {
	dir := dataPath(t)
	lock := must(dirlock.Acquire(dir))(t)
	for command := range commands {
		if _, err := act(t, command, options{dataPath: dir, to: t.TempDir()}); err == nil || err.Error() != "--data-path="+dir+" is in use by an nsqd: stop that first" {
			t.Errorf("%s: %v", command, err)
		}
	}
	ok(t, lock.Unlock())
}

func TestADataPathWithoutDurableTopicsIsAnError(t *testing.T) {
	dir := t.TempDir()
	for command := range commands {
		if _, err := act(t, command, options{dataPath: dir, to: t.TempDir()}); err == nil || !strings.HasPrefix(err.Error(), "--data-path="+dir+" has no durable topics: ") {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// An error that is about a path says which, and by which flag it is given.
func TestPathsAreNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	here := must(os.Getwd())(t)
	missing, file := filepath.Join(here, "missing"), filepath.Join(here, "file")
	ok(t, os.WriteFile(file, nil, 0o600))
	for command := range commands {
		for path, want := range map[string]string{
			"":      "the working directory " + here + ", without --data-path, has no durable topics: there is no store",
			missing: "--data-path=" + missing + " cannot be read: open " + missing + ": ",
			file:    "--data-path=" + file + " cannot be read: open " + file + ": ",
		} {
			err := commands[command](t.Context(), &options{dataPath: path, to: t.TempDir()}, io.Discard)
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s %q: %v, want %s", command, path, err, want)
			}
		}
	}
	if _, err := act(t, "export", options{dataPath: dataPath(t), to: filepath.Join(file, "to")}); err == nil || !strings.HasPrefix(err.Error(), "--to="+filepath.Join(file, "to")+": ") {
		t.Errorf("export to what cannot be made: %v", err)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		options options
		want    string
	}{
		"no command":      {"", options{}, "what to do is missing: check, info or export, before all flags"},
		"unknown command": {"mend", options{}, `unknown command "mend": check, info and export are known`},
		"export to where": {"export", options{}, "--to is required: the directory for what is exported"},
		"check to":        {"check", options{to: "x"}, "--to is for export, not check"},
		"export as JSON":  {"export", options{to: "x", json: true}, "--json is for info, not export"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.options.validate(c.command); err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestTheProgram(t *testing.T) {
	tooltest.CheckVersionAndHelp(t, "nsq_store check|info|export", "data-path", "to", "json")
	dir := dataPath(t)
	if r := tooltest.Run(t, nil, "nsq_store", "check", "--data-path="+dir); r.Code != 0 || r.Stderr != "" || !strings.HasSuffix(r.Stdout, "nothing is damaged\n") {
		t.Errorf("%+v", r)
	}
	if r := tooltest.Run(t, nil, "nsq_store", "export", "-data-path", dir, "-to", filepath.Join(t.TempDir(), "new")); r.Code != 0 || r.Stderr != "" {
		t.Errorf("%+v", r)
	}
	withoutIndex := dataPath(t)
	ok(t, os.RemoveAll(filepath.Join(withoutIndex, storeDir, "index")))
	if r, want := tooltest.Run(t, nil, "nsq_store", "info", "--data-path="+withoutIndex), "messages that were finished are taken for ones that wait, as the index cannot be used: the index is damaged: it is missing\n"; r.Code != 0 || r.Stderr != want {
		t.Errorf("%+v, want stderr %s", r, want)
	}
	name, content := logFile(t, dir, "draft for later")
	content[bytes.Index(content, []byte("draft for later"))] ^= 1
	ok(t, os.WriteFile(name, content, 0o600))
	if r := tooltest.Run(t, nil, "nsq_store", "check", "--data-path", dir); r.Code != 1 || r.Stderr != "" || !strings.Contains(r.Stdout, "topic drafts: ") {
		t.Errorf("%+v", r)
	}
	if r := tooltest.Run(t, nil, "nsq_store", "--data-path="+dir); r.Code != 1 || !strings.Contains(r.Stderr, "what to do is missing") {
		t.Errorf("%+v", r)
	}
}
