package tool

import (
	"flag"
	"io"
	"slices"
	"testing"
)

func TestListHoldsEveryValueOnce(t *testing.T) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	l := ListFlag(fs, "x", "values")
	if err := fs.Parse([]string{"-x=b", "--x", "a,c", "-x=b", "-x="}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a,c", ""}; !slices.Equal(*l, want) {
		t.Errorf("got %q, want %q", *l, want)
	}
}

func TestUserAgent(t *testing.T) {
	if got, want := UserAgent("nsq_tail", "1.5.0"), "nsq_tail/1.4.0 go-nsq/1.5.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
