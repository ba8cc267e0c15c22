//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package dirlock

import "os"

func flock(*os.File) error { return nil }
