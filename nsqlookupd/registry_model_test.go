package nsqlookupd

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
	"pgregory.net/rapid"
)

// A model is a registry that is simple and slow.
type model struct {
	keys map[string]bool    // "topic" or "topic channel"
	has  map[string]bool    // "producer topic" or "producer topic channel"
	seen map[string]int64   // producer: last update
	addr map[string]string  // producer: broadcast address
	dead map[string]float64 // "producer topic": when it was tombstoned
}

func join(words ...string) string { return strings.TrimSpace(strings.Join(words, " ")) }

func newModel() *model {
	return &model{map[string]bool{}, map[string]bool{}, map[string]int64{}, map[string]string{}, map[string]float64{}}
}

// do executes a command of a scene.
func (m *model) do(w []string, now int64) {
	p, topic, channel := w[1], w[2], w[3]
	switch w[0] {
	case "IDENTIFY":
		m.seen[p], m.addr[p] = now, w[2]
	case "PING":
		m.seen[p] = now
	case "REGISTER":
		m.keys[topic], m.keys[join(topic, channel)] = true, true
		m.has[join(p, topic)], m.has[join(p, topic, channel)] = true, true
	case "UNREGISTER":
		m.drop(func(has string) bool {
			return has == join(p, topic, channel) || channel == "" && strings.HasPrefix(has, p+" "+topic+" ")
		})
	case "DISCONNECT":
		m.drop(func(has string) bool { return strings.HasPrefix(has, p+" ") })
		delete(m.seen, p)
	case "create":
		m.keys[w[1]], m.keys[join(w[1], w[2])] = true, true
	case "delete":
		name := join(w[1], w[2])
		under := func(key string) bool {
			return key == name || w[2] == "" && strings.HasPrefix(key, name+" ")
		}
		m.drop(func(has string) bool { _, key, _ := strings.Cut(has, " "); return under(key) })
		maps.DeleteFunc(m.keys, func(key string, _ bool) bool { return under(key) })
	case "tombstone":
		for p := range m.seen {
			if m.has[join(p, w[1])] && m.addr[p]+":4151" == w[2] {
				m.dead[join(p, w[1])] = float64(now)
			}
		}
	}
}

// drop removes registrations, then their tombstones and the ephemeral keys that
// have lost their last one.
func (m *model) drop(which func(has string) bool) {
	lost := map[string]bool{}
	maps.DeleteFunc(m.has, func(has string, _ bool) bool {
		if !which(has) {
			return false
		}
		_, key, _ := strings.Cut(has, " ")
		lost[key] = true
		return true
	})
	maps.DeleteFunc(m.dead, func(has string, _ float64) bool { return !m.has[has] })
	for key := range lost {
		if wire.IsEphemeral(key) && !slices.ContainsFunc(slices.Collect(maps.Keys(m.has)), func(has string) bool {
			return strings.HasSuffix(has, " "+key) && strings.Count(has, " ") == strings.Count(key, " ")+1
		}) {
			maps.DeleteFunc(m.keys, func(k string, _ bool) bool { return k == key || strings.HasPrefix(k, key+" ") })
		}
	}
}

