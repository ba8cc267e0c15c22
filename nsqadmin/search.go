package nsqadmin

import (
	"cmp"
	"slices"
	"strings"
)

// How well a name matches what is looked for, the best first.
const (
	matchExact    = iota // but for upper and lower case
	matchPrefix          // the name begins with it
	matchWord            // a part of the name begins with it, after one of . _ - : / @
	matchInside          // it is somewhere in the name
	matchAllWords        // all its words are somewhere
	matchNone
)

// match tells how well a name matches a query, which is in lower case and not
// empty.
func match(name, query string) int {
	name = strings.ToLower(name)
	at := strings.Index(name, query)
	switch {
	case name == query:
		return matchExact
	case at == 0:
		return matchPrefix
	case at > 0:
		for ; at > 0; at = indexFrom(name, query, at+1) {
			if strings.IndexByte("._-:/@#", name[at-1]) >= 0 {
				return matchWord
			}
		}
		return matchInside
	}
	for word := range strings.FieldsSeq(query) {
		if !strings.Contains(name, word) {
			return matchNone
		}
	}
	return matchAllWords
}

// indexFrom is strings.Index from an offset on.
func indexFrom(s, part string, from int) int {
	if i := strings.Index(s[from:], part); i >= 0 {
		return from + i
	}
	return -1
}

// A hit is something that was found.
type hit struct {
	Kind   string // topic, channel, node, nsqlookupd, consumer, producer
	Name   string
	Detail string   // what an operator wants to know beside the name
	Page   []string // segments of the path of its page

	rank int
}

// A search collects what matches a query.
type search struct {
	query string // in lower case, not empty
	hits  []hit
}

// offer adds h if its name or one of the others matches.
func (s *search) offer(h hit, others ...string) {
	h.rank = match(h.Name, s.query)
	for _, name := range others {
		h.rank = min(h.rank, match(name, s.query))
	}
	if h.rank < matchNone {
		s.hits = append(s.hits, h)
	}
}

// kinds is the order of what matches equally well.
var kinds = []string{"topic", "channel", "node", "nsqlookupd", "consumer", "producer"}

// ranked returns what was found, the best first.
func (s *search) ranked() []hit {
	slices.SortStableFunc(s.hits, func(a, b hit) int {
		return cmp.Or(
			cmp.Compare(a.rank, b.rank),
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)),
			cmp.Compare(len(a.Name), len(b.Name)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return s.hits
}
