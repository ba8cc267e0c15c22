package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what came of a run.
type report struct {
	options
	ledgers       []*ledger
	took          time.Duration
	before, after *needs
	wrong         []string // all that is wrong but the faults in ledgers
}

// ok reports whether nothing is wrong.
func (r *report) ok() bool {
	if len(r.wrong) > 0 {
		return false
	}
	for _, l := range r.ledgers {
		for _, a := range l.channels {
			if a.totals().faulty() {
				return false
			}
		}
	}
	return true
}

// totals are what an account comes to.
type totals struct {
	counts
	deliveries, distinct, finished int64
	again                          [causes]int64
	faults                         [faults]int64
	examples                       []string
}

func (t *totals) faulty() bool { return t.faults != [faults]int64{} }

func (a *account) totals() *totals {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	t := &totals{deliveries: a.deliveries, distinct: a.distinct, again: a.again, faults: a.faults, examples: a.examples}
	for _, c := range a.counts {
		t.finishes += c.finishes
		t.requeues += c.requeues
		t.maybeRequeues += c.maybeRequeues
		t.timeouts += c.timeouts
		t.maybeTimeouts += c.maybeTimeouts
	}
	t.finished = each(a.ledger.next, a.finished.word, func(uint64) {})
	return t
}

// audit compares what the running nsqd has counted since its start with what we have.
func (r *report) audit(ctx context.Context, in *instance) error {
	all, err := in.stats(ctx)
	if err != nil {
		return err
	}
	if all.Health != "OK" || all.Panics > 0 || all.Damage != nil {
		r.wrong = append(r.wrong, fmt.Sprintf("nsqd: health %s, %d panics, damage %+v", all.Health, all.Panics, all.Damage))
	}
	for _, l := range r.ledgers {
		for _, a := range l.channels {
			t, ch, err := find(&all, l.topic, a.name)
			if err != nil {
				return err
			}
			check := func(what string, got, want, more int64) {
				if got < want || got > want+more {
					r.wrong = append(r.wrong, fmt.Sprintf("%s/%s: nsqd says %s %d, which should be %d to %d", l.topic, a.name, what, got, want, want+more))
				}
			}
			p, c := l.publishedTo(in.incarnation), a.counted(in.incarnation)
			check("message_count of the topic", int64(t.Messages), p.acked, p.doubtful)
			check("message_count", int64(ch.Messages), in.carried[l.topic+"/"+a.name]+int64(t.Messages), 0)
			check("finish_count", int64(*ch.Finished), c.finishes, 0)
			check("requeue_count", int64(ch.Requeues), c.requeues, c.maybeRequeues)
			check("timeout_count", int64(ch.Timeouts), c.timeouts, c.maybeTimeouts)
			check("depth", t.Depth+ch.Depth, 0, 0)
			check("in_flight_count", int64(ch.InFlight), 0, 0)
			check("deferred_count", int64(ch.Deferred), 0, 0)
		}
	}
	return nil
}

// counted returns what nsqd must have counted in one incarnation.
func (a *account) counted(incarnation int) counts {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	return *a.countsOf(incarnation)
}

// compare compares what nsqd needs in the end with what it needed after the warm-up.
func (r *report) compare() { r.wrong = append(r.wrong, r.after.exceed(r.before)...) }

// write writes the report.
func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "seed %d, %v, %d restarts of nsqd, %.0f messages per second to %d topics\n\n", r.seed, r.took.Round(time.Second), r.restarts, r.rate, r.topics)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "channel\tpublished\tno answer\trefused\treceived\tfinished\trequeued\ttimed out\tconn lost\t")
	for _, name := range faultNames {
		fmt.Fprintf(tw, "%s\t", name)
	}
	fmt.Fprintln(tw)
	for _, l := range r.ledgers {
		p, refused := l.totals()
		for _, a := range l.channels {
			t := a.totals()
			fmt.Fprintf(tw, "%s/%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t", l.topic, a.name, p.acked, p.doubtful, refused, t.deliveries, t.finished,
				t.again[requeue], t.again[timeOut], t.again[lostConnection])
			for _, n := range t.faults {
				fmt.Fprintf(tw, "%d\t", n)
			}
			fmt.Fprintln(tw)
		}
	}
	tw.Flush()
	r.writeNeeds(w)
	r.writeWrong(w)
}

func (r *report) writeNeeds(w io.Writer) {
	fmt.Fprintln(w)
	for _, n := range []struct {
		when string
		*needs
	}{{"after the warm-up", r.before}, {"in the end", r.after}} {
		if n.needs != nil {
			fmt.Fprintf(w, "nsqd at rest, %-18s %.1f MiB resident, %.1f MiB heap, %d goroutines, %d open descriptors\n", n.when+":", mib(n.resident), mib(n.heap), n.goroutines, n.files)
		}
	}
	fmt.Fprintf(w, "(memory may grow by %.0f%% and %d MiB, the others not at all)\n", moreMemoryShare*100, moreMemory>>20)
}

func (r *report) writeWrong(w io.Writer) {
	if r.ok() {
		fmt.Fprintln(w, "every message is accounted for, and nsqd counts as we do")
		return
	}
	fmt.Fprintln(w, "\nWRONG:")
	for _, l := range r.ledgers {
		for _, a := range l.channels {
			if t := a.totals(); t.faulty() {
				fmt.Fprintln(w, strings.Join(t.examples, "\n"))
			}
		}
	}
	for _, text := range r.wrong {
		fmt.Fprintln(w, text)
	}
}
