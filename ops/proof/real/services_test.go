package real

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"cdds/ops/stack"
	"cdds/ops/stack/apache"
	"cdds/ops/stack/stacktest"
)

// libs and minio are taken from the environment, so that the embedded stack, of which
// only ClickHouse is used here, does not start them too.
var libs, minioBinary = os.Getenv(apache.LibsEnv), os.Getenv(stack.MinIOEnv)

func TestMain(m *testing.M) {
	if options := os.Getenv(replicatedEngine); options != "" {
		if err := runReplicatedEngine(options); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Unsetenv(apache.LibsEnv)
	os.Unsetenv(stack.MinIOEnv)
	stacktest.Main(m)
}

// process is a service of the test; it ends with it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func start(t *testing.T, name string, argv []string, env ...string) *process {
	t.Helper()
	logName := filepath.Join(t.TempDir(), name+".log")
	out, err := os.Create(logName)
	check(t, err)
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that started it ends
		started <- p.cmd.Start()
		_ = p.cmd.Wait()
		out.Close()
		close(p.exited)
	}()
	check(t, <-started)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			said, _ := os.ReadFile(logName)
			t.Logf("%s said: %s", name, said[max(0, len(said)-3000):])
		}
	})
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// authority issues the certificates of the services.
type authority struct {
	file string // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem"), key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	check(t, err)
	check(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	return a
}

// issue writes the certificate and key of a service on 127.0.0.1 into dir, as MinIO
// wants them and, in one file, as Kafka does.
func (a *authority) issue(t *testing.T, dir string) (certFile, keyFile, both string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "service"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key.Public(), a.key)
	check(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	check(t, os.MkdirAll(dir, 0o700))
	certFile, keyFile, both = filepath.Join(dir, "public.crt"), filepath.Join(dir, "private.key"), filepath.Join(dir, "both.pem")
	check(t, os.WriteFile(certFile, certPEM, 0o600))
	check(t, os.WriteFile(keyFile, keyPEM, 0o600))
	check(t, os.WriteFile(both, append(keyPEM, certPEM...), 0o600))
	return certFile, keyFile, both
}

// startKafka starts three brokers that want TLS and a SCRAM password of one of users,
// and refuse whatever no access list allows. The user root may do everything.
func startKafka(t *testing.T, a *authority, users map[string]string) (brokers []string, nodes []*process) {
	t.Helper()
	if libs == "" {
		t.Skip("there is no Apache Kafka: `make test-real` fetches it where Java 17 and Maven Central are")
	}
	ports := []int{freePort(t), freePort(t), freePort(t)}
	for i, port := range ports {
		dir := t.TempDir()
		_, _, pair := a.issue(t, filepath.Join(dir, "tls"))
		argv, err := apache.Node{
			Libs: libs, Dir: dir, ID: i + 1, Ports: ports, Protocol: "SASL_SSL", Scram: users,
			Settings: map[string]string{
				"ssl.keystore.type": "PEM", "ssl.keystore.location": pair,
				"ssl.truststore.type": "PEM", "ssl.truststore.location": a.file,
				"sasl.enabled.mechanisms":                               "SCRAM-SHA-512,PLAIN",
				"sasl.mechanism.inter.broker.protocol":                  "SCRAM-SHA-512",
				"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": fmt.Sprintf(`org.apache.kafka.common.security.scram.ScramLoginModule required username="root" password="%s";`, users["root"]),
				"listener.name.sasl_ssl.plain.sasl.jaas.config":         fmt.Sprintf(`org.apache.kafka.common.security.plain.PlainLoginModule required user_producer="%s";`, users["producer"]),
				"authorizer.class.name":                                 "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
				"super.users":                                           "User:root;User:ANONYMOUS", // the controllers' own listener, which is theirs alone
			},
		}.Prepare(t.Context())
		check(t, err)
		nodes = append(nodes, start(t, fmt.Sprintf("kafka-%d", i+1), argv))
		brokers = append(brokers, fmt.Sprintf("127.0.0.1:%d", port))
	}
	return brokers, nodes
}

// startMinIO starts MinIO with TLS.
func startMinIO(t *testing.T, a *authority, user, password string) (endpoint string) {
	t.Helper()
	if minioBinary == "" {
		t.Skip("there is no MinIO: `make test-real` builds it where the Go module proxy is")
	}
	dir := t.TempDir()
	a.issue(t, filepath.Join(dir, "certs"))
	endpoint = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	secret := filepath.Join(dir, "secret") // by file, as in the compose file
	check(t, os.WriteFile(secret, []byte(password), 0o600))
	start(t, "minio", []string{minioBinary, "server", "--quiet", "--certs-dir", filepath.Join(dir, "certs"), "--address", endpoint, filepath.Join(dir, "data")},
		"MINIO_ROOT_USER="+user, "MINIO_ROOT_PASSWORD_FILE="+secret, "MINIO_BROWSER=off")
	return endpoint
}

// fronted puts TLS before the HTTP interface of ClickHouse, as a load balancer does.
func fronted(t *testing.T, a *authority, addr string) string {
	t.Helper()
	certFile, keyFile, _ := a.issue(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	check(t, err)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy.FlushInterval = -1
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	check(t, err)
	// A client that does not trust it is the point of a test.
	quiet := log.New(t.Output(), "", 0)
	proxy.ErrorLog = quiet
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 5 * time.Second, ErrorLog: quiet}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
