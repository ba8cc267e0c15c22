package nsqd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed893f581e/nsq/internal/wire"
)

// ErrLoad is why New fails where nsqd.dat is there and cannot be read, which is
// not to say that it is damaged.
var ErrLoad = errors.New("failed to load metadata")

// load creates the topics and channels of the last run and opens what they
// left on disk. A missing or damaged nsqd.dat is made good by the names of the
// queue files.
func (n *NSQD) load() error {
	if err := removeTempFiles(n.opts.DataPath); err != nil {
		n.log.Warn("NSQ: left-over temporary files could not be removed", "error", err)
	}
	n.env.foldsCase.Store(foldsCase(n.opts.DataPath))
	file, whole, damage, err := n.readMetadata()
	if err != nil {
		return fmt.Errorf("%w - %w", ErrLoad, err)
	}
	queues, err := n.queuesWithFiles()
	if err != nil {
		return fmt.Errorf("failed to list data-path: %w", err)
	}
	l := loading{n: n, log: n.log, whole: whole, byName: make(map[string]*topicToLoad)}
	l.addRecorded(file)
	if err := l.addStored(); err != nil {
		return err
	}
	l.addFound(queues)
	if damage != nil {
		n.log.Error("NSQ: the metadata file is damaged; it is rebuilt from what could be read of it and from the queue files",
			"file", n.metadata.fileName(), "damage", damage, "topics read", len(file.Topics))
	}
	if err := l.run(); err != nil || damage == nil {
		return err
	}
	return n.setAsideMetadata() // last: a start that fails must leave what can be read to the next
}

// readMetadata returns what nsqd.dat holds. whole is false if that is not all,
// as the file is missing or, which damage tells, damaged. The error is that of a
// file that cannot be read.
func (n *NSQD) readMetadata() (file metadataFile, whole bool, damage, err error) {
	data, err := os.ReadFile(n.metadata.fileName())
	if errors.Is(err, fs.ErrNotExist) {
		return file, false, nil, nil
	}
	if err != nil {
		return file, false, nil, err
	}
	file, damage = parseMetadata(data)
	return file, damage == nil, damage, nil
}

// setAsideMetadata keeps a damaged nsqd.dat from being written over.
func (n *NSQD) setAsideMetadata() error {
	aside, err := setAside(n.metadata.fileName())
	if err != nil {
		return fmt.Errorf("%w - the damaged file cannot be set aside: %w", ErrLoad, err)
	}
	n.log.Warn("NSQ: the damaged metadata file was set aside", "as", aside)
	return nil
}

// parseMetadata returns what nsqd.dat holds, and what is wrong with it; then
// that is the topics before the damage.
func parseMetadata(data []byte) (file metadataFile, damage error) {
	if len(data) == 0 {
		return file, errors.New("it is empty")
	}
	damage = json.Unmarshal(data, &file)
	if damage == nil && !utf8.Valid(data) { // which Unmarshal does not mind
		damage = errors.New("it has bytes that are no text")
	}
	if damage == nil {
		return file, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for tok := json.Token(nil); tok != "topics"; {
		var err error
		if tok, err = dec.Token(); err != nil {
			return metadataFile{}, damage
		}
	}
	file = metadataFile{}
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return file, damage
	}
	for dec.More() {
		var tm topicMetadata
		if dec.Decode(&tm) != nil {
			break
		}
		file.Topics = append(file.Topics, tm)
	}
	return file, damage
}

// setAside gives a damaged file another name, one that is free, and returns it.
func setAside(name string) (string, error) {
	aside := name + ".bad"
	for i := 1; exists(aside); i++ {
		aside = fmt.Sprintf("%s.%d.bad", name, i)
	}
	return aside, os.Rename(name, aside)
}

// queuesWithFiles returns the names of the queues that have files: those of the
// disk queue, or of deferred messages.
func (n *NSQD) queuesWithFiles() ([]string, error) {
	entries, err := os.ReadDir(n.opts.DataPath)
	if err != nil {
		return nil, err
	}
	names := n.env.disk.Names()
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), deferredSuffix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// loading is what a start has to load.
type loading struct {
	n      *NSQD
	log    *slog.Logger
	whole  bool // nsqd.dat names everything, so what only has files may be left over from a deletion
	topics []*topicToLoad
	byName map[string]*topicToLoad
	files  int // topics and channels known by their files only
}

type topicToLoad struct {
	name       string
	paused     bool
	foundOnly  bool       // by its files, not in nsqd.dat
	durability Durability // unless the store says otherwise, which has topics of its own
	chosen     bool       // the durability was chosen for it alone
	channels   []channelToLoad
	has        map[string]bool // channels, by name
}

type channelToLoad struct {
	name      string
	paused    bool
	foundOnly bool
}

func (l *loading) topic(name string) *topicToLoad {
	t := l.byName[name]
	if t == nil {
		t = &topicToLoad{name: name, durability: l.n.opts.durabilityOf(name), has: make(map[string]bool)}
		l.byName[name] = t
		l.topics = append(l.topics, t)
	}
	return t
}

