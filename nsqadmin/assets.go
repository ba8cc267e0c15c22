package nsqadmin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the files that pages need: style sheet, script, icon. They are
// read once; with a directory of its own for development, at each request.
type assets struct {
	dir   fs.FS // nil for none
	files map[string]asset
}

type asset struct {
	body []byte
	hash string // of the body: links carry it, so that a browser may keep the file for ever
}

// newAssets reads the embedded files. If dir is not empty, files in that
// directory are served in their place.
func newAssets(dir string) *assets {
	if dir != "" {
		return &assets{dir: os.DirFS(dir)}
	}
	entries, _ := fs.ReadDir(staticFiles, "static") // nothing of the embedded files can fail
	a := &assets{files: make(map[string]asset, len(entries))}
	for _, e := range entries {
		body, _ := staticFiles.ReadFile(path.Join("static", e.Name()))
		a.files[e.Name()] = newAsset(body)
	}
	return a
}

func newAsset(body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{body: body, hash: hex.EncodeToString(sum[:8])}
}

// path returns where a page finds a file, from the base path on.
func (a *assets) path(name string) string {
	if f, ok := a.files[name]; ok {
		return "/static/" + name + "?v=" + f.hash
	}
	return "/static/" + name
}

// find returns a file by its name, which comes from anybody.
func (a *assets) find(name string) (asset, bool) {
	if a.dir == nil {
		f, ok := a.files[name]
		return f, ok
	}
	if !fs.ValidPath(name) || strings.ContainsAny(name, `/\`) {
		return asset{}, false
	}
	body, err := fs.ReadFile(a.dir, name)
	if err != nil {
		return asset{}, false
	}
	return newAsset(body), true
}

// serve answers with a file.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := a.find(name)
	if !ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "NOT_FOUND")
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType(name))
	tag := `W/"` + f.hash + `"` // weak: compressed or not
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache") // ask whether it changed
	if r.URL.Query().Get("v") == f.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(f.body) // a peer that went away is no matter of ours
}

// contentType returns the type of a file: of those we have without asking the
// machine, on which a name may mean anything.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}
