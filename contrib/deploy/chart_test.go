package deploy

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed893f581e/nsq/internal/version"
)

var update = flag.Bool("update", false, "write testdata/arguments.json anew")

func TestChartLints(t *testing.T) {
	known, err := chartutil.ReadValues([]byte(knownValues(t)))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]chartutil.Values{"defaults": nil, "known values": known} {
		l := lint.All(chartDir, values, "messages", true)
		for _, m := range l.Messages {
			if m.Severity > support.InfoSev || !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestChartIsOfThisVersion(t *testing.T) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	if chart.AppVersion() != version.Binary {
		t.Errorf("appVersion %s, the programs are %s", chart.AppVersion(), version.Binary)
	}
	want := "nsq:v" + version.Binary
	for name, w := range mustRender(t, "r", "").workloads {
		if got := w.container().Image; got != want {
			t.Errorf("%s: image %s, want %s", name, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	r := mustRender(t, "r", "")
	if got, want := slices.Sorted(maps.Keys(r.workloads)), []string{"r-nsqadmin", "r-nsqd", "r-nsqlookupd"}; !slices.Equal(got, want) {
		t.Errorf("workloads %q, want %q", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(r.services)), []string{"r-nsqadmin", "r-nsqd", "r-nsqd-headless", "r-nsqlookupd"}; !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(r.accounts)), []string{"r-nsqadmin", "r-nsqd", "r-nsqlookupd"}; !slices.Equal(got, want) {
		t.Errorf("service accounts %q, want %q", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(r.budgets)), []string{"r-nsqd", "r-nsqlookupd"}; !slices.Equal(got, want) {
		t.Errorf("disruption budgets %q, want %q", got, want)
	}
	if len(r.ingresses)+len(r.monitors) > 0 {
		t.Errorf("ingresses %v, monitors %v, want none", r.ingresses, r.monitors)
	}
	for name, replicas := range map[string]int{"r-nsqlookupd": 3, "r-nsqd": 3, "r-nsqadmin": 1} {
		if got := r.workloads[name].replicas; got != replicas {
			t.Errorf("%s: %d replicas, want %d", name, got, replicas)
		}
	}
}

// The arguments of every pod, which the rolling restart of a cluster of processes
// uses, too.
func TestArguments(t *testing.T) {
	got := make(map[string][]string)
	for _, w := range mustRender(t, "r", "").workloads {
		got[strings.TrimPrefix(w.container().Command[0], "/")] = w.container().Args
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "arguments.json")
	if *update {
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(text)+"\n" != string(want) {
		t.Errorf("the chart's arguments are not those of %s (%v; go test -run=TestArguments -update writes it):\n%s", file, err, text)
	}
}

func TestPodsAreHardened(t *testing.T) {
	for name, w := range mustRender(t, "r", "").workloads {
		pod, c := w.pod.Spec, w.container().SecurityContext
		if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || *s.RunAsGroup == 0 || *s.FSGroup == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: security context of the pod %+v", name, s)
		}
		if *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: security context of the container %+v", name, c)
		}
		if *pod.AutomountServiceAccountToken {
			t.Errorf("%s: has a token for Kubernetes", name)
		}
	}
}

func TestProbes(t *testing.T) {
	for _, tt := range []struct{ basePath, prefix string }{{"/", ""}, {"/nsq", "/nsq"}, {"nsq/", "/nsq"}} {
		r := mustRender(t, "r", "nsqadmin: {basePath: "+tt.basePath+"}")
		for name, w := range r.workloads {
			prefix := ""
			if w.deployment != nil {
				prefix = tt.prefix
			}
			c := w.container()
			for path, p := range map[string][]*corev1.Probe{"/health/live": {c.StartupProbe, c.LivenessProbe}, "/health/ready": {c.ReadinessProbe}} {
				for _, p := range p {
					if p.HTTPGet.Path != prefix+path || p.HTTPGet.Port.StrVal != "http" {
						t.Errorf("%s asks %s on port %s, want %s on http", name, p.HTTPGet.Path, p.HTTPGet.Port.String(), prefix+path)
					}
				}
			}
		}
	}
	r := mustRender(t, "r", `
nsqd:
  startupProbe: null
  livenessProbe: {httpGet: {scheme: HTTPS, port: 4152}, periodSeconds: 7}
  readinessProbe: {tcpSocket: {port: tcp}}
`)
	c := r.workloads["r-nsqd"].container()
	if c.StartupProbe != nil {
		t.Errorf("startup probe %v, want none", c.StartupProbe)
	}
	if p := c.LivenessProbe; p.HTTPGet.Path != "/health/live" || p.HTTPGet.Scheme != corev1.URISchemeHTTPS || p.HTTPGet.Port.IntValue() != 4152 || p.PeriodSeconds != 7 || p.TimeoutSeconds != 5 {
		t.Errorf("liveness probe %v", p)
	}
	if p := c.ReadinessProbe; p.HTTPGet != nil || p.TCPSocket.Port.StrVal != "tcp" {
		t.Errorf("readiness probe %v", p)
	}
}

// What is acknowledged is kept unless the values say otherwise.
func TestDurabilityIsChosen(t *testing.T) {
	for values, want := range map[string]string{
		"":                          "--durability=disk",
		"nsqd: {durability: fsync}": "--durability=fsync",
		`nsqd: {durability: ""}`:    "",
	} {
		var got string
		for _, a := range mustRender(t, "r", values).workloads["r-nsqd"].container().Args {
			if strings.HasPrefix(a, "--durability") {
				got = a
			}
		}
		same(t, values, got, want)
	}
}

// A pod is not killed while it drains, and has time for what is left.
func TestGracePeriodIsLongerThanTheDrain(t *testing.T) {
	for values, want := range map[string]struct{ drain, grace time.Duration }{
		"":                                {30 * time.Second, 60 * time.Second},
		"nsqd: {drainOnTermSeconds: 600}": {600 * time.Second, 630 * time.Second},
		"nsqd: {drainOnTermSeconds: 50, terminationGracePeriodSeconds: 55}":    {50 * time.Second, 55 * time.Second},
		"nsqd: {drainOnTermSeconds: 0}":                                        {0, 30 * time.Second},
		"nsqd: {drainOnTermSeconds: 0, terminationGracePeriodSeconds: 5}":      {0, 5 * time.Second},
		"nsqd: {drainOnTermSeconds: 30, terminationGracePeriodSeconds: null }": {30 * time.Second, 60 * time.Second},
	} {
		w := mustRender(t, "r", values).workloads["r-nsqd"]
		if grace := time.Duration(*w.pod.Spec.TerminationGracePeriodSeconds) * time.Second; grace != want.grace || w.drain(t) != want.drain {
			t.Errorf("%q: drains for %v of %v, want %v of %v", values, w.drain(t), grace, want.drain, want.grace)
		}
	}
}

func TestPersistence(t *testing.T) {
	for values, class := range map[string]*string{
		"":                                       nil,
		"nsqd: {persistence: {storageClass: -}}": new(""),
		"nsqd: {persistence: {storageClass: fast}}": new("fast"),
	} {
		set := mustRender(t, "r", values).workloads["r-nsqd"].set
		if len(set.Spec.VolumeClaimTemplates) != 1 {
			t.Fatalf("%q: claims %v, want one", values, set.Spec.VolumeClaimTemplates)
		}
		claim := set.Spec.VolumeClaimTemplates[0]
		if got := claim.Spec.StorageClassName; (got == nil) != (class == nil) || got != nil && *got != *class {
			t.Errorf("%q: storage class %v, want %v", values, got, class)
		}
		if size := claim.Spec.Resources.Requests.Storage().String(); claim.Name != "data" || size != "1Gi" {
			t.Errorf("%q: claim %s of %s, want data of 1Gi", values, claim.Name, size)
		}
	}
	w := mustRender(t, "r", "nsqd: {persistence: {enabled: false}}").workloads["r-nsqd"]
	if v := w.pod.Spec.Volumes; len(w.set.Spec.VolumeClaimTemplates) > 0 || len(v) != 1 || v[0].EmptyDir == nil {
		t.Errorf("without persistence: claims %v, volumes %v", w.set.Spec.VolumeClaimTemplates, v)
	}
	if m := w.container().VolumeMounts; len(m) != 1 || m[0].MountPath != "/data" {
		t.Errorf("mounts %v, want /data", m)
	}
}

func TestNSQAdminKnowsWhomToAsk(t *testing.T) {
	for values, want := range map[string][]string{
		"": {"--base-path=/", "--lookupd-http-address=r-nsqlookupd-0.r-nsqlookupd:4161", "--lookupd-http-address=r-nsqlookupd-1.r-nsqlookupd:4161", "--lookupd-http-address=r-nsqlookupd-2.r-nsqlookupd:4161"},
		"nsqlookupd: {enabled: false}\nnsqd: {replicaCount: 1}":                                                      {"--base-path=/", "--nsqd-http-address=r-nsqd-0.r-nsqd-headless:4151"},
		"nsqlookupd: {enabled: false}\nnsqadmin: {extraArgs: ['-lookupd-http-address', 'lookupd.example.org:4161']}": {"--base-path=/", "-lookupd-http-address", "lookupd.example.org:4161"},
	} {
		if got := mustRender(t, "r", values).workloads["r-nsqadmin"].container().Args; !slices.Equal(got, want) {
			t.Errorf("%q:\n%q, want\n%q", values, got, want)
		}
	}
}

// Whatever is switched on or off, the rest fits together, which mustRender checks.
func TestCombinations(t *testing.T) {
	for name, values := range map[string]string{
		"nsqadmin for others":     "nsqlookupd: {enabled: false}\nnsqd: {enabled: false}\nnsqadmin: {extraArgs: [--nsqd-http-address=nsqd.example.org:4151]}",
		"nsqd for others":         "nsqlookupd: {enabled: false}\nnsqadmin: {enabled: false}\nnsqd: {extraArgs: [--lookupd-tcp-address=lookupd.example.org:4160]}",
		"nsqlookupd alone":        "nsqd: {enabled: false}\nnsqadmin: {enabled: false}",
		"nothing":                 "nsqlookupd: {enabled: false}\nnsqd: {enabled: false}\nnsqadmin: {enabled: false}",
		"own names":               "fullnameOverride: mq\nnsqd: {fullnameOverride: broker}\nnsqlookupd: {fullnameOverride: directory}\nnsqadmin: {fullnameOverride: console}",
		"the cluster's domain":    "clusterDomain: cluster.local",
		"one of each":             "nsqlookupd: {replicaCount: 1}\nnsqd: {replicaCount: 1}",
		"none of each":            "nsqlookupd: {replicaCount: 0}\nnsqd: {replicaCount: 0}\nnsqadmin: {replicaCount: 0}",
		"accounts there are":      "nsqd: {serviceAccountName: messages}\nnsqlookupd: {serviceAccount: {create: false}}",
		"a lower bound":           "nsqd: {podDisruptionBudget: {minAvailable: 2}}\nnsqlookupd: {podDisruptionBudget: {minAvailable: 50%}}\nnsqadmin: {podDisruptionBudget: {enabled: true, maxUnavailable: 0}}",
		"OpenShift":               "nsqd: {podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}}",
		"monitors":                "metrics: {serviceMonitor: {enabled: true, namespace: monitoring, labels: {release: prometheus}, interval: 30s, scrapeTimeout: 10s, relabelings: [{action: labelmap, regex: a}], metricRelabelings: [{action: drop, regex: b, sourceLabels: [__name__]}]}}",
		"certificates":            "nsqd: {extraVolumes: [{name: tls, secret: {secretName: tls}}], extraVolumeMounts: [{name: tls, mountPath: /tls, readOnly: true}], extraArgs: [--tls-cert=/tls/tls.crt, --tls-key=/tls/tls.key], extraEnv: [{name: A, value: b}], persistence: {enabled: false}}\nnsqadmin: {extraVolumes: [{name: tls, emptyDir: {}}], extraVolumeMounts: [{name: tls, mountPath: /tls}]}\nnsqlookupd: {extraVolumes: [{name: tls, emptyDir: {}}], extraVolumeMounts: [{name: tls, mountPath: /tls}]}",
		"two arguments in one go": "nsqd: {extraArgs: [--mem-queue-size, '0']}",
	} {
		t.Run(name, func(t *testing.T) {
			mustRender(t, "r", values)
			mustRender(t, strings.Repeat("a-long-name-", 4)+"12345", values) // 53 characters are the most
		})
	}
}

func TestMonitors(t *testing.T) {
	r := mustRender(t, "r", "nsqadmin: {basePath: /nsq}\nmetrics: {serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 15s}}")
	for name, path := range map[string]string{"r-nsqd": "/metrics", "r-nsqlookupd": "/metrics", "r-nsqadmin": "/nsq/metrics"} {
		m := r.monitors[name]
		if m == nil || len(m.Spec.Endpoints) != 1 {
			t.Errorf("monitor %s: %v, want one endpoint", name, m)
			continue
		}
		if e := m.Spec.Endpoints[0]; e.Path != path || e.Port != "http" || e.Interval != "15s" || m.Labels["release"] != "prometheus" {
			t.Errorf("monitor %s: scrapes %s on %s every %s, labels %v", name, e.Path, e.Port, e.Interval, m.Labels)
		}
	}
	r = mustRender(t, "r", "metrics: {serviceMonitor: {enabled: true, relabelings: [{action: labelmap, regex: a}]}}")
	up := regexp.MustCompile(`up\{job=~"([^"]+)"\}`).FindStringSubmatch(read(t, "contrib/prometheus/alerts.yml"))
	if up == nil {
		t.Fatal("no alert is of daemons that do not answer")
	}
	for name, m := range r.monitors {
		relabel := m.Spec.Endpoints[0].RelabelConfigs
		if len(relabel) != 2 || relabel[1].Action != "labelmap" {
			t.Fatalf("monitor %s: relabelings %v, want that of the job and then the given one", name, relabel)
		}
		if job := relabel[0]; job.TargetLabel != "job" || job.Replacement == nil || !regexp.MustCompile("^("+up[1]+")$").MatchString(*job.Replacement) || "r-"+*job.Replacement != name {
			t.Errorf("monitor %s: relabeling %v, want a job that alerts know: %s", name, job, up[1])
		}
	}
	if r := mustRender(t, "r", "metrics: {enabled: false, serviceMonitor: {enabled: true}}"); len(r.monitors) > 0 {
		t.Errorf("monitors %v without metrics", r.monitors)
	}
}

func TestMistakes(t *testing.T) {
	for values, want := range map[string]string{
		"nsqd: {replicas: 3}":                                               "replicas",
		"nsqd: {extraArgs: --mem-queue-size=0}":                             "extraArgs",
		"nsqd: {replicaCount: many}":                                        "replicaCount",
		"nsqlookupd: {podManagementPolicy: Together}":                       "podManagementPolicy",
		"nsqd: {service: {type: External}}":                                 "type",
		"nsqd: {livenessProbe: {period: 3}}":                                "period",
		"nsqd: {drainOnTermSeconds: 30, terminationGracePeriodSeconds: 30}": "nsqd would be killed while it drains",
		"nsqlookupd: {enabled: false}\nnsqd: {enabled: false}":              "nsqadmin has nothing to show",
		"fullname: x": "fullname",
	} {
		if _, err := render("r", values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", values, err, want)
		}
	}
}

// The checks above find what they are for.
func TestWrongReleasesAreFound(t *testing.T) {
	if _, err := render("r", "nsqd: {tolerations: [{keyy: a}]}"); err == nil || !strings.Contains(err.Error(), "keyy") {
		t.Errorf("a misspelt field of Kubernetes: %v", err)
	}
	for values, want := range map[string]string{
		"nsqd: {extraArgs: [--mem-queue=0]}":                                          "mem-queue",
		"nsqd: {extraArgs: [--mem-queue-size=many]}":                                  "mem-queue-size",
		"nsqd: {extraArgs: [--lookupd-tcp-address=r-nsqlookupd:4160]}":                "headless service",
		"nsqd: {extraArgs: [--lookupd-tcp-address=r-nsqlookupd-3.r-nsqlookupd:4160]}": "no such pod",
		"nsqd: {extraArgs: [--lookupd-tcp-address=r-nsqlookupd-0.r-nsqlookupd:4150]}": "no such port",
		"nsqd: {extraArgs: [--lookupd-tcp-address=r-nsqd-0.r-nsqd-headless:4150]}":    "want /nsqlookupd",
		"nsqd: {extraArgs: [--broadcast-address=$(POD_IP)]}":                          "broadcast address",
	} {
		r, err := render("r", values)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.checkArguments(r.workloads["r-nsqd"]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", values, err, want)
		}
	}
}

// knownValues is a file with every key that charts for NSQ have had.
func knownValues(t *testing.T) string {
	text, err := os.ReadFile("testdata/known-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKnownValuesHaveTheirEffect(t *testing.T) {
	r := mustRender(t, "r", knownValues(t))
	if got, want := slices.Sorted(maps.Keys(r.workloads)), []string{"broker", "console", "directory"}; !slices.Equal(got, want) {
		t.Fatalf("workloads %q, want %q", got, want)
	}
	for name, replicas := range map[string]int{"directory": 5, "broker": 2, "console": 4} {
		w := r.workloads[name]
		pod := w.pod.Spec
		same(t, name+": replicas", w.replicas, replicas)
		same(t, name+": image", w.container().Image, "registry.example.org/nsq:v9")
		same(t, name+": pull policy", w.container().ImagePullPolicy, corev1.PullAlways)
		same(t, name+": pull secret", pod.ImagePullSecrets[0].Name, "registry")
		same(t, name+": priority", pod.PriorityClassName, "high")
		same(t, name+": last argument", w.container().Args[len(w.container().Args)-1], "--log-level=debug")
		same(t, name+": annotation", w.pod.Annotations["a"], "b")
		same(t, name+": group", *pod.SecurityContext.FSGroup, 2000)
		same(t, name+": memory", w.container().Resources.Limits.Memory().String(), "64Mi")
		same(t, name+": account", pod.ServiceAccountName, "messages")
		same(t, name+": node", pod.NodeSelector["disk"], "ssd")
		same(t, name+": toleration", pod.Tolerations[0].Key, "dedicated")
		same(t, name+": affinity", pod.Affinity.NodeAffinity != nil && pod.Affinity.PodAntiAffinity == nil, true)
		if w.set != nil {
			same(t, name+": pod management", string(w.set.Spec.PodManagementPolicy), "OrderedReady")
		}
	}
	same(t, "accounts", len(r.accounts), 0)

	broker := r.services["broker"]
	same(t, "nsqd's service", broker.Spec.Type, corev1.ServiceTypeLoadBalancer)
	same(t, "its annotation", broker.Annotations["c"], "d")
	claim := r.workloads["broker"].set.Spec.VolumeClaimTemplates[0].Spec
	same(t, "volume", claim.Resources.Requests.Storage().String(), "5Gi")
	same(t, "its class", *claim.StorageClassName, "fast")
	same(t, "its mode", claim.AccessModes[0], corev1.ReadWriteMany)

	console := r.services["console"]
	same(t, "nsqadmin's service", console.Spec.Type, corev1.ServiceTypeNodePort)
	same(t, "its port", console.Spec.Ports[0].Port, 80)
	same(t, "its node port", console.Spec.Ports[0].NodePort, 30171)
	same(t, "its annotation", console.Annotations["e"], "f")
	ingress := r.ingresses["console"]
	same(t, "ingress' class", *ingress.Spec.IngressClassName, "nginx")
	same(t, "its host", ingress.Spec.Rules[0].Host, "nsq.example.org")
	same(t, "its path", ingress.Spec.Rules[0].HTTP.Paths[0].Path, "/nsq")
	same(t, "its annotation", ingress.Annotations["g"], "h")
	same(t, "its certificate", ingress.Spec.TLS[0].SecretName, "tls")
	same(t, "what it matches", *ingress.Spec.Rules[0].HTTP.Paths[0].PathType, networkingv1.PathTypePrefix)
	same(t, "monitors", len(r.monitors), 3)
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Every value is explained where it stands or, in a part that is like another's,
// there; and every value that the schema allows is there with its default.
func TestValuesAreWhole(t *testing.T) {
	var values, schema map[string]any
	text := read(t, "contrib/helm/nsq/values.yaml")
	if err := errors.Join(yaml.Unmarshal([]byte(text), &values), json.Unmarshal([]byte(read(t, "contrib/helm/nsq/values.schema.json")), &schema)); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, values, schema map[string]any)
	walk = func(path string, values, schema map[string]any) {
		properties, _ := schema["properties"].(map[string]any)
		for key, property := range properties {
			value, ok := values[key]
			if !ok && path+key != "global" && path+key != "nsqadmin.podManagementPolicy" { // Helm's own; an old one without effect
				t.Errorf("%s%s is in the schema, not among the values", path, key)
			}
			if below, ok := value.(map[string]any); ok {
				walk(path+key+".", below, property.(map[string]any))
			}
		}
		for key := range values {
			if _, ok := properties[key]; !ok && properties != nil {
				t.Errorf("%s%s is not in the schema", path, key)
			}
		}
	}
	walk("", values, schema)
}

func TestNotesTellTheAddresses(t *testing.T) {
	notes := mustRender(t, "r", "nsqlookupd: {replicaCount: 2}\nnsqadmin: {basePath: /nsq}").notes
	for _, want := range []string{
		"  r-nsqd.messages.svc:4150\n",
		"'http://r-nsqd.messages.svc:4151/pub?topic=greetings'\n",
		"  r-nsqlookupd-0.r-nsqlookupd.messages.svc:4161\n  r-nsqlookupd-1.r-nsqlookupd.messages.svc:4161\n",
		"port-forward service/r-nsqadmin 4171:4171\n  http://127.0.0.1:4171/nsq\n",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	for values, want := range map[string]string{
		"nsqd: {persistence: {enabled: false}}":                              "not persistent",
		"nsqadmin: {ingress: {enabled: true, host: nsq.example.org}}":        "http://nsq.example.org/",
		"nsqadmin: {ingress: {enabled: true, host: h, tls: [{hosts: [h]}]}}": "https://h/",
	} {
		if notes := mustRender(t, "r", values).notes; !strings.Contains(notes, want) {
			t.Errorf("%q: the notes lack %q:\n%s", values, want, notes)
		}
	}
}

func TestExamplesOfTheChartsReadme(t *testing.T) {
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, "contrib/helm/nsq/README.md"), -1)
	if len(examples) == 0 {
		t.Fatal("there are none")
	}
	for _, e := range examples {
		w := mustRender(t, "r", e[1]).workloads["r-nsqd"]
		if m := w.pod.Spec.Volumes[0].Secret.DefaultMode; *m != 0o440 {
			t.Errorf("mode of the certificates %o, want 440", *m)
		}
	}
}
