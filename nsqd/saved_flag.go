package nsqd

import "sync/atomic"

// A savedFlag is a property that nsqd.dat keeps, and that is in force only once it
// is written there: what cannot be kept does not happen. It is safe for concurrent use.
type savedFlag struct {
	next atomic.Bool // what nsqd.dat is to say
	says atomic.Bool // what it says, or is to say in any case
}

// set changes the flag whatever becomes of nsqd.dat.
func (f *savedFlag) set(value bool) {
	f.next.Store(value)
	f.says.Store(value)
}

// settle ends the attempt to have nsqd.dat say value. It is called by one goroutine.
func (f *savedFlag) settle(value, written bool) {
	if written {
		f.says.Store(value)
		return
	}
	f.next.Store(f.says.Load())
}

// obey has the property follow the flag; others may do so at the same time.
func (f *savedFlag) obey(put func(bool)) {
	for {
		value := f.says.Load()
		put(value)
		if f.says.Load() == value {
			return
		}
	}
}

// A proposal is a change of what nsqd.dat says, which is in force once that is written.
// metadataLoop calls its functions.
type proposal struct {
	propose func()             // has nsqd.dat say it
	settle  func(written bool) // it does; or it could not be written, and must not say it any more
}

// proposePaused is what makes f, which says whether something is paused, be value;
// changed counts a change of what nsqd.dat says.
func proposePaused(f *savedFlag, value bool, changed func()) *proposal {
	return &proposal{
		propose: func() {
			f.next.Store(value)
			changed()
		},
		settle: func(written bool) {
			if f.settle(value, written); !written {
				changed()
			}
		},
	}
}
