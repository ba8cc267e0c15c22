package nsqlookupd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	testTimeout  = 5 * time.Minute
	testLifetime = 45 * time.Second
)

var testStart = time.Unix(1_700_000_000, 0)

// A scene is a registry with named producers and a clock, for tests.
type scene struct {
	t         testing.TB
	registry  *registry
	now       time.Time
	producers map[string]*producer
	budget    int // of each step of a removal

	identified int // so that later ones are later in lists
}

func newScene(t testing.TB) *scene {
	return &scene{t: t, registry: newRegistry(), now: testStart, producers: make(map[string]*producer), budget: stepBudget}
}

// steps does all steps of a removal. A step that removes nothing may follow the
// last one, not more.
func (s *scene) steps(step func() (more bool)) {
	s.t.Helper()
	for more := true; more; {
		before := s.registry.version
		if more = step(); more && s.registry.version == before {
			s.t.Fatal("a step that removed nothing says that there is more")
		}
	}
}

// do executes commands, one a line, in the words of the protocols.
func (s *scene) do(script string) {
	s.t.Helper()
	for line := range strings.Lines(script) {
		if words := strings.Fields(line); len(words) > 0 {
			s.command(append(words, "", "", "")[:4])
		}
	}
}

func (s *scene) command(w []string) {
	s.t.Helper()
	var err error
	switch p := s.producers[w[1]]; w[0] {
	case "IDENTIFY": // name, broadcast address
		s.identified++
		p = newProducer(testInfo(s.identified, w[2]), s.now.UnixNano())
		s.producers[w[1]] = p
		s.registry.identify(p)
	case "PING":
		p.lastUpdate.Store(s.now.UnixNano())
	case "REGISTER":
		err = s.registry.register(p, w[2], w[3])
	case "UNREGISTER":
		s.steps(func() bool { return s.registry.unregister(p, w[2], w[3], s.budget) })
	case "DISCONNECT":
		s.steps(func() bool { return s.registry.disconnect(p, s.budget) })
	case "create":
		err = s.registry.create(w[1], w[2])
	case "delete":
		if w[2] == "" {
			s.steps(func() bool { return s.registry.deleteTopic(w[1], s.budget) })
		} else {
			s.steps(func() bool { return s.registry.deleteChannel(w[1], w[2], s.budget) })
		}
	case "tombstone": // topic, node
		s.registry.tombstone(w[1], w[2], s.now)
	case "wait":
		d, _ := time.ParseDuration(w[1])
		s.now = s.now.Add(d)
	default:
		s.t.Fatalf("no command %q", w[0])
	}
	if err != nil {
		s.t.Errorf("%s: %v", strings.Join(w, " "), err)
	}
}

func testInfo(n int, address string) producerInfo {
	return producerInfo{
		RemoteAddress:    fmt.Sprintf("127.0.0.1:%d", 40000+n),
		Hostname:         "h-" + address,
		BroadcastAddress: address,
		TCPPort:          4150,
		HTTPPort:         4151,
		Version:          "1.4.0",
		TopologyZone:     "z",
		TopologyRegion:   "r",
	}
}

func (s *scene) view() view {
	return view{now: s.now, inactiveTimeout: testTimeout, tombstoneLifetime: testLifetime}
}

// shown is all answers, with producers by name.
func (s *scene) shown() []string { return s.shownOf(s.registry.snapshot()) }

