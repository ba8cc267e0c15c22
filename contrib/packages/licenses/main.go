// Command licenses writes the file with the licences of all that is linked into
// programs and is not ours: modules, as the go command finds them for each platform, and
// Go itself. The archives, packages and the image have it, as most licences ask for.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	dir := flag.String("dir", ".", "`directory` of the module whose programs they are")
	platforms := flag.String("platforms", "", "`list` of platforms with spaces, each like linux-amd64")
	out := flag.String("out", "THIRD-PARTY-LICENSES", "`file` to write")
	check := flag.Bool("check", false, "write nothing, and fail if the file is not as it would be written")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: licenses [flags] package ...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*dir, strings.Fields(*platforms), flag.Args(), *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string, platforms, packages []string, out string, check bool) error {
	var all collection
	if err := all.addGo(dir); err != nil {
		return err
	}
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "-")
		linked, err := list(dir, goos, goarch, packages)
		if err != nil {
			return err
		}
		for _, p := range linked {
			if err := all.addPackage(p); err != nil {
				return err
			}
		}
	}
	text, err := all.text()
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(out, text, 0o666)
	}
	now, err := os.ReadFile(out)
	if err == nil && !bytes.Equal(now, text) {
		err = fmt.Errorf("%s is not of what the programs are made of: make generate", filepath.Base(out))
	}
	return err
}

// A linkedPackage is what the go command tells of one.
type linkedPackage struct {
	Dir    string
	Module *module // nil for one of Go itself
}

type module struct {
	Path, Version, Dir string
	Main               bool
}

// list returns all packages that are linked into these for a platform.
func list(dir, goos, goarch string, packages []string) ([]linkedPackage, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,Module"}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s/%s: %w", goos, goarch, err)
	}
	var all []linkedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p linkedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list for %s/%s: %w", goos, goarch, err)
		}
		all = append(all, p)
	}
}

// addGo adds the licence of Go, whose runtime and standard library are in every program.
func (c *collection) addGo(dir string) error {
	cmd := exec.Command("go", "env", "GOROOT")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	// Without its version: the licence is that of all, and each builder has another.
	root := strings.TrimSpace(string(out))
	return c.add("Go", root, root)
}

// addPackage adds what lies beside a package or above it, up to its module.
func (c *collection) addPackage(p linkedPackage) error {
	if p.Module == nil || p.Module.Main {
		return nil
	}
	for dir := p.Dir; len(dir) >= len(p.Module.Dir); dir = filepath.Dir(dir) {
		if err := c.add(p.Module.Path+" "+p.Module.Version, p.Module.Dir, dir); err != nil {
			return err
		}
	}
	return nil
}