func (t *topicToLoad) add(ch channelToLoad) {
	t.has[ch.name] = true
	t.channels = append(t.channels, ch)
}

// addRecorded adds what nsqd.dat names.
func (l *loading) addRecorded(file metadataFile) {
	for _, tm := range file.Topics {
		if !wire.ValidName(tm.Name) {
			l.log.Warn(fmt.Sprintf("skipping creation of invalid topic %s", tm.Name))
			continue
		}
		t := l.topic(tm.Name)
		t.paused = tm.Paused
		t.durability, t.chosen = l.durabilityRecorded(&tm)
		for _, cm := range tm.Channels {
			if !wire.ValidName(cm.Name) {
				l.log.Warn(fmt.Sprintf("skipping creation of invalid channel %s", cm.Name))
			} else if !t.has[cm.Name] {
				t.add(channelToLoad{name: cm.Name, paused: cm.Paused})
			}
		}
	}
}

// addFound adds what has files and is not there yet.
func (l *loading) addFound(queues []string) {
	for _, queue := range queues {
		topic, channel, ofChannel := strings.Cut(queue, queueSeparator)
		if !isStoredName(topic) || ofChannel && !isStoredName(channel) {
			l.log.Warn("NSQ: files that belong to no valid topic or channel are left alone", "queue", queue)
			continue
		}
		t := l.byName[topic]
		if t == nil {
			t = l.topic(topic)
			t.foundOnly = true
			l.files++
		}
		if ofChannel && !t.has[channel] {
			t.add(channelToLoad{name: channel, foundOnly: true})
			l.files++
		}
	}
}

// isStoredName reports whether a topic or channel of that name can have files.
func isStoredName(name string) bool { return wire.ValidName(name) && !wire.IsEphemeral(name) }

func (l *loading) run() error {
	for _, t := range l.topics {
		if err := l.load(t); err != nil {
			return fmt.Errorf("failed to load topic %s: %w", t.name, err)
		}
	}
	if !l.whole && l.files > 0 {
		l.log.Warn("NSQ: without a whole nsqd.dat, topics and channels were rebuilt from their files; which of them were paused is not known, and those without files are missing",
			"rebuilt", l.files)
	}
	return nil
}

func (l *loading) load(tl *topicToLoad) error {
	t, err := l.n.topics.topicOr([]byte(tl.name), func() (*topic, error) {
		return l.n.topics.create(newTopicWanted{name: tl.name, durability: tl.durability, chosen: tl.chosen}, nil)
	})
	if errors.Is(err, errNameTaken) {
		l.log.Error("NSQ: a topic is not loaded", "topic", tl.name, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	return l.fill(t, tl)
}

// fill makes the channels of a topic that was just made, and loads what is on disk.
func (l *loading) fill(t *topic, tl *topicToLoad) error {
	t.setPaused(true) // until every channel is there to get its copy
	for _, cl := range tl.channels {
		if err := l.loadChannel(t, cl); err != nil {
			return fmt.Errorf("channel %s: %w", cl.name, err)
		}
	}
	if err := t.load(); err != nil {
		return err
	}
	others := len(t.allChannels())
	if t.log != nil {
		others += l.n.env.leftClassic(t.name)
	}
	if depth, _ := t.depth(); tl.foundOnly && !l.keep(t.name, depth, others) {
		t.exit(false)
		return l.n.topics.drop(t)
	}
	t.setPaused(tl.paused)
	if depth, _ := t.depth(); depth > 0 && len(t.allChannels()) == 0 {
		l.n.channels.ask(t) // as its last run has not been told the channels, or there are none
	}
	return nil
}

func (l *loading) loadChannel(t *topic, cl channelToLoad) error {
	ch, err := t.channel(cl.name)
	if errors.Is(err, errNameTaken) {
		l.log.Error("NSQ: a channel is not loaded", "topic", t.name, "channel", cl.name, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	if cl.paused {
		ch.setPaused(true)
	}
	if err := ch.load(); err != nil {
		return err
	}
	deferred, _ := ch.deferrals(everything)
	others := int(deferred)
	if ch.queue.log != nil {
		others += l.n.env.leftClassic(ch.queue.name)
	}
	if depth, _ := ch.queue.depth(); cl.foundOnly && !l.keep(ch.queue.name, depth, others) {
		ch.exit(false)
		return l.n.topics.dropChannel(ch)
	}
	return nil
}

// keep decides whether what is known only by its files stays, which it does if
// it holds anything. A whole nsqd.dat may be older than files of a topic that
// was just created, and has messages. Without any the files are the rest of a
// deletion that a crash cut short: such a channel would come back to collect
// messages for nobody.
func (l *loading) keep(queue string, messages int64, others int) bool {
	holds := messages > 0 || others > 0
	switch {
	case l.whole && !holds:
		l.log.Info("NSQ: files of a queue that nsqd.dat does not name hold no message and are removed", "queue", queue)
		return false
	case l.whole:
		l.log.Warn("NSQ: a queue that nsqd.dat does not name has messages on disk and was loaded", "queue", queue, "messages", messages)
	default:
		l.log.Warn("NSQ: rebuilt from its files", "queue", queue, "messages", messages)
	}
	return true
}