func (s *scene) shownOf(snap *snapshot) []string {
	var lines []string
	for topic := range snap.topics() {
		a := snap.lookup(topic, s.view())
		line := topic + ":"
		for _, c := range a.channels {
			line += " " + c
		}
		line += " |"
		for _, p := range a.producers {
			line += " " + s.name(p)
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *scene) name(p *producer) string {
	for name, q := range s.producers {
		if p == q {
			return name
		}
	}
	return "?"
}

func TestRegistry(t *testing.T) {
	const two = "IDENTIFY a host1\nIDENTIFY b host2\n"
	for name, test := range map[string]struct {
		script string
		want   string // a line for each topic: channels | producers
	}{
		"a channel makes its topic":                      {two + "REGISTER a t c", "t: c | a"},
		"registering twice is once":                      {two + "REGISTER a t c\nREGISTER a t c", "t: c | a"},
		"lists are sorted":                               {two + "REGISTER b u\nREGISTER b t d\nREGISTER a t c", "t: c d | a b\nu: | b"},
		"a channel outlives its producers":               {two + "REGISTER a t c\nUNREGISTER a t c", "t: c | a"},
		"a topic outlives its producers":                 {two + "REGISTER a t c\nUNREGISTER a t", "t: c |"},
		"an ephemeral channel goes with the last":        {two + "REGISTER a t c#ephemeral\nREGISTER b t c#ephemeral\nUNREGISTER a t c#ephemeral\nUNREGISTER b t c#ephemeral", "t: | a b"},
		"an ephemeral channel stays with one":            {two + "REGISTER a t c#ephemeral\nREGISTER b t c#ephemeral\nUNREGISTER a t c#ephemeral", "t: c#ephemeral | a b"},
		"an ephemeral topic goes with its channels":      {two + "REGISTER a t#ephemeral c\nUNREGISTER a t#ephemeral\nUNREGISTER a t#ephemeral c", ""},
		"a topic given up gives up its channels":         {two + "REGISTER a t c#ephemeral\nREGISTER a t d\nREGISTER b t\nUNREGISTER a t", "t: d | b"},
		"keys survive a disconnect":                      {two + "REGISTER a t c\nDISCONNECT a", "t: c |"},
		"ephemeral ones do not":                          {two + "REGISTER a t c#ephemeral\nREGISTER a u#ephemeral d\nDISCONNECT a", "t: |"},
		"unless another has them":                        {two + "REGISTER a t c#ephemeral\nREGISTER b t c#ephemeral\nDISCONNECT a", "t: c#ephemeral | b"},
		"created ones stay":                              {two + "create t#ephemeral c#ephemeral\ncreate u\nUNREGISTER a t#ephemeral c#ephemeral\nUNREGISTER a t#ephemeral", "t#ephemeral: c#ephemeral |\nu: |"},
		"until they lose a producer":                     {two + "create t#ephemeral c\nREGISTER a t#ephemeral\nDISCONNECT a", ""},
		"a deleted topic takes everything":               {two + "REGISTER a t c\nREGISTER b t d#ephemeral\ncreate t e\ndelete t", ""},
		"a deleted ephemeral topic, too":                 {two + "REGISTER a t#ephemeral c\ncreate t#ephemeral d\ndelete t#ephemeral", ""},
		"a deleted channel leaves the topic":             {two + "REGISTER a t c\nREGISTER b t c\ndelete t c", "t: | a b"},
		"the star is a name that is not there":           {two + "REGISTER a t c\ndelete *\nUNREGISTER a *\nUNREGISTER a t *", "t: c | a"},
		"names that begin alike":                         {two + "REGISTER a t c\nREGISTER a t.x d\nREGISTER a tt e\nUNREGISTER a t\ndelete t", "t.x: d | a\ntt: e | a"},
		"an inactive producer is not shown":              {two + "REGISTER a t\nwait 5m\nPING b\nREGISTER b t\nwait 1ns", "t: | b"},
		"at the timeout it is":                           {two + "REGISTER a t\nwait 5m", "t: | a"},
		"PING brings it back":                            {two + "REGISTER a t\nwait 6m\nPING a", "t: | a"},
		"REGISTER does not":                              {two + "REGISTER a t\nwait 6m\nREGISTER a t", "t: |"},
		"a tombstone hides one producer of one topic":    {two + "REGISTER a t\nREGISTER b t\nREGISTER a u\ntombstone t host1:4151", "t: | b\nu: | a"},
		"it ends at its lifetime":                        {two + "REGISTER a t\ntombstone t host1:4151\nwait 45s", "t: | a"},
		"and not before":                                 {two + "REGISTER a t\ntombstone t host1:4151\nwait 44999999999ns", "t: |"},
		"a second one begins anew":                       {two + "REGISTER a t\ntombstone t host1:4151\nwait 44s\ntombstone t host1:4151\nwait 44s", "t: |"},
		"registering again does not clear it":            {two + "REGISTER a t\ntombstone t host1:4151\nREGISTER a t\nREGISTER a t c", "t: c |"},
		"giving up and registering does":                 {two + "REGISTER a t c\ntombstone t host1:4151\nUNREGISTER a t\nREGISTER a t", "t: c | a"},
		"the TCP port does not match":                    {two + "REGISTER a t\ntombstone t host1:4150", "t: | a"},
		"nor does an unknown topic or node":              {two + "REGISTER a t\ntombstone u host1:4151\ntombstone t host1\ntombstone t :4151", "t: | a"},
		"IPv6 without brackets":                          {"IDENTIFY a ::1\nREGISTER a t\ntombstone t ::1:4151", "t: |"},
		"IPv6 with brackets":                             {"IDENTIFY a ::1\nREGISTER a t\ntombstone t [::1]:4151", "t: |"},
		"brackets belong to IPv6":                        {two + "REGISTER a t\ntombstone t [host1]:4151", "t: | a"},
		"a tombstone is for all connections of a node":   {"IDENTIFY a x\nIDENTIFY b x\nREGISTER a t\nREGISTER b t\ntombstone t x:4151", "t: |"},
		"two connections of one nsqd are two producers":  {"IDENTIFY a x\nIDENTIFY b x\nREGISTER a t\nREGISTER b t", "t: | a b"},
		"one of them disconnects":                        {"IDENTIFY a x\nIDENTIFY b x\nREGISTER a t\nREGISTER b t\nDISCONNECT a", "t: | b"},
		"a deleted topic can be registered again":        {two + "REGISTER a t c\ntombstone t host1:4151\ndelete t\nREGISTER a t", "t: | a"},
		"a topic that only exists over HTTP has no node": {"create t c", "t: c |"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, budget := range []int{1, 2, stepBudget} {
				s := newScene(t)
				s.budget = budget
				s.do(test.script)
				if got := strings.Join(s.shown(), "\n"); got != test.want {
					t.Errorf("got\n%s\nwant\n%s, in steps of %d", got, test.want, budget)
				}
			}
		})
	}
}

func encoded(t testing.TB, a answer) string {
	t.Helper()
	var b bytes.Buffer
	if err := a.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Fatalf("not JSON: %s", b.String())
	}
	return b.String()
}

