// Command archive makes the release archive of one platform: a directory with the
// programs in bin/ and the files that go with them, as .tar.gz. The same programs give the same bytes,
// on every machine and at any time.
package main

import (
	"archive/tar"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	bin := flag.String("bin", "", "directory of the programs")
	out := flag.String("out", "", "archive to write, <name>.tar.gz")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: archive [flags] file ...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*bin, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

func run(bin, out string, files []string) error {
	name, ok := strings.CutSuffix(filepath.Base(out), ".tar.gz")
	if !ok {
		return fmt.Errorf("-out=%s: must end in .tar.gz", out)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := write(f, name, bin, files); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// write writes the archive of a directory that has that name.
func write(w io.Writer, name, bin string, files []string) error {
	programs, err := os.ReadDir(bin) // in order
	if err != nil {
		return err
	}
	if len(programs) == 0 {
		return fmt.Errorf("-bin=%s: is empty", bin)
	}
	zw := gzip.NewWriter(w)
	tw := tar.NewWriter(zw)
	if err := addDir(tw, name); err != nil {
		return err
	}
	for _, file := range files {
		if err := addFile(tw, path.Join(name, filepath.Base(file)), file, 0o644); err != nil {
			return err
		}
	}
	if err := addDir(tw, path.Join(name, "bin")); err != nil {
		return err
	}
	for _, p := range programs {
		if err := addFile(tw, path.Join(name, "bin", p.Name()), filepath.Join(bin, p.Name()), 0o755); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

// date is that of everything in an archive: the first that every format knows.
var date = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func addDir(tw *tar.Writer, name string) error {
	return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: date})
}

func addFile(tw *tar.Writer, name, from string, mode int64) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(b)), ModTime: date}); err != nil {
		return err
	}
	_, err = tw.Write(b)
	return err
}
