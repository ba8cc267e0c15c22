package nsqlookupd

// What removes many things does so in steps, so that nobody has to wait for all
// of it: a step removes about as many registrations and keys as its budget
// says, and reports whether there may be more to be done. What others see between two steps is as if each
// registration had been taken back by a command of its own; a topic is the last
// to go, after its channels.

// aboveAll is greater than any name.
const aboveAll = "\xff"

// unregister takes a producer out of a channel or, if that is empty, out of the
// topic and all its channels. Topics and channels stay unless they are ephemeral.
func (r *registry) unregister(p *producer, topic, channel string, budget int) (more bool) {
	if channel == "" {
		return r.removeDown(p, key{topic: topic, channel: aboveAll}, func(k *key) bool { return k.topic == topic }, budget)
	}
	if k := r.find(topic, channel); k != nil && r.registered(p, *k) {
		r.giveUp(p, k, budget)
	}
	return false
}

// disconnect takes a producer out of everything.
func (r *registry) disconnect(p *producer, budget int) (more bool) {
	if r.removeDown(p, key{topic: aboveAll}, func(*key) bool { return true }, budget) {
		return true
	}
	if _, had := r.producers.Delete(p); had {
		r.version++
	}
	return false
}

// removeDown takes a producer out of the keys that are below a pivot and in a
// range, the greatest first: channels before their topics.
func (r *registry) removeDown(p *producer, pivot key, within func(*key) bool, budget int) (more bool) {
	var keys []*key
	r.byProducer.Descend(registration{&pivot, p}, func(reg registration) bool {
		if reg.producer != p || !within(reg.key) {
			return false
		}
		keys = append(keys, reg.key)
		return len(keys) < budget
	})
	for _, k := range keys {
		if budget > 0 {
			budget -= r.giveUp(p, k, budget)
		}
	}
	return budget <= 0
}

// giveUp takes a producer out of a key, and lets the key go if it is ephemeral
// and loses its last producer. It returns how much it has removed; if that is
// all of the budget there may be more to be done.
func (r *registry) giveUp(p *producer, k *key, budget int) (removed int) {
	if k.producers == 1 && k.ephemeral() {
		return r.delete(k, budget)
	}
	r.remove(p, k)
	return 1
}

// deleteTopic removes a topic, its channels and all their registrations.
func (r *registry) deleteTopic(topic string, budget int) (more bool) {
	k := r.find(topic, "")
	return k != nil && r.delete(k, budget) >= budget
}

// deleteChannel removes a channel with its registrations.
func (r *registry) deleteChannel(topic, channel string, budget int) (more bool) {
	k := r.find(topic, channel)
	return k != nil && r.delete(k, budget) >= budget
}

// delete removes a key with its registrations, and with a topic its channels. It
// returns how much it has removed; less than the budget means all.
func (r *registry) delete(k *key, budget int) (removed int) {
	for removed < budget {
		last := k
		if k.channel == "" {
			last = r.lastKey(k.topic)
		}
		for _, p := range r.producersOf(last, budget-removed) {
			r.remove(p, last)
			removed++
		}
		if last.producers > 0 {
			return removed
		}
		r.forget(last)
		removed++
		if last == k {
			return removed
		}
	}
	return removed
}

// lastKey returns the last channel of a topic that exists, or the topic itself.
func (r *registry) lastKey(topic string) (last *key) {
	r.keys.Descend(&key{topic: topic, channel: aboveAll}, func(k *key) bool {
		last = k
		return false
	})
	return last
}

// producersOf returns who is registered for a key, at most n of them.
func (r *registry) producersOf(k *key, n int) []*producer {
	producers := make([]*producer, 0, min(n, k.producers))
	if cap(producers) == 0 {
		return nil
	}
	r.registrations.Ascend(registration{key: k}, func(reg registration) bool {
		producers = append(producers, reg.producer)
		return len(producers) < cap(producers)
	})
	return producers
}
