package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Reason returns why a request failed without what the reader knows: what was
// asked of whom.
func Reason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s does not resolve (%s)", e.Name, e.Err)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
			return "connecting takes too long; its host may be down, or a firewall in between"
		}
		return "it takes too long; it may hang or be overloaded"
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	return err.Error()
}
