package deploy

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/nsqadmin"
	"github.com/seed893f581e/nsq/nsqd"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// check reports where a release names what it does not have. An API server would
// take it all the same.
func (r *release) check(t *testing.T) {
	t.Helper()
	for name, s := range r.services {
		if errs := validation.IsDNS1035Label(name); len(errs) > 0 {
			t.Errorf("service %q: %q", name, errs)
		}
		r.checkSelector(t, "service "+name, s.Spec.Selector, s.Spec.Ports)
	}
	for name, b := range r.budgets {
		r.checkSelector(t, "budget "+name, b.Spec.Selector.MatchLabels, nil)
		if (b.Spec.MinAvailable == nil) == (b.Spec.MaxUnavailable == nil) {
			t.Errorf("budget %s: has minAvailable %v and maxUnavailable %v, want one", name, b.Spec.MinAvailable, b.Spec.MaxUnavailable)
		}
	}
	for _, w := range r.workloads {
		r.checkWorkload(t, w)
	}
	r.checkMonitors(t)
	r.checkIngresses(t)
}

// checkSelector fails unless it selects the pods of one workload, which have the ports.
func (r *release) checkSelector(t *testing.T, what string, selector map[string]string, ports []corev1.ServicePort) {
	t.Helper()
	found := r.selected(selector)
	if len(found) != 1 {
		t.Errorf("%s selects %d workloads by %v, want 1", what, len(found), selector)
		return
	}
	for _, p := range ports {
		if _, ok := portOf(found[0].container(), p.TargetPort); !ok {
			t.Errorf("%s: %s has no port %s", what, found[0].name, p.TargetPort.String())
		}
	}
}

// portOf returns the number of a container's port.
func portOf(c *corev1.Container, port intstr.IntOrString) (number int, ok bool) {
	if port.Type == intstr.Int {
		return port.IntValue(), true
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort), true
		}
	}
	return 0, false
}

func (r *release) checkWorkload(t *testing.T, w *workload) {
	t.Helper()
	// Kubernetes puts a hash of ten characters behind it and makes it a label.
	if len(w.name) > validation.LabelValueMaxLength-11 {
		t.Errorf("workload %s: the name has %d characters, which is too long", w.name, len(w.name))
	}
	if !labels.SelectorFromSet(w.selector.MatchLabels).Matches(labels.Set(w.pod.Labels)) {
		t.Errorf("%s selects %v, its pods have %v", w.name, w.selector.MatchLabels, w.pod.Labels)
	}
	for key, value := range w.pod.Labels {
		if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
			t.Errorf("%s: label %s=%s: %q", w.name, key, value, errs)
		}
	}
	if w.set != nil {
		s := r.services[w.set.Spec.ServiceName]
		if s == nil || s.Spec.ClusterIP != corev1.ClusterIPNone || !s.Spec.PublishNotReadyAddresses || !selects(s.Spec.Selector, w) {
			t.Errorf("%s: service %q, which names its pods, is not there, not headless or not for all of them", w.name, w.set.Spec.ServiceName)
		}
	}
	if len(w.pod.Spec.Containers) != 1 {
		t.Fatalf("%s has %d containers, want 1", w.name, len(w.pod.Spec.Containers))
	}
	r.checkMounts(t, w)
	for what, p := range map[string]*corev1.Probe{"startup": w.container().StartupProbe, "liveness": w.container().LivenessProbe, "readiness": w.container().ReadinessProbe} {
		if p == nil || p.HTTPGet == nil {
			continue
		}
		if _, ok := portOf(w.container(), p.HTTPGet.Port); !ok {
			t.Errorf("%s: %s probe on port %s, which it has not", w.name, what, p.HTTPGet.Port.String())
		}
	}
	if err := r.checkArguments(w); err != nil {
		t.Errorf("%s: %v", w.name, err)
	}
}

func (r *release) checkMounts(t *testing.T, w *workload) {
	t.Helper()
	var volumes []string
	for _, v := range w.pod.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	if w.set != nil {
		for _, c := range w.set.Spec.VolumeClaimTemplates {
			volumes = append(volumes, c.Name)
		}
	}
	for _, m := range w.container().VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("%s: volume %q at %s is not there", w.name, m.Name, m.MountPath)
		}
	}
}

func (r *release) checkMonitors(t *testing.T) {
	t.Helper()
	for name, m := range r.monitors {
		if want := []string{r.namespace}; !slices.Equal(m.Spec.NamespaceSelector.MatchNames, want) {
			t.Errorf("monitor %s: looks in %q, want %q", name, m.Spec.NamespaceSelector.MatchNames, want)
		}
		var found []*corev1.Service
		for _, s := range r.services {
			if labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
				found = append(found, s)
			}
		}
		if len(found) != 1 { // with two, everything would be counted twice
			t.Errorf("monitor %s finds %d services, want 1", name, len(found))
			continue
		}
		for _, w := range r.selected(found[0].Spec.Selector) {
			if w.set != nil && !found[0].Spec.PublishNotReadyAddresses {
				t.Errorf("monitor %s: loses sight of a pod of %s that is not ready", name, w.name)
			}
		}
		for _, e := range m.Spec.Endpoints {
			if !slices.ContainsFunc(found[0].Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port }) {
				t.Errorf("monitor %s: service %s has no port %q", name, found[0].Name, e.Port)
			}
		}
	}
}