func TestAnswers(t *testing.T) {
	s := newScene(t)
	empty := s.registry.snapshot()
	for want, got := range map[string]string{
		`{"topics":[]}`:    encoded(t, empty.topicsJSON()),
		`{"channels":[]}`:  encoded(t, empty.channelsJSON("t")),
		`{"producers":[]}`: encoded(t, empty.nodesJSON(s.view())),
		`{}`:               encoded(t, empty.debugJSON()),
	} {
		if got != want {
			t.Errorf("an empty registry: got %s, want %s", got, want)
		}
	}

	s.do(`
		IDENTIFY a n1
		IDENTIFY b n2<"
		REGISTER a t1 c2
		REGISTER a t1 c1#ephemeral
		REGISTER a t2
		create t1 c3
		tombstone t1 n1:4151`)
	const (
		a = `"remote_address":"127.0.0.1:40001","hostname":"h-n1","broadcast_address":"n1","tcp_port":4150,"http_port":4151,"version":"1.4.0","topology_zone":"z","topology_region":"r"`
		b = `"remote_address":"127.0.0.1:40002","hostname":"h-n2\u003c\"","broadcast_address":"n2\u003c\"","tcp_port":4150,"http_port":4151,"version":"1.4.0","topology_zone":"z","topology_region":"r"`
	)
	debugA := func(tombstone string) string {
		return `[{"broadcast_address":"n1","hostname":"h-n1","http_port":4151,"id":"127.0.0.1:40001","last_update":1700000000000000000,"tcp_port":4150,` +
			tombstone + `,"topology_region":"r","topology_zone":"z","version":"1.4.0"}`
	}
	const none, set = `"tombstoned":false,"tombstoned_at":-6795364578871345152`, `"tombstoned":true,"tombstoned_at":1700000000000000000`
	if neverTombstoned != (time.Time{}).UnixNano() {
		t.Error("neverTombstoned is not the zero time")
	}
	debugB := strings.NewReplacer("n1", `n2\u003c\"`, "40001", "40002").Replace(debugA(none))[1:]
	debug := `{"client::":` + debugA(none) + `,` + debugB + `],` +
		`"topic:t1:":` + debugA(set) + `],"channel:t1:c1#ephemeral":` + debugA(none) + `],"channel:t1:c2":` + debugA(none) + `],` +
		`"topic:t2:":` + debugA(none) + `]}`
	check := func(when, tombstones, t1 string) {
		snap := s.registry.snapshot()
		for _, c := range []struct{ name, got, want string }{
			{"/topics", encoded(t, snap.topicsJSON()), `{"topics":["t1","t2"]}`},
			{"/channels", encoded(t, snap.channelsJSON("t1")), `{"channels":["c1#ephemeral","c2","c3"]}`},
			{"/lookup t1", string(snap.lookup("t1", s.view()).JSON()), `{"channels":["c1#ephemeral","c2","c3"],"producers":[` + t1 + `]}`},
			{"/lookup t2", string(snap.lookup("t2", s.view()).JSON()), `{"channels":[],"producers":[{` + a + `}]}`},
			{"/nodes", encoded(t, snap.nodesJSON(s.view())), `{"producers":[{` + a + `,"tombstones":` + tombstones + `,"topics":["t1","t2"]},{` + b + `,"tombstones":[],"topics":[]}]}`},
			{"/debug", encoded(t, snap.debugJSON()), debug},
		} {
			if c.got != c.want {
				t.Errorf("%s, %s:\ngot  %s\nwant %s", when, c.name, c.got, c.want)
			}
		}
	}
	check("tombstone", `[true,false]`, ``)
	s.do("wait 45s")
	check("tombstone that expired", `[false,false]`, `{`+a+`}`)
	s.do("wait 5m")
	if got := encoded(t, s.registry.snapshot().nodesJSON(s.view())); got != `{"producers":[]}` {
		t.Errorf("/nodes shows inactive producers: %s", got)
	}
}

