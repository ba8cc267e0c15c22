package main

import "time"

// rotation says when a file is full. Zero values set no limit.
type rotation struct {
	size     int64
	interval time.Duration
}

// written is what a rotation looks at.
type written struct {
	name   string    // without its number
	opened time.Time // when we did
	size   int64     // before compression, with what was there when it was opened
}

// due reports whether a new file is to be begun before the next message, whose file
// is called name.
func (r rotation) due(w written, name string, now time.Time) bool {
	return w.name != name ||
		r.interval > 0 && now.Sub(w.opened) > r.interval ||
		r.over(w.size)
}

// over reports whether a file of a size takes no more messages.
func (r rotation) over(size int64) bool { return r.size > 0 && size > r.size }