func (r *release) checkIngresses(t *testing.T) {
	t.Helper()
	for name, i := range r.ingresses {
		for _, rule := range i.Spec.Rules {
			for _, p := range rule.HTTP.Paths {
				s := r.services[p.Backend.Service.Name]
				if s == nil || !slices.ContainsFunc(s.Spec.Ports, func(sp corev1.ServicePort) bool { return sp.Name == p.Backend.Service.Port.Name }) {
					t.Errorf("ingress %s: there is no service %q with port %q", name, p.Backend.Service.Name, p.Backend.Service.Port.Name)
				}
			}
		}
	}
}

// options are those of the daemons, as their programs register them.
var options = map[string]func() interface{ Validate() error }{
	"/nsqd":       func() interface{ Validate() error } { return nsqd.NewOptions() },
	"/nsqlookupd": func() interface{ Validate() error } { return nsqlookupd.NewOptions() },
	"/nsqadmin":   func() interface{ Validate() error } { return nsqadmin.NewOptions() },
}

// parse takes arguments as a daemon would that is named by a command.
func parse(command string, args []string) (opts any, flags *flag.FlagSet, err error) {
	newOptions, ok := options[command]
	if !ok {
		return nil, nil, fmt.Errorf("%q is no daemon of the image", command)
	}
	own := newOptions()
	flags = flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	config.Register(flags, own)
	if err := config.Parse(flags, args); err != nil {
		return nil, nil, err
	}
	if _, _, err := config.Resolve(own, flags, config.File{}); err != nil {
		return nil, nil, err
	}
	return own, flags, own.Validate()
}

// arguments are those of a workload's pod, as Kubernetes gives them to the program.
func (w *workload) arguments(pod int) []string {
	var expand []string
	for _, e := range w.container().Env {
		value := e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			value = map[string]string{"metadata.name": fmt.Sprintf("%s-%d", w.name, pod), "status.podIP": "10.0.0.1"}[e.ValueFrom.FieldRef.FieldPath]
		}
		expand = append(expand, "$("+e.Name+")", value)
	}
	var args []string
	for _, a := range w.container().Args {
		args = append(args, strings.NewReplacer(expand...).Replace(a))
	}
	return args
}

// checkArguments reports what the program would not take, and addresses that lead
// nowhere.
func (r *release) checkArguments(w *workload) error {
	c := w.container()
	if len(c.Command) != 1 {
		return fmt.Errorf("command %q, want a program", c.Command)
	}
	for pod := range w.replicas {
		args := w.arguments(pod)
		opts, _, err := parse(c.Command[0], args)
		if err != nil {
			return fmt.Errorf("%q: %w", args, err)
		}
		switch o := opts.(type) {
		case *nsqd.Options:
			err = cmp.Or(r.reach(o.LookupdTCPAddresses, "/nsqlookupd"), r.isPod(o.BroadcastAddress, w, pod))
		case *nsqlookupd.Options:
			err = r.isPod(o.BroadcastAddress, w, pod)
		case *nsqadmin.Options:
			err = cmp.Or(r.reach(o.LookupdHTTPAddresses, "/nsqlookupd"), r.reach(o.NSQDHTTPAddresses, "/nsqd"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isPod fails unless the address is the pod's own.
func (r *release) isPod(address string, w *workload, pod int) error {
	if found, err := r.host(address); err != nil || found != w {
		return fmt.Errorf("broadcast address %q: %v", address, err)
	}
	if want := fmt.Sprintf("%s-%d.", w.name, pod); !strings.HasPrefix(address, want) {
		return fmt.Errorf("broadcast address %q, want that of %s", address, want)
	}
	return nil
}

// reach fails unless each address is one of the release's pods that runs the
// program and has the port; those outside have a domain that is not the cluster's.
func (r *release) reach(addresses []string, program string) error {
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if strings.HasSuffix(host, ".example.org") {
			continue
		}
		w, err := r.host(host)
		if err != nil {
			return err
		}
		if w.container().Command[0] != program {
			return fmt.Errorf("%s is %s, want %s", address, w.container().Command[0], program)
		}
		if !slices.ContainsFunc(w.container().Ports, func(p corev1.ContainerPort) bool { return strconv.Itoa(int(p.ContainerPort)) == port }) {
			return fmt.Errorf("%s: the pod has no such port", address)
		}
	}
	return nil
}

// drain is how long --drain-on-term lets nsqd drain.
func (w *workload) drain(t *testing.T) time.Duration {
	t.Helper()
	for _, a := range w.arguments(0) {
		if value, ok := strings.CutPrefix(a, "--drain-on-term="); ok {
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Error(err)
			}
			return d
		}
	}
	return 0
}
