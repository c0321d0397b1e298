package kubernetes

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/schemas"
)

// cluster is what an overlay would apply, each object read by the types of its API.
type cluster struct {
	deployments map[string]*appsv1.Deployment // by role
	jobs        []batchv1.Job
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
	services    []corev1.Service
	configMaps  map[string]corev1.ConfigMap
	custom      map[string][]map[string]any // by kind
}

// strict are the kinds with Go types; unknown fields are refused.
func (c *cluster) strict(kind string, doc []byte) (known bool, err error) {
	switch kind {
	case "Deployment":
		d := new(appsv1.Deployment)
		err = yaml.UnmarshalStrict(doc, d)
		c.deployments[strings.TrimPrefix(d.Name, "cdds-")] = d
	case "PodDisruptionBudget":
		c.budgets = append(c.budgets, policyv1.PodDisruptionBudget{})
		err = yaml.UnmarshalStrict(doc, &c.budgets[len(c.budgets)-1])
	case "Job":
		c.jobs = append(c.jobs, batchv1.Job{})
		err = yaml.UnmarshalStrict(doc, &c.jobs[len(c.jobs)-1])
	case "NetworkPolicy":
		c.policies = append(c.policies, networkingv1.NetworkPolicy{})
		err = yaml.UnmarshalStrict(doc, &c.policies[len(c.policies)-1])
	case "Service":
		c.services = append(c.services, corev1.Service{})
		err = yaml.UnmarshalStrict(doc, &c.services[len(c.services)-1])
	case "ConfigMap":
		var m corev1.ConfigMap
		err = yaml.UnmarshalStrict(doc, &m)
		c.configMaps[m.Name] = m
	case "ServiceAccount":
		err = yaml.UnmarshalStrict(doc, new(corev1.ServiceAccount))
	case "Namespace":
		err = yaml.UnmarshalStrict(doc, new(corev1.Namespace))
	default:
		return false, nil
	}
	return true, err
}

// render builds the example overlay: the base with both components.
func render(t *testing.T) *cluster {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "example")
	check(t, err)
	c := &cluster{deployments: map[string]*appsv1.Deployment{}, configMaps: map[string]corev1.ConfigMap{}, custom: map[string][]map[string]any{}}
	for _, r := range built.Resources() {
		doc, err := r.AsYAML()
		check(t, err)
		known, err := c.strict(r.GetKind(), doc)
		if err == nil && !known {
			var object map[string]any
			check(t, yaml.Unmarshal(doc, &object))
			c.custom[r.GetKind()] = append(c.custom[r.GetKind()], object)
			err = customSchema(t, r.GetKind()).Validate(object)
		}
		if err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), r.GetName(), err)
		}
	}
	return c
}

// customSchema is that of a custom resource, made closed from its definition's release:
// their Go modules would bring a hundred others.
func customSchema(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", kind+".schema.json"))
	check(t, err)
	return s
}

func TestEveryRoleHasADeploymentWithABudgetAndNoOther(t *testing.T) {
	c := render(t)
	for _, role := range app.Roles() {
		d := c.deployments[role]
		if d == nil {
			t.Errorf("role %s is deployed by nobody", role)
			continue
		}
		if got := d.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got, []string{"up", "--roles", role}) {
			t.Errorf("%s runs %q", role, got)
		}
		selected := 0
		for _, b := range c.budgets {
			if covers(b.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
				selected++
			}
		}
		if selected != 1 {
			t.Errorf("%s has %d disruption budgets", role, selected)
		}
		if !covers(d.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
			t.Errorf("%s does not select its own pods", role)
		}
	}
	if len(c.deployments) != len(app.Roles()) {
		t.Errorf("%d deployments for %d roles", len(c.deployments), len(app.Roles()))
	}
}

// Roles wait for a step of its own, whose pod is kept as they are.
func TestAJobProvisionsWithTheConfigurationOfTheRoles(t *testing.T) {
	c := render(t)
	if len(c.jobs) != 1 {
		t.Fatalf("%d jobs", len(c.jobs))
	}
	pod, role := c.jobs[0].Spec.Template.Spec, c.deployments["history"].Spec.Template.Spec
	if got := pod.Containers[0].Args; got[0] != "provision" {
		t.Errorf("it runs %q", got)
	}
	for what, pair := range map[string][2]any{
		"image":    {pod.Containers[0].Image, role.Containers[0].Image},
		"env":      {pod.Containers[0].Env, role.Containers[0].Env},
		"mounts":   {pod.Containers[0].VolumeMounts, role.Containers[0].VolumeMounts},
		"volumes":  {pod.Volumes, role.Volumes},
		"security": {pod.SecurityContext, role.SecurityContext},
		"rights":   {pod.Containers[0].SecurityContext, role.Containers[0].SecurityContext},
		"token":    {pod.AutomountServiceAccountToken, role.AutomountServiceAccountToken},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %+v, of roles %+v", what, pair[0], pair[1])
		}
	}
}

