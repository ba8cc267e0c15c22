package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goSources returns the directory with the source code of Go.
func goSources() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("the lines to send are Go's own source code, which was not found: go env GOROOT: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}

var errEnough = errors.New("enough lines")

// sourceLines returns n lines of the Go files below dir, always the same, each
// with its number before it. If there are not enough it starts over.
func sourceLines(dir string, n int) ([]string, error) {
	lines := make([]string, 0, n)
	collect := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			lines = append(lines, fmt.Sprintf("%06d %s", len(lines)+1, strings.TrimSuffix(line, "\n")))
			if len(lines) == n {
				return errEnough
			}
		}
		return nil
	}
	for {
		before := len(lines)
		err := filepath.WalkDir(dir, collect)
		switch {
		case errors.Is(err, errEnough):
			return lines, nil
		case err != nil:
			return nil, err
		case len(lines) == before:
			return nil, fmt.Errorf("no Go code in %s", dir)
		}
	}
}