func TestTag(t *testing.T) {
	tag := func(script string) string {
		s := newScene(t)
		s.do(script)
		return s.registry.snapshot().lookup("t", s.view()).tag
	}
	const one = "IDENTIFY a x\nREGISTER a t"
	for name, test := range map[string]struct {
		a, b string
		same bool
	}{
		"another connection of the same nsqd":  {one, "IDENTIFY b y\nDISCONNECT b\nIDENTIFY a x\nREGISTER a t", true},
		"another order":                        {one + "\nIDENTIFY b y\nREGISTER b t", "IDENTIFY b y\nREGISTER b t\n" + one, true},
		"channels":                             {one, one + "\nREGISTER a t c\ncreate t d", true},
		"a topic that is not there":            {"", "create u", true},
		"created":                              {"", "create t", false},
		"deleted":                              {one, one + "\ndelete t", false},
		"another nsqd":                         {one, "IDENTIFY a y\nREGISTER a t", false},
		"one connection more of the same nsqd": {one, one + "\nIDENTIFY b x\nREGISTER b t", false},
		"a tombstone":                          {one, one + "\ntombstone t x:4151", false},
		"inactive":                             {one, one + "\nwait 6m", false},
		"producers that are all gone":          {"create t", one + "\nDISCONNECT a", true},
	} {
		if a, b := tag(test.a), tag(test.b); (a == b) != test.same {
			t.Errorf("%s: %s and %s", name, a, b)
		}
	}
}

func TestBounds(t *testing.T) {
	s := newScene(t)
	s.registry.limits = limits{keys: 4, registrations: 5, ofProducer: 3}
	s.do("IDENTIFY a x\nIDENTIFY b y\nREGISTER a t c\nREGISTER a u\nREGISTER b t c\ncreate v")
	before := s.shown()
	for name, test := range map[string]struct {
		do   func() error
		want error
	}{
		"a topic more":                  {func() error { return s.registry.create("w", "") }, errTooManyKeys},
		"a channel more":                {func() error { return s.registry.create("v", "c") }, errTooManyKeys},
		"a registration more of a":      {func() error { return s.registry.register(s.producers["a"], "v", "") }, errTooManyRegistrations},
		"two more in all":               {func() error { return s.registry.register(s.producers["b"], "w", "c") }, errTooManyRegistrations},
		"what is there is still fine":   {func() error { return s.registry.register(s.producers["a"], "t", "c") }, nil},
		"what exists is still fine":     {func() error { return s.registry.create("t", "c") }, nil},
		"a channel of what is not full": {func() error { return s.registry.create("w", "d") }, errTooManyKeys},
	} {
		if err := test.do(); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if after := s.shown(); !reflect.DeepEqual(before, after) {
		t.Errorf("what was refused has changed something: %v, %v", before, after)
	}
	s.do("UNREGISTER a u\nREGISTER a v")
}
