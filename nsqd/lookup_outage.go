package nsqd

import "time"

// remindInterval is how long the log is silent about an nsqlookupd that stays
// away: whoever reads only the end of it must learn of that, too.
const remindInterval = time.Hour

// An outage is the time in which attempts to reach an nsqlookupd have failed.
type outage struct {
	began time.Time
	told  time.Time // in the log, last
}

func beginOutage(now time.Time) outage { return outage{began: now, told: now} }

// remind reports whether the log is to tell of it again, and how long it has
// lasted.
func (o *outage) remind(now time.Time) (time.Duration, bool) {
	if now.Sub(o.told) < remindInterval {
		return 0, false
	}
	o.told = now
	return now.Sub(o.began).Round(time.Second), true
}
