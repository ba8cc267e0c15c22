package version

import (
	"regexp"
	"testing"
)

func TestStringHasTheKnownForm(t *testing.T) {
	form := regexp.MustCompile(`^nsqd v1\.\d+\.\d+(-[a-z]+)? \(built w/\S.*\)$`)
	if s := String("nsqd"); !form.MatchString(s) {
		t.Errorf("String = %q, want it to match %s", s, form)
	}
}
