package real

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/auth"
	"cdds/ops/config"
	"cdds/ops/provision"
	"cdds/ops/stack/apache"
	"cdds/schemas"
)

const top = "../../.."

func composed(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(top, "docker-compose.yml")}, cli.WithWorkingDirectory(top))
	check(t, err)
	project, err := options.LoadProject(t.Context()) // checks it against the specification
	check(t, err)
	return project
}

func TestComposeFileKeepsItsServicesApartAndBounded(t *testing.T) {
	project := composed(t)
	once := map[string]bool{} // what others wait for the end of
	for _, s := range project.Services {
		for name, d := range s.DependsOn {
			once[name] = once[name] || d.Condition == types.ServiceConditionCompletedSuccessfully
		}
	}
	for name, s := range project.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); s.Build == nil && (!ok || tag == "latest" || tag == "") {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if s.MemLimit == 0 {
			t.Errorf("%s may use all memory", name)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s keeps rights of the kernel: %v %v", name, s.CapDrop, s.SecurityOpt)
		}
		// These two write their settings into their images' directories at the start.
		if !s.ReadOnly && name != "kafka" && name != "clickhouse" {
			t.Errorf("%s can write to its root", name)
		}
		if !once[name] && (s.HealthCheck == nil || s.Restart != "unless-stopped") {
			t.Errorf("%s is not watched and started again", name)
		}
		for _, p := range s.Ports {
			if ip := net.ParseIP(p.HostIP); ip == nil || !ip.IsLoopback() {
				t.Errorf("%s is published on %q", name, p.HostIP)
			}
		}
		for key, value := range s.Environment {
			secret := strings.Contains(key, "PASSWORD") || strings.Contains(key, "SECRET")
			if secret && (value == nil || !strings.HasPrefix(*value, "/secrets/")) {
				t.Errorf("%s: %s is no file", name, key)
			}
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s mounts what is not there: %v", name, err)
				}
			}
		}
	}
}

