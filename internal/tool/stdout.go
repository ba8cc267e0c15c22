package tool

import (
	"errors"
	"fmt"
	"syscall"
)

// StdoutError returns the error of a tool that could not write to stdout. It is
// ErrSilent if whoever read it has gone, having seen enough.
func StdoutError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		return ErrSilent
	}
	return fmt.Errorf("ERROR: failed to write to os.Stdout - %w", err)
}
