// Command generate writes what tells of the options of the programs: the example
// config files, docs/configuration.md, manual pages and completion for shells. It
// takes all of it from the programs themselves, so that nothing of it is ever
// another than what they do: flags from their help, keys and further texts of the
// daemons from the tags of their options, and the first words from the comment
// above their main package.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	root := flag.String("root", ".", "`directory` of the repository")
	bin := flag.String("bin", "build", "`directory` of the built programs")
	check := flag.Bool("check", false, "write nothing, and fail if a file is not as it would be written")
	flag.Parse()

	programs, err := readPrograms(*root, *bin)
	if err == nil && *check {
		err = compare(*root, files(programs))
	} else if err == nil {
		err = write(*root, files(programs))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// file is one that is generated.
type file struct {
	path string // below the root, with slashes
	text []byte
}

// directories hold nothing but what is generated.
var directories = []string{"contrib/man", "contrib/completion"}

func files(programs []*program) []file {
	all := []file{{"docs/configuration.md", reference(programs)}}
	for _, p := range programs {
		if p.options != nil {
			all = append(all, file{"contrib/" + p.name + ".cfg.example", configExample(p)})
		}
		all = append(all,
			file{fmt.Sprintf("contrib/man/man%d/%s.%[1]d", p.section, p.name), manPage(p, programs)},
			file{"contrib/completion/bash/" + p.name, bashCompletion(p)},
			file{"contrib/completion/zsh/_" + p.name, zshCompletion(p)},
			file{"contrib/completion/fish/" + p.name + ".fish", fishCompletion(p)},
		)
	}
	return all
}

func write(root string, all []file) error {
	stale, err := leftOver(root, all)
	if err != nil {
		return err
	}
	for _, path := range stale {
		if err := os.Remove(filepath.Join(root, path)); err != nil {
			return err
		}
	}
	for _, f := range all {
		path := filepath.Join(root, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.text, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// compare returns an error for each file that is not as it should be.
func compare(root string, all []file) error {
	var errs []error
	wrong := func(path, how string) { errs = append(errs, fmt.Errorf("%s %s: make generate", path, how)) }
	for _, f := range all {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.path)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wrong(f.path, "is missing")
		case err != nil:
			errs = append(errs, err)
		case !bytes.Equal(text, f.text):
			wrong(f.path, "is not what the options say")
		}
	}
	stale, err := leftOver(root, all)
	for _, path := range stale {
		wrong(path, "is generated no more")
	}
	return errors.Join(append(errs, err)...)
}

// leftOver returns the files in directories that are not generated.
func leftOver(root string, all []file) (paths []string, err error) {
	for _, dir := range directories {
		err := fs.WalkDir(os.DirFS(root), dir, func(path string, entry fs.DirEntry, err error) error {
			known := slices.ContainsFunc(all, func(f file) bool { return f.path == path })
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err == nil && !entry.IsDir() && !known:
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return paths, nil
}
