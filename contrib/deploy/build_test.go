package deploy

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// root is the project's directory.
const root = "../.."

// An image is what the last stage of a Dockerfile makes, in a directory instead
// of an engine's layers.
type image struct {
	base   string // name of the image it stands on, whose files are not here
	dir    string // its root directory
	work   string // working directory, a path in the image
	ports  []string
	labels map[string]string
	health *instructions.HealthCheckCommand

	packages []string // what apk would have added
	others   []string // names of instructions that only say something about the image
}

// path is where a file of the image really is.
func (i *image) path(name string) string { return filepath.Join(i.dir, name) }

// A builder runs the instructions of a Dockerfile in directories.
type builder struct {
	context string            // what COPY without --from copies from
	global  map[string]string // ARG before the first FROM, and those which an engine gives
	scratch string
	stages  map[string]*image
}

// build makes the image of a Dockerfile.
func build(scratch, dockerfile, context string) (*image, error) {
	f, err := os.Open(dockerfile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tree, err := parser.Parse(f)
	if err != nil {
		return nil, err
	}
	stages, args, err := instructions.Parse(tree.AST, nil)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("ARG before FROM: not understood")
	}
	b := &builder{
		context: context,
		global:  map[string]string{"BUILDPLATFORM": "linux/amd64", "TARGETOS": "", "TARGETARCH": ""},
		scratch: scratch,
		stages:  make(map[string]*image),
	}
	var last *image
	for n, stage := range stages {
		if last, err = b.stage(n, stage); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (b *builder) stage(n int, s instructions.Stage) (*image, error) {
	i := &image{base: s.BaseName, dir: filepath.Join(b.scratch, fmt.Sprint("stage", n)), work: "/", labels: make(map[string]string)}
	for _, dir := range []string{"bin", "tmp"} { // as in every base image
		if err := os.MkdirAll(i.path(dir), 0o755); err != nil {
			return nil, err
		}
	}
	b.stages[s.Name] = i
	env := make(map[string]string)
	for _, c := range s.Commands {
		if err := b.command(i, env, c); err != nil {
			return nil, fmt.Errorf("line %d: %w", c.Location()[0].Start.Line, err)
		}
	}
	return i, nil
}

func (b *builder) command(i *image, env map[string]string, c instructions.Command) error {
	if c, ok := c.(instructions.SupportsSingleWordExpansion); ok {
		lex := shell.NewLex('\\')
		err := c.Expand(func(word string) (string, error) {
			text, _, err := lex.ProcessWord(word, environment(env))
			return text, err
		})
		if err != nil {
			return err
		}
	}
	switch c := c.(type) {
	case *instructions.ArgCommand:
		for _, arg := range c.Args {
			value, given := b.global[arg.Key]
			if arg.Value != nil && !given {
				value = *arg.Value
			}
			env[arg.Key] = value
		}
	case *instructions.RunCommand:
		return i.run(env, strings.Join(c.CmdLine, " "))
	case *instructions.CopyCommand:
		return b.copy(i, c)
	case *instructions.WorkdirCommand:
		i.work = filepath.Join(i.work, c.Path)
		if filepath.IsAbs(c.Path) {
			i.work = c.Path
		}
		return os.MkdirAll(i.path(i.work), 0o755)
	case *instructions.ExposeCommand:
		i.ports = append(i.ports, c.Ports...)
	case *instructions.LabelCommand:
		for _, l := range c.Labels {
			i.labels[l.Key] = l.Value
		}
	case *instructions.HealthCheckCommand:
		i.health = c
	default:
		i.others = append(i.others, strings.ToUpper(c.Name()))
	}
	return nil
}

// absolute finds the paths that a command names: behind a blank, a quote or "=".
var absolute = regexp.MustCompile(`(^|[\s"'=])/`)

// run runs a command with the image's root directory in place of the machine's.
// What needs the base image's package manager is only noted.
func (i *image) run(env map[string]string, command string) error {
	if packages, ok := strings.CutPrefix(command, "apk add --no-cache "); ok {
		i.packages = append(i.packages, strings.Fields(packages)...)
		return nil
	}
	cmd := exec.Command("sh", "-ec", absolute.ReplaceAllString(command, "${1}"+i.dir+"/"))
	cmd.Dir = i.path(i.work)
	cmd.Env = append(os.Environ(), environment(env).list()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return nil
}

// copy copies files and the contents of directories, as COPY does.
func (b *builder) copy(i *image, c *instructions.CopyCommand) error {
	from := b.context
	if c.From != "" {
		stage, ok := b.stages[c.From]
		if !ok {
			return fmt.Errorf("COPY --from=%s: there is no such stage", c.From)
		}
		from = stage.dir
	}
	dest := c.DestPath
	if !filepath.IsAbs(dest) {
		dest = filepath.Join(i.work, dest)
	}
	for _, source := range c.SourcePaths {
		source := filepath.Join(from, source)
		info, err := os.Stat(source)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			err = copyTree(i.path(dest), source, func(string) (bool, error) { return true, nil })
		case !strings.HasSuffix(c.DestPath, "/"):
			return fmt.Errorf("COPY to %s: only into a directory, with a slash at its end", c.DestPath)
		default:
			err = copyFile(filepath.Join(i.path(dest), filepath.Base(source)), source, info.Mode())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// environment is what shell.Lex wants to look variables up in.
type environment map[string]string

func (e environment) Get(key string) (string, bool) { v, ok := e[key]; return v, ok }
func (e environment) Keys() []string {
	var keys []string
	for k := range e {
		keys = append(keys, k)
	}
	return keys
}

func (e environment) list() []string {
	var vars []string
	for k, v := range e {
		vars = append(vars, k+"="+v)
	}
	slices.Sort(vars)
	return vars
}

// copyContext copies what .dockerignore leaves of the project.
func copyContext(dest string) error {
	f, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return err
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	return copyTree(dest, root, func(path string) (bool, error) {
		match, err := ignored.MatchesOrParentMatches(path)
		return !match, err
	})
}

// copyTree copies the files below a directory that a function chooses by their
// path in it.
func copyTree(dest, source string, choose func(path string) (bool, error)) error {
	return filepath.WalkDir(source, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(source, file)
		if err != nil || d.IsDir() {
			if d.Name() == ".git" {
				return fs.SkipDir
			}
			return err
		}
		if ok, err := choose(path); !ok || err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return copyFile(filepath.Join(dest, path), file, info.Mode())
	})
}

func copyFile(dest, source string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(dest, data, mode.Perm())
}

// scratch is where the tests build.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "nsq-image"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// theImage is the project's image, which is built once.
func theImage(t *testing.T) *image {
	t.Helper()
	i, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var buildOnce = sync.OnceValues(func() (*image, error) {
	context := filepath.Join(scratch, "context")
	if err := copyContext(context); err != nil {
		return nil, fmt.Errorf("build context: %w", err)
	}
	i, err := build(scratch, filepath.Join(root, "Dockerfile"), context)
	if err != nil {
		return nil, fmt.Errorf("Dockerfile: %w", err)
	}
	return i, nil
})