// secretsMade runs what the service `passwords` runs, in a directory that it returns, as
// often as it is called. Nobody here may give files away, so chown does nothing.
func secretsMade(t *testing.T, project *types.Project, dir string) {
	t.Helper()
	command := project.Services["passwords"].Command
	script := "chown() { :; }\n" + strings.ReplaceAll(command[len(command)-1], "/secrets", dir)
	if out, err := exec.Command("sh", "-euc", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// composedConfig is what cdds starts with, its files below dir.
func composedConfig(t *testing.T, project *types.Project, dir string) config.Config {
	t.Helper()
	var environ []string
	for key, value := range project.Services["cdds"].Environment {
		environ = append(environ, key+"="+strings.Replace(*value, "/secrets/", dir+"/", 1))
	}
	if unknown := config.Unknown(environ); len(unknown) > 0 {
		t.Errorf("variables that mean nothing: %v", unknown)
	}
	c, err := config.Load("", environ)
	check(t, err)
	check(t, c.Check())
	return c
}

// Without the one every webhook is given up, without the other each start signs all out.
func TestComposeFileGivesCDDSTheSecretsItsRolesNeedAndKeepsThem(t *testing.T) {
	project, dir := composed(t), t.TempDir()
	var before [][]byte
	for range 2 { // at the first start and at the next
		secretsMade(t, project, dir)
		c := composedConfig(t, project, dir)
		for what, value := range map[string]config.Secret{"s3.secret_key": c.S3.SecretKey, "clickhouse.password": c.ClickHouse.Password, "webhooks.secret": c.Webhooks.Secret} {
			if value == "" {
				t.Errorf("%s is not set", what)
			}
		}
		if !strings.HasPrefix(c.Web.SessionKeyFile, dir) || !strings.HasPrefix(c.Service.KeyFile, dir) {
			t.Fatalf("the key of sessions (%q) or the one that signs (%q) is not kept", c.Web.SessionKeyFile, c.Service.KeyFile)
		}
		info, err := os.Stat(c.Web.SessionKeyFile)
		check(t, err) // cdds could not make it: the volume is read-only there
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may read the key of sessions: %v", info.Mode())
		}
		key, err := auth.EnsureKey(c.Web.SessionKeyFile)
		check(t, err)
		after := [][]byte{key, []byte(c.Webhooks.Secret.Reveal()), []byte(c.S3.SecretKey.Reveal()), []byte(c.ClickHouse.Password.Reveal())}
		if before != nil && !slices.EqualFunc(before, after, bytes.Equal) {
			t.Error("a second start makes other secrets")
		}
		before = after
	}
}

func TestComposeFileConfiguresCDDSForItsOtherServices(t *testing.T) {
	project, dir := composed(t), t.TempDir()
	secretsMade(t, project, dir)
	c := composedConfig(t, project, dir)
	for what, at := range map[string]string{"kafka": c.Kafka.Brokers[0], "clickhouse": c.ClickHouse.Addr[0], "minio": c.S3.Endpoint} {
		host, _, err := net.SplitHostPort(at)
		check(t, err)
		if _, there := project.Services[host]; !there || host != what {
			t.Errorf("%s is looked for at %s", what, at)
		}
	}
	if *project.Services["minio"].Environment["MINIO_ROOT_USER"] != c.S3.AccessKey ||
		*project.Services["clickhouse"].Environment["CLICKHOUSE_USER"] != c.ClickHouse.Username {
		t.Error("the users of the services are not those that cdds uses")
	}
}

func TestDockerComposeReadsTheComposeFile(t *testing.T) {
	if err := exec.Command("docker", "compose", "version").Run(); err != nil {
		t.Skipf("docker compose is not installed: %v", err)
	}
	cmd := exec.Command("docker", "compose", "-f", filepath.Join(top, "docker-compose.yml"), "config", "--quiet")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestComposeFileRunsTheKafkaThatIsTested(t *testing.T) {
	content, err := os.ReadFile("pom.xml")
	check(t, err)
	var pom struct {
		Dependencies []struct {
			ID      string `xml:"artifactId"`
			Version string `xml:"version"`
		} `xml:"dependencies>dependency"`
	}
	check(t, xml.Unmarshal(content, &pom))
	if image, want := composed(t).Services["kafka"].Image, "apache/kafka:"+pom.Dependencies[0].Version; image != want {
		t.Errorf("the image is %s, tested is %s", image, want)
	}
}

// The image turns KAFKA_A_B into a.b of server.properties; so does this.
func TestComposeSettingsOfKafkaRun(t *testing.T) {
	if libs == "" {
		t.Skip("there is no Apache Kafka: `make test-real` fetches it where Java 17 and Maven Central are")
	}
	port, outside, dir := freePort(t), freePort(t), t.TempDir()
	project := composed(t)
	secretsMade(t, project, dir)
	here := strings.NewReplacer(
		"//:9092", fmt.Sprintf("//127.0.0.1:%d", port), "//kafka:9092", fmt.Sprintf("//127.0.0.1:%d", port),
		"//:9093", fmt.Sprintf("//127.0.0.2:%d", port-1), "kafka:9093", fmt.Sprintf("127.0.0.2:%d", port-1),
		"//:19092", fmt.Sprintf("//127.0.0.1:%d", outside), "127.0.0.1:19092", fmt.Sprintf("127.0.0.1:%d", outside),
		"/var/lib/kafka/data", filepath.Join(dir, "data"))
	settings := map[string]string{}
	for key, value := range project.Services["kafka"].Environment {
		if name, ok := strings.CutPrefix(key, "KAFKA_"); ok && name != "HEAP_OPTS" {
			settings[strings.ToLower(strings.ReplaceAll(name, "_", "."))] = here.Replace(*value)
		}
	}
	argv, err := apache.Node{Libs: libs, Dir: dir, ID: 1, Ports: []int{port}, Settings: settings}.Prepare(t.Context())
	check(t, err)
	start(t, "kafka", argv)
	client, err := kgo.NewClient(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", outside)))
	check(t, err)
	defer client.Close()
	var created []schemas.Topic
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if created, err = provision.Topics(t.Context(), kadm.NewClient(client), composedConfig(t, project, dir).Kafka); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if len(created) != len(schemas.Topics()) {
		t.Errorf("%d of %d topics were created", len(created), len(schemas.Topics()))
	}
}
