package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestReason(t *testing.T) {
	dial := func(err error) error { return fmt.Errorf("asking: %w", &net.OpError{Op: "dial", Net: "tcp", Err: err}) }
	for want, err := range map[string]error{
		syscall.ECONNREFUSED.Error(): dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)),
		"connecting takes too long; its host may be down, or a firewall in between": dial(os.ErrDeadlineExceeded),
		"the name n does not resolve (no such host)":                                dial(&net.DNSError{Err: "no such host", Name: "n"}),
		"broken": errors.New("broken"),
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if got := Reason(fmt.Errorf("asking: %w", context.DeadlineExceeded)); got != "it takes too long; it may hang or be overloaded" {
		t.Errorf("past the deadline: %q", got)
	}
}
