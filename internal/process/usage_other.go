//go:build !linux

package process

import "errors"

// PeakMemory, ResidentMemory and OpenFiles are errors.ErrUnsupported here.
func PeakMemory(int) (int64, error)     { return 0, errors.ErrUnsupported }
func ResidentMemory(int) (int64, error) { return 0, errors.ErrUnsupported }
func OpenFiles(int) (int, error)        { return 0, errors.ErrUnsupported }
