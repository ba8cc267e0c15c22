package deploy

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed893f581e/nsq/nsqadmin"
	"github.com/seed893f581e/nsq/nsqd"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

const composeFile = "../docker-compose.yml"

// compose reads the compose file as docker compose does, with these variables. It
// fails where the file says what Compose does not know.
func compose(t *testing.T, env map[string]string) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(filepath.Dir(composeFile))
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: composeFile}},
		Environment: env,
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeHasTheKnownServices(t *testing.T) {
	project := compose(t, nil)
	if got, want := slices.Sorted(maps.Keys(project.Services)), []string{"nsqadmin", "nsqd", "nsqlookupd"}; !slices.Equal(got, want) {
		t.Fatalf("services %q, want %q", got, want)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"nsqlookupd": {"4160", "4161"}, "nsqd": {"4150", "4151"}, "nsqadmin": {"4171"}} {
		s := project.Services[name]
		same(t, name+": restart", s.Restart, "unless-stopped")
		same(t, name+": built from", s.Build.Context, top)
		same(t, name+": image", s.Image, "nsq")
		var ports []string
		for _, p := range s.Ports { // the same inside and outside, or addresses would not be right for both
			ports = append(ports, p.Published)
			same(t, name+": port inside", fmt.Sprint(p.Target), p.Published)
			same(t, name+": published on", p.HostIP, "127.0.0.1")
		}
		if !slices.Equal(ports, want) {
			t.Errorf("%s: ports %q, want %q", name, ports, want)
		}
		for _, p := range ports {
			if !slices.Contains(theImage(t).ports, p) {
				t.Errorf("%s: the image does not expose port %s", name, p)
			}
		}
	}
	if v := project.Services["nsqd"].Volumes; len(v) != 1 || v[0].Type != types.VolumeTypeVolume || v[0].Target != theImage(t).work {
		t.Errorf("nsqd's volumes %+v, want one at %s", v, theImage(t).work)
	}
}

// What is acknowledged is kept.
func TestComposeTopicsAreDurable(t *testing.T) {
	if c := compose(t, nil).Services["nsqd"].Command; !slices.Contains(c, "--durability=disk") {
		t.Errorf("nsqd is started as %q", c)
	}
}

// The programs take their arguments, and addresses in them are those of services.
func TestComposeCommands(t *testing.T) {
	for broadcast, env := range map[string]map[string]string{"nsqd": nil, "192.0.2.1": {"NSQD_BROADCAST_ADDRESS": "192.0.2.1"}} {
		project := compose(t, env)
		for name, s := range project.Services {
			opts, _, err := parse(s.Command[0], s.Command[1:])
			if err != nil {
				t.Errorf("%s: %q: %v", name, s.Command, err)
				continue
			}
			switch o := opts.(type) {
			case *nsqd.Options:
				same(t, "nsqd's broadcast address", o.BroadcastAddress, broadcast)
				same(t, "nsqd's data path", o.DataPath, theImage(t).work)
				inside(t, project, name, o.LookupdTCPAddresses)
			case *nsqlookupd.Options:
				same(t, "nsqlookupd's broadcast address", o.BroadcastAddress, "nsqlookupd")
			case *nsqadmin.Options:
				inside(t, project, name, o.LookupdHTTPAddresses)
			}
		}
	}
}

// inside fails unless each address is that of a service on which it depends.
func inside(t *testing.T, project *types.Project, name string, addresses []string) {
	t.Helper()
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Error(err)
		}
		if _, ok := project.Services[name].DependsOn[host]; !ok || !hasPort(project.Services[host], port) {
			t.Errorf("%s: %s is no port of a service that it depends on", name, address)
		}
	}
	if len(addresses) == 0 {
		t.Errorf("%s has no addresses", name)
	}
}

func hasPort(s types.ServiceConfig, port string) bool {
	return slices.ContainsFunc(s.Ports, func(p types.ServicePortConfig) bool { return strconv.Itoa(int(p.Target)) == port })
}

func TestComposeHealthChecks(t *testing.T) {
	for name, s := range compose(t, nil).Services {
		test := s.HealthCheck.Test
		if want := []string{"CMD", "wget", "-q", "-O", "/dev/null"}; !slices.Equal(test[:len(test)-1], want) {
			t.Errorf("%s: %q, want %q and a URL", name, test, want)
		}
		u, err := url.Parse(test[len(test)-1])
		if err != nil || u.Hostname() != "127.0.0.1" || u.Path != "/ping" || !hasPort(s, u.Port()) || u.Port() == "4150" || u.Port() == "4160" {
			t.Errorf("%s: health check of %s (%v), want /ping on its HTTP port", name, u, err)
		}
	}
}

func TestComposePublishesWhereAsked(t *testing.T) {
	for name, s := range compose(t, map[string]string{"NSQ_LISTEN": "0.0.0.0"}).Services {
		for _, p := range s.Ports {
			same(t, name+": published on", p.HostIP, "0.0.0.0")
		}
	}
	if text := read(t, "contrib/docker-compose.yml"); strings.Contains(text, "\nversion:") { // Compose warns of it
		t.Error("the file has a version, which means nothing any more")
	}
}