// shown is what scene.shown is, and nodes.
func (m *model) shown(now int64) (lines []string) {
	for _, topic := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.Contains(topic, " ") {
			continue
		}
		line := topic + ":"
		for _, key := range slices.Sorted(maps.Keys(m.keys)) {
			if channel, ok := strings.CutPrefix(key, topic+" "); ok {
				line += " " + channel
			}
		}
		line += " |"
		for _, p := range slices.Sorted(maps.Keys(m.seen)) {
			if m.has[join(p, topic)] && m.active(p, now) && !m.hidden(p, topic, now) {
				line += " " + p
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *model) active(p string, now int64) bool { return now-m.seen[p] <= int64(testTimeout) }

func (m *model) hidden(p, topic string, now int64) bool {
	at, ok := m.dead[join(p, topic)]
	return ok && float64(now)-at < float64(testLifetime)
}

func (m *model) nodes(now int64) (lines []string) {
	for _, p := range slices.Sorted(maps.Keys(m.seen)) {
		if !m.active(p, now) {
			continue
		}
		line := p
		for _, key := range slices.Sorted(maps.Keys(m.keys)) {
			if !strings.Contains(key, " ") && m.has[join(p, key)] {
				line += fmt.Sprintf(" %s=%v", key, m.hidden(p, key, now))
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// nodes is what model.nodes is.
func (s *scene) nodes() (lines []string) {
	snap := s.registry.snapshot()
	snap.producers.Scan(func(p *producer) bool {
		if s.view().active(p) {
			line := s.name(p)
			for reg := range snap.topicsOf(p) {
				line += fmt.Sprintf(" %s=%v", reg.key.topic, snap.hidden(reg, s.view()))
			}
			lines = append(lines, line)
		}
		return true
	})
	return lines
}

// A kept snapshot must show the same for ever.
type kept struct {
	snapshot *snapshot
	shown    string
}

var lastUpdate = regexp.MustCompile(`"last_update":\d+`)

// everything is all that a snapshot holds.
func everything(t testing.TB, s *snapshot) string {
	v := view{now: testStart, inactiveTimeout: math.MaxInt64}
	all := lastUpdate.ReplaceAllString(encoded(t, s.debugJSON()), "") + lastUpdate.ReplaceAllString(encoded(t, s.nodesJSON(v)), "")
	for topic := range s.topics() {
		all += topic + string(s.lookup(topic, v).JSON())
	}
	return all
}

// The registry shows what the model shows after any sequence of commands, in
// steps of any size, and snapshots never change.
func TestRegistryIsTheModel(t *testing.T) {
	topics := []string{"t", "t.1", "u", "t#ephemeral", "v#ephemeral"}
	channels := []string{"c", "d", "c#ephemeral", "e#ephemeral"}
	rapid.Check(t, func(rt *rapid.T) {
		s, m := newScene(t), newModel()
		s.budget = rapid.IntRange(1, 5).Draw(rt, "budget")
		pick := func(names ...string) string { return rapid.SampledFrom(names).Draw(rt, "name") }
		var snapshots []kept
		for n := range rapid.IntRange(1, 60).Draw(rt, "commands") {
			known := slices.Sorted(maps.Keys(m.seen))
			command := rapid.SampledFrom([]string{
				"IDENTIFY", "PING", "REGISTER", "REGISTER", "REGISTER", "REGISTER", "UNREGISTER", "UNREGISTER", "DISCONNECT",
				"create", "delete", "tombstone", "tombstone", "wait", "snapshot",
			}).Draw(rt, "command")
			var w []string
			switch command {
			case "IDENTIFY":
				address := "1.1.1.1"
				if n >= 20 {
					address = "2.2.2.2" // names and addresses are in the same order
				}
				w = []string{command, fmt.Sprintf("p%02d", n), address}
			case "PING", "DISCONNECT", "REGISTER", "UNREGISTER":
				if len(known) == 0 {
					continue
				}
				if w = []string{command, pick(known...)}; command == "REGISTER" || command == "UNREGISTER" {
					w = append(w, pick(topics...), pick(append(channels, "")...))
				}
			case "create", "delete":
				w = []string{command, pick(topics...), pick(append(channels, "")...)}
			case "tombstone":
				w = []string{command, pick(topics...), pick("1.1.1.1:4151", "2.2.2.2:4151")}
			case "wait":
				w = []string{command, pick("1s", "45s", "150s", "5m")}
			case "snapshot":
				snap := s.registry.snapshot()
				snapshots = append(snapshots, kept{snap, everything(t, snap)})
				continue
			}
			w = append(w, "", "", "")[:4]
			s.command(w)
			m.do(w, s.now.UnixNano())
			if w[0] == "DISCONNECT" {
				delete(s.producers, w[1])
			}
			compare(rt, join(w...), s.shown(), m.shown(s.now.UnixNano()))
			compare(rt, join(w...), s.nodes(), m.nodes(s.now.UnixNano()))
		}
		compareDebug(t, rt, s, m)
		for i, k := range snapshots {
			if now := everything(t, k.snapshot); now != k.shown {
				rt.Fatalf("snapshot %d has changed from\n%s\nto\n%s", i, k.shown, now)
			}
		}
	})
}

func compare(rt *rapid.T, what string, got, want []string) {
	if !slices.Equal(got, want) {
		rt.Fatalf("after %q: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// compareDebug compares what is kept but not shown, and the registry's counts.
func compareDebug(t *testing.T, rt *rapid.T, s *scene, m *model) {
	var got []string
	registrations := 0
	s.registry.byProducer.Scan(func(reg registration) bool {
		got = append(got, join(s.name(reg.producer), reg.key.topic, reg.key.channel))
		return true
	})
	slices.Sort(got)
	compare(rt, "all: by producer", got, slices.Sorted(maps.Keys(m.has)))
	got = nil
	s.registry.registrations.Scan(func(reg registration) bool {
		got = append(got, join(s.name(reg.producer), reg.key.topic, reg.key.channel))
		return true
	})
	slices.Sort(got)
	compare(rt, "all: by key", got, slices.Sorted(maps.Keys(m.has)))
	for _, p := range s.producers {
		registrations += p.registrations
	}
	s.registry.keys.Scan(func(k *key) bool { registrations -= k.producers; return true })
	if registrations != 0 {
		rt.Fatalf("producers count %d registrations more than keys", registrations)
	}
	tombstones := strings.Count(encoded(t, s.registry.snapshot().debugJSON()), `"tombstoned":true`)
	if tombstones != len(m.dead) || s.registry.tombstones.Len() != len(m.dead) {
		rt.Fatalf("%d tombstones shown, %d kept, want %d", tombstones, s.registry.tombstones.Len(), len(m.dead))
	}
}

// A registry that had very many and lost all keeps nothing of them.
func TestRegistryIsEmptyInTheEnd(t *testing.T) {
	db := newDatabase(time.Minute, time.Minute)
	producers := (fleet{producers: 20}).connect(db)
	for p, producer := range producers {
		for n := range 5 * stepBudget {
			topic := fmt.Sprintf("t%d#ephemeral", n%(100+p))
			if err := db.register(producer, topic, fmt.Sprintf("c%d", n)); err != nil {
				t.Fatal(err)
			}
			if err := db.createChannel(topic, fmt.Sprintf("d%d", n)); err != nil {
				t.Fatal(err)
			}
		}
		db.tombstone("t1#ephemeral", fmt.Sprintf("host-%d.example.com:4151", p))
	}
	for _, p := range producers {
		db.disconnect(p)
	}
	r := db.registry
	for name, n := range map[string]int{
		"producers": r.producers.Len(), "keys": r.keys.Len(), "registrations": r.registrations.Len(),
		"registrations by producer": r.byProducer.Len(), "tombstones": r.tombstones.Len(),
	} {
		if n != 0 {
			t.Errorf("%d %s are left", n, name)
		}
	}
}
