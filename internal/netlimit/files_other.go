//go:build !unix

package netlimit

// openFiles says that there is no limit of open files.
func openFiles() (limit int, ok bool, err error) { return 0, false, nil }
