package tool

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeepTouched(t *testing.T) {
	for name, c := range map[string]struct {
		timeout, takes time.Duration
		want           []time.Duration // when it is touched
	}{
		"done before half the time-out":   {time.Minute, 29 * time.Second, nil},
		"longer than half the time-out":   {time.Minute, 31 * time.Second, []time.Duration{30 * time.Second}},
		"longer than the time-out, twice": {10 * time.Second, 21 * time.Second, []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second}},
		"a time-out that is not known":    {0, time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var got []time.Duration
				stop := KeepTouched(c.timeout, func() { got = append(got, time.Since(start)) })
				<-time.After(c.takes)
				synctest.Wait()
				stop()
				<-time.After(time.Hour) // in which nothing may follow
				if !slices.Equal(got, c.want) {
					t.Errorf("touched after %v, want %v", got, c.want)
				}
			})
		})
	}
}
