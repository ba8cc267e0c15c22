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
		return "it takes too long"
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	return err.Error()
}
