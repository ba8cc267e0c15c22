package diskq

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Names knows which queues have files in a data path, so that queues need not
// read the directory, of which they may be thousands. It may be used
// concurrently. It is right as long as nothing but the queues that are given it
// in their Options changes their files.
type Names struct {
	dir string

	mu    sync.Mutex
	found map[string]listing // what no queue has used yet
	used  map[string]bool    // names of queues that were opened, or tried to, and not deleted
}

// List reads the directory once. It also removes meta files that a crash left
// half written, so no queue may be open there.
func List(dir string) (*Names, error) {
	d, err := os.Open(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	fileNames, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	n := &Names{dir: dir, found: map[string]listing{}, used: map[string]bool{}}
	for _, fileName := range fileNames {
		i := strings.LastIndex(fileName, infix) // the name may contain it, too; what follows never does
		if i < 0 {
			continue
		}
		name, rest := fileName[:i], fileName[i+len(infix):]
		if isTemp(rest) {
			if err := removeIfThere(filepath.Join(dir, fileName)); err != nil {
				return nil, err
			}
			continue
		}
		if ls := n.found[name]; ls.add(rest) {
			n.found[name] = ls
		}
	}
	return n, nil
}

// Has reports whether the directory holds records, or at least positions, of a
// queue. It looks there only if the queue was opened since List.
func (n *Names) Has(name string) (bool, error) {
	n.mu.Lock()
	ls, used := n.found[name], n.used[name]
	n.mu.Unlock()
	if used {
		return exists(n.dir, name)
	}
	return ls.meta || len(ls.data) > 0, nil
}

// list is files.list without reading the directory if this is the first use of
// the name; the caller may change the files from then on. n may be nil.
func (n *Names) list(f files) (listing, error) {
	if n == nil {
		return f.list()
	}
	n.mu.Lock()
	ls, used := n.found[f.name], n.used[f.name]
	delete(n.found, f.name)
	n.used[f.name] = true
	n.mu.Unlock()
	if used {
		return f.list()
	}
	ls.sort()
	return ls, nil
}

// removed tells that the queue has no files any more. n may be nil.
func (n *Names) removed(name string) {
	if n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.used, name)
	}
}
