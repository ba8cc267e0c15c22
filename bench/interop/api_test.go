package interop_test

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	theirPath = "github.com/nsqio/go-nsq"
	ownPath   = "github.com/seed893f581e/nsq/nsq"
)

// Whatever go-nsq exports is there, with the same type: constants and their
// values, variables, functions, types, their fields with tags, their methods.
func TestEveryExportedName(t *testing.T) {
	theirs, own := exported(t, theirPath), exported(t, ownPath)
	if len(theirs) < 200 {
		t.Fatalf("go-nsq exports %d names only", len(theirs))
	}
	d := allow([]difference{{"VERSION", `.*"1\.1\.0"`, `.*"[0-9.]+"`, "each has its own"}})
	for name, what := range theirs {
		if own[name] != what {
			d.compare(t, name, what, own[name])
		}
	}
	d.end(t)
}

// exported describes what a package exports, by name; methods and fields have
// those of their types before theirs.
func exported(t *testing.T, path string) map[string]string {
	t.Helper()
	pkg := load(t, path)
	qualified := func(p *types.Package) string {
		if p == pkg {
			return "" // the names of both packages are alike
		}
		return p.Path()
	}
	typeText := func(typ types.Type) string {
		if f, ok := typ.(*types.Signature); ok {
			typ = types.NewSignatureType(nil, nil, nil, nameless(f.Params()), nameless(f.Results()), f.Variadic())
		}
		return strings.ReplaceAll(types.TypeString(typ, qualified), "interface{}", "any")
	}
	all := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		switch o := pkg.Scope().Lookup(name).(type) {
		case *types.Const:
			all[name] = fmt.Sprint("const ", typeText(o.Type()), " ", o.Val())
		case *types.TypeName:
			all[name] = "type"
			methods := types.NewMethodSet(types.NewPointer(o.Type()))
			if types.IsInterface(o.Type()) {
				methods = types.NewMethodSet(o.Type())
			}
			for m := range methods.Methods() {
				if m.Obj().Exported() {
					all[name+"."+m.Obj().Name()] = typeText(m.Type())
				}
			}
			s, ok := o.Type().Underlying().(*types.Struct)
			if !ok {
				if !types.IsInterface(o.Type()) {
					all[name] += " " + typeText(o.Type().Underlying())
				}
				continue
			}
			for i := range s.NumFields() {
				if f := s.Field(i); f.Exported() {
					all[name+"."+f.Name()] = fmt.Sprintf("field %s %q", typeText(f.Type()), s.Tag(i))
				}
			}
		default:
			all[name] = typeText(o.Type())
		}
	}
	for name := range all {
		if first, _, _ := strings.Cut(name, "."); !token.IsExported(first) {
			delete(all, name)
		}
	}
	return all
}

// nameless returns parameters or results without their names.
func nameless(all *types.Tuple) *types.Tuple {
	var vars []*types.Var
	for v := range all.Variables() {
		vars = append(vars, types.NewParam(token.NoPos, nil, "", v.Type()))
	}
	return types.NewTuple(vars...)
}

// load returns the types of a package, as the compiler has left them.
func load(t *testing.T, path string) *types.Package {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", path)
	list.Stderr = os.Stderr
	out, err := list.Output()
	must(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		files[name] = file
	}
	pkg, err := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(files[path])
	}).Import(path)
	must(t, err)
	return pkg
}
