package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"
)

// chartDir has the chart.
const chartDir = "../helm/nsq"

// A release is what the chart makes of values, by name. Its workloads are the
// StatefulSets and Deployments, of which only the pods are of interest here.
type release struct {
	name, namespace string
	notes           string
	services        map[string]*corev1.Service
	workloads       map[string]*workload
	accounts        map[string]*corev1.ServiceAccount
	budgets         map[string]*policyv1.PodDisruptionBudget
	ingresses       map[string]*networkingv1.Ingress
	monitors        map[string]*monitoringv1.ServiceMonitor
}

// A workload is a StatefulSet or a Deployment.
type workload struct {
	name       string
	replicas   int
	selector   *metav1.LabelSelector
	pod        corev1.PodTemplateSpec
	set        *appsv1.StatefulSet // nil for a Deployment
	deployment *appsv1.Deployment  // nil for a StatefulSet
}

// container is the only one of the workload's pods.
func (w *workload) container() *corev1.Container { return &w.pod.Spec.Containers[0] }

// render makes a release of the chart with these values in YAML. What Kubernetes
// would not know is an error.
func render(name, values string) (*release, error) {
	chart, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	own, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	r := &release{
		name: name, namespace: "messages",
		services:  make(map[string]*corev1.Service),
		workloads: make(map[string]*workload),
		accounts:  make(map[string]*corev1.ServiceAccount),
		budgets:   make(map[string]*policyv1.PodDisruptionBudget),
		ingresses: make(map[string]*networkingv1.Ingress),
		monitors:  make(map[string]*monitoringv1.ServiceMonitor),
	}
	all, err := chartutil.ToRenderValues(chart, own, chartutil.ReleaseOptions{Name: name, Namespace: r.namespace, Revision: 1, IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if path.Base(file) == "NOTES.txt" {
			r.notes = files[file]
			continue
		}
		if err := r.add(files[file]); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", file, err, files[file])
		}
	}
	return r, nil
}

// mustRender is render for values that are right; all of the release is consistent.
func mustRender(t *testing.T, name, values string) *release {
	t.Helper()
	r, err := render(name, values)
	if err != nil {
		t.Fatal(err)
	}
	r.check(t)
	return r
}

// decoder knows the kinds that the chart has, and takes no field which they have not.
var decoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// add takes the objects of a file.
func (r *release) add(file string) error {
	for text := range strings.SplitSeq("\n"+file, "\n---\n") {
		if empty, err := isEmpty(text); err != nil || empty {
			if err != nil {
				return err
			}
			continue
		}
		object, _, err := decoder.Decode([]byte(text), nil, nil)
		if err != nil {
			return err
		}
		if ns := object.(metav1.Object).GetNamespace(); ns == "" {
			return fmt.Errorf("%T %s has no namespace", object, object.(metav1.Object).GetName())
		}
		switch o := object.(type) {
		case *corev1.Service:
			err = put(r.services, o.Name, o)
		case *corev1.ServiceAccount:
			err = put(r.accounts, o.Name, o)
		case *policyv1.PodDisruptionBudget:
			err = put(r.budgets, o.Name, o)
		case *networkingv1.Ingress:
			err = put(r.ingresses, o.Name, o)
		case *monitoringv1.ServiceMonitor:
			err = put(r.monitors, o.Name, o)
		case *appsv1.StatefulSet:
			err = put(r.workloads, o.Name, &workload{o.Name, int(*o.Spec.Replicas), o.Spec.Selector, o.Spec.Template, o, nil})
		case *appsv1.Deployment:
			err = put(r.workloads, o.Name, &workload{o.Name, int(*o.Spec.Replicas), o.Spec.Selector, o.Spec.Template, nil, o})
		default:
			err = fmt.Errorf("an unexpected %T", o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isEmpty says whether a YAML document has only comments.
func isEmpty(text string) (bool, error) {
	var v any
	err := yaml.Unmarshal([]byte(text), &v)
	return v == nil, err
}

func put[T any](objects map[string]T, name string, object T) error {
	if _, ok := objects[name]; ok {
		return fmt.Errorf("%s twice", name)
	}
	objects[name] = object
	return nil
}

// host finds the pod of a name like <pod>.<service>, which a cluster's DNS knows
// if the pod's StatefulSet says that the service governs it and the service selects
// it, in this namespace or with .<namespace>.svc behind it.
func (r *release) host(name string) (*workload, error) {
	pod, rest, _ := strings.Cut(name, ".")
	service, domain, _ := strings.Cut(rest, ".")
	if want := r.namespace + ".svc"; domain != "" && domain != want && !strings.HasPrefix(domain, want+".") {
		return nil, fmt.Errorf("%s is in no namespace of the release", name)
	}
	s := r.services[service]
	if s == nil || s.Spec.ClusterIP != corev1.ClusterIPNone {
		return nil, fmt.Errorf("%s: there is no headless service %q", name, service)
	}
	for _, w := range r.workloads {
		for n := range w.replicas {
			if pod == fmt.Sprintf("%s-%d", w.name, n) && w.set != nil && w.set.Spec.ServiceName == service && selects(s.Spec.Selector, w) {
				return w, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: service %q has no such pod", name, service)
}

// selected returns the workloads whose pods have the labels.
func (r *release) selected(selector map[string]string) []*workload {
	var found []*workload
	for _, w := range r.workloads {
		if selects(selector, w) {
			found = append(found, w)
		}
	}
	return found
}

func selects(selector map[string]string, w *workload) bool {
	return labels.SelectorFromSet(selector).Matches(labels.Set(w.pod.Labels))
}