func TestPodsHaveNoRightsAndAreBoundedAndWatched(t *testing.T) {
	for role, d := range render(t).deployments {
		pod := d.Spec.Template.Spec
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			t.Errorf("%s gets a token, or variables of Services", role)
		}
		if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s may run as root, or without seccomp", role)
		}
		if len(pod.Containers) != 1 {
			t.Fatalf("%s has %d containers", role, len(pod.Containers))
		}
		cdds := pod.Containers[0]
		if s := cdds.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s can write to its root, or gain rights", role)
		}
		if cdds.Resources.Requests.Cpu().IsZero() || cdds.Resources.Requests.Memory().IsZero() || cdds.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s asks for no CPU or memory, or may use all", role)
		}
		for path, probe := range map[string]*corev1.Probe{"/healthz": cdds.LivenessProbe, "/readyz": cdds.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path {
				t.Errorf("%s is not asked for %s", role, path)
			} else if portNamed(cdds, probe.HTTPGet.Port.StrVal) == 0 {
				t.Errorf("%s: the port of %s is not there", role, path)
			}
		}
		if image := cdds.Image; strings.HasSuffix(image, ":latest") || !strings.Contains(image, ":") {
			t.Errorf("%s: the image %s is not pinned", role, image)
		}
	}
}

func TestRolesListenWhereServicesProbesAndPoliciesLook(t *testing.T) {
	c := render(t)
	for role, d := range c.deployments {
		cdds := d.Spec.Template.Spec.Containers[0]
		settings := load(t, c, d)
		listens := []string{settings.Metrics.Listen}
		if role == "web" {
			listens = append(listens, settings.Web.Listen)
		}
		if len(cdds.Ports) != len(listens) {
			t.Errorf("%s has %d ports and listens on %v", role, len(cdds.Ports), listens)
		}
		for _, p := range cdds.Ports {
			if !slices.Contains(listens, "0.0.0.0:"+strconv.Itoa(int(p.ContainerPort))) {
				t.Errorf("%s: port %d is not one of %v", role, p.ContainerPort, listens)
			}
		}
		for _, s := range c.services {
			if !covers(s.Spec.Selector, d.Spec.Template.Labels) {
				continue
			}
			for _, p := range s.Spec.Ports {
				if portNamed(cdds, p.TargetPort.StrVal) == 0 {
					t.Errorf("Service %s sends to port %q, which %s has not", s.Name, p.TargetPort.StrVal, role)
				}
			}
		}
		for _, n := range c.policies {
			if !covers(n.Spec.PodSelector.MatchLabels, d.Spec.Template.Labels) {
				continue
			}
			for _, rule := range n.Spec.Ingress {
				for _, p := range rule.Ports {
					if portNamed(cdds, p.Port.StrVal) == 0 {
						t.Errorf("NetworkPolicy %s lets in at port %q, which %s has not", n.Name, p.Port.StrVal, role)
					}
				}
			}
		}
	}
}

func TestPoliciesLetPodsReachWhatIsConfigured(t *testing.T) {
	c := render(t)
	var out []string
	for _, n := range c.policies {
		for _, rule := range n.Spec.Egress {
			for _, p := range rule.Ports {
				out = append(out, ":"+p.Port.String())
			}
		}
	}
	s := load(t, c, c.deployments["export"])
	for _, addr := range slices.Concat(s.Kafka.Brokers, s.ClickHouse.Addr, []string{s.S3.Endpoint}) {
		if !slices.ContainsFunc(out, func(port string) bool { return strings.HasSuffix(addr, port) }) {
			t.Errorf("%s is configured and no policy lets a pod out to it", addr)
		}
	}
}

