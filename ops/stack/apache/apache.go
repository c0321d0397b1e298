// Package apache runs Apache Kafka itself where a test wants more than the embedded
// stack's own broker: a KRaft node of a JVM process, on loopback.
//
// The program is a directory of jars (ops/proof/real/with brings them from Maven Central) and
// the java on PATH. Settings are written anew for every start; the data stays.
package apache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LibsEnv names the environment variable with the directory of Apache Kafka's jars. Where
// it is set, the Kafka of the embedded stack is Apache Kafka.
const LibsEnv = "CDDS_STACK_KAFKA_LIBS"

// Node is one broker that is its own or one of several controllers. Node n of a cluster
// has its controller on 127.0.0.2, one below the port of its broker: no outgoing
// connection has an address there, so that the port stays free over restarts.
type Node struct {
	Libs string // directory of the jars
	Dir  string // settings and data; created if absent
	ID   int    // from 1; its index in Ports is ID-1
	// Ports are the brokers' of the whole cluster on 127.0.0.1, in the order of their ids.
	Ports []int
	// Protocol of the brokers' port: PLAINTEXT if empty, else SASL_SSL.
	Protocol string
	// Settings are added to those of the node, or replace them.
	Settings map[string]string
	// Scram are passwords of SCRAM-SHA-512 users by name, known from the first start.
	Scram map[string]string
}

// clusterID is any; tests have one cluster per directory.
const clusterID = "Q0REUy1FTUJFRERFRC0wMQ"

// formatTimeout bounds the first preparation of a node's directory.
const formatTimeout = time.Minute

// Prepare writes the settings and, the first time, formats the data. It returns the
// command that runs the node; argv[0] is an absolute path. The node ends on SIGTERM
// with exit code 143.
func (n Node) Prepare(ctx context.Context) (argv []string, err error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("find Java 17 to run Apache Kafka with: %w", err)
	}
	if jars, _ := filepath.Glob(filepath.Join(n.Libs, "kafka-server-*.jar")); len(jars) == 0 {
		return nil, fmt.Errorf("%s holds no Apache Kafka; `make real-services` fetches it", n.Libs)
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, err
	}
	settings, logging := filepath.Join(n.Dir, "server.properties"), filepath.Join(n.Dir, "log4j2.properties")
	if err := errors.Join(os.WriteFile(settings, n.properties(), 0o600), os.WriteFile(logging, []byte(log4j), 0o600)); err != nil {
		return nil, err
	}
	base := []string{
		"-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-Dlog4j2.configurationFile=file:" + logging,
		"-cp", filepath.Join(n.Libs, "*"),
	}
	if _, err := os.Stat(filepath.Join(n.Dir, "data", "meta.properties")); errors.Is(err, os.ErrNotExist) {
		ctx, cancel := context.WithTimeout(ctx, formatTimeout)
		defer cancel()
		args := append(slices.Clone(base), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", settings, "--ignore-formatted")
		for _, name := range slices.Sorted(maps.Keys(n.Scram)) {
			args = append(args, "--add-scram", "SCRAM-SHA-512=[name="+name+",password="+n.Scram[name]+"]")
		}
		if out, err := exec.CommandContext(ctx, java, args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("format the data of Apache Kafka: %w: %s", err, out)
		}
	}
	argv = append([]string{java, "-Xms128m", "-Xmx512m", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC"}, base...)
	return append(argv, "kafka.Kafka", settings), nil
}

func (n Node) properties() []byte {
	port := n.Ports[n.ID-1]
	protocol := n.Protocol
	if protocol == "" {
		protocol = "PLAINTEXT"
	}
	var voters []string
	for i, p := range n.Ports {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.2:%d", i+1, p-1))
	}
	replicas := strconv.Itoa(len(n.Ports))
	// A cluster of three goes on without one.
	inSync := strconv.Itoa(max(1, len(n.Ports)-1))
	settings := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.ID),
		"listeners":                      fmt.Sprintf("%s://127.0.0.1:%d,CONTROLLER://127.0.0.2:%d", protocol, port, port-1),
		"advertised.listeners":           fmt.Sprintf("%s://127.0.0.1:%d", protocol, port),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     protocol,
		"listener.security.protocol.map": fmt.Sprintf("%s:%s,CONTROLLER:PLAINTEXT", protocol, protocol),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"log.dirs":                       filepath.Join(n.Dir, "data"),

		"auto.create.topics.enable":                        "false",
		"message.max.bytes":                                strconv.Itoa(10 << 20),
		"replica.fetch.max.bytes":                          strconv.Itoa(10 << 20),
		"min.insync.replicas":                              inSync,
		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "4",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    inSync,
		"transaction.state.log.num.partitions":             "4",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            inSync,
		// Tests start many groups, and some of them leave without a word.
		"group.initial.rebalance.delay.ms": "0",
		"group.min.session.timeout.ms":     "1000",
		// For one machine: few threads, and no 128 MiB of heap for the log cleaner.
		"num.network.threads":               "2",
		"num.io.threads":                    "4",
		"log.segment.bytes":                 strconv.Itoa(64 << 20),
		"log.cleaner.dedupe.buffer.size":    strconv.Itoa(16 << 20),
		"log.cleaner.threads":               "1",
		"num.recovery.threads.per.data.dir": "1",
	}
	maps.Copy(settings, n.Settings)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s=%s\n", k, settings[k])
	}
	return []byte(b.String())
}

// log4j sends warnings to standard output.
const log4j = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c{1}: %m%n%throwable{short}
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.kafka.name=kafka.server.KafkaRaftServer
logger.kafka.level=info
`
