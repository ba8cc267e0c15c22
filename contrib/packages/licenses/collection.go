package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A collection has what came with software of others. Its zero value is empty.
type collection struct {
	files map[string]map[string]string // by software, and by path within it: texts
	seen  map[string]bool              // directories
}

// Terms are those files which say under which terms something may be passed on.
var terms = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)(\.(txt|md))?$`)

// add adds the terms in a directory of a software, whose top is another one or the same.
func (c *collection) add(software, top, dir string) error {
	if c.files == nil {
		c.files, c.seen = make(map[string]map[string]string), make(map[string]bool)
	}
	if c.files[software] == nil {
		c.files[software] = make(map[string]string)
	}
	if c.seen[dir] {
		return nil
	}
	c.seen[dir] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !terms.MatchString(e.Name()) || e.IsDir() {
			continue
		}
		file := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, file)
		if err != nil {
			return err
		}
		c.files[software][filepath.ToSlash(name)] = tidy(string(text))
	}
	return nil
}

// tidy makes texts the same that differ in line ends and blank lines around them only.
func tidy(text string) string {
	return strings.Trim(strings.ReplaceAll(text, "\r\n", "\n"), "\n") + "\n"
}

const head = `The programs of nsq contain software of others. These are its licences and notices; ours is in the file
LICENSE. Written by "make generate" from what is linked on any of the platforms of a release.

`

var rule = strings.Repeat("=", 100) + "\n"

// text is the whole file: a list of the software, and then each text once, below the names
// of all that it came with. Software without terms is an error.
func (c *collection) text() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	var texts []string // in the order in which they come
	holders := make(map[string][]string)
	for _, software := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(&b, "  %s\n", software)
		files := c.files[software]
		if len(files) == 0 {
			return nil, fmt.Errorf("%s comes without a licence", software)
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			text := files[name]
			if holders[text] == nil {
				texts = append(texts, text)
			}
			holders[text] = append(holders[text], software+": "+name)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s%s\n%s\n%s", rule, strings.Join(holders[text], "\n"), rule, text)
	}
	return b.Bytes(), nil
}