func TestWorkersAreScaledOnTheLagOfGroupsThatExistAndNotPastPartitions(t *testing.T) {
	c := render(t)
	groups := map[string]string{schemas.GroupExport: string(schemas.TopicExportRequests)}
	for _, topic := range schemas.SourceTopics() {
		groups[schemas.IngestGroup(topic)] = string(topic)
	}
	settings := load(t, c, c.deployments["ingest"])
	for _, o := range c.custom["ScaledObject"] {
		spec := o["spec"].(map[string]any)
		role := strings.TrimPrefix(spec["scaleTargetRef"].(map[string]any)["name"].(string), "cdds-")
		d := c.deployments[role]
		if d == nil {
			t.Errorf("%s is scaled and not there", role)
		} else if d.Spec.Replicas != nil {
			t.Errorf("%s has replicas set: each apply would undo the scaling", role)
		}
		if most := spec["maxReplicaCount"].(float64); most > float64(settings.Kafka.Partitions) {
			t.Errorf("%s goes to %v pods for %d partitions", role, most, settings.Kafka.Partitions)
		}
		for _, trigger := range spec["triggers"].([]any) {
			m := trigger.(map[string]any)["metadata"].(map[string]any)
			if topic, ok := groups[m["consumerGroup"].(string)]; !ok || topic != m["topic"] {
				t.Errorf("%s waits for group %v on %v, which nobody reads", role, m["consumerGroup"], m["topic"])
			} else {
				delete(groups, m["consumerGroup"].(string))
			}
			if m["bootstrapServers"] != settings.Kafka.Brokers[0] {
				t.Errorf("%s is scaled on another Kafka: %v", role, m["bootstrapServers"])
			}
		}
	}
	if len(groups) > 0 {
		t.Errorf("nothing scales on the lag of %v", groups)
	}
}

func TestOnlyExportHasTheKeyThatSigns(t *testing.T) {
	c := render(t)
	for role, d := range c.deployments {
		has := slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Secret != nil && v.Secret.SecretName == "cdds-signing"
		})
		if has != (role == "export") {
			t.Errorf("%s has the signing key: %v", role, has)
		}
	}
}

// Without them webhooks are given up, and sessions end with the pod that began them.
func TestRolesThatSealSessionsOrSignWebhooksHaveTheSecretAndNoOther(t *testing.T) {
	c := render(t)
	for role, d := range c.deployments {
		settings := load(t, c, d)
		if has := settings.Web.SessionKeyFile != ""; has != (role == "web") {
			t.Errorf("%s has the key of sessions: %v", role, has)
		}
		// web tells those who define jobs what to verify with.
		if has := settings.Webhooks.Secret != ""; has != (role == "web" || role == "webhooks") {
			t.Errorf("%s has the secret of webhooks: %v", role, has)
		}
		// Without it web refuses pseudonyms.
		if has := settings.Export.PseudonymSecret != ""; has != (role == "web" || role == "export") {
			t.Errorf("%s has the secret of pseudonyms: %v", role, has)
		}
	}
}

// load is the configuration a pod starts with, read and checked by the program's own
// loader; each file of a secret must be on a mounted volume.
func load(t *testing.T, c *cluster, d *appsv1.Deployment) config.Config {
	t.Helper()
	pod := d.Spec.Template.Spec
	cdds := pod.Containers[0]
	var file string
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil {
			m, ok := c.configMaps[v.ConfigMap.Name]
			if !ok {
				t.Fatalf("%s mounts ConfigMap %s, which is not there", d.Name, v.ConfigMap.Name)
			}
			file = m.Data["config.yaml"]
		}
	}
	dir := t.TempDir()
	mounted := func(text string) string {
		for _, m := range cdds.VolumeMounts {
			text = strings.ReplaceAll(text, m.MountPath+"/", filepath.Join(dir, m.Name)+"/")
		}
		if strings.Contains(text, "/secrets/") && !strings.Contains(text, dir) {
			t.Errorf("%s: %q is on no volume", d.Name, text)
		}
		return text
	}
	for _, m := range cdds.VolumeMounts {
		check(t, os.MkdirAll(filepath.Join(dir, m.Name), 0o700))
		for _, secret := range []string{"kafka", "clickhouse", "s3", "webhooks", "pseudonyms"} {
			check(t, os.WriteFile(filepath.Join(dir, m.Name, secret), []byte(strings.Repeat("x", config.MinWebhookSecret)), 0o600))
		}
	}
	var environ []string
	for _, e := range cdds.Env {
		if e.Name != "CDDS_CONFIG" {
			environ = append(environ, e.Name+"="+mounted(e.Value))
		} else if e.Value != "/etc/cdds/config.yaml" {
			t.Errorf("%s looks for its configuration in %s", d.Name, e.Value)
		}
	}
	at := filepath.Join(dir, "config.yaml")
	var lines []string
	for line := range strings.Lines(file) {
		lines = append(lines, mounted(line))
	}
	check(t, os.WriteFile(at, []byte(strings.Join(lines, "")), 0o600))
	if unknown := config.Unknown(environ); len(unknown) > 0 {
		t.Errorf("%s: variables that mean nothing: %v", d.Name, unknown)
	}
	settings, err := config.Load(at, environ)
	check(t, err)
	check(t, settings.Check())
	return settings
}

// covers reports whether a selector takes these labels.
func covers(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func portNamed(c corev1.Container, name string) int32 {
	for _, p := range c.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
