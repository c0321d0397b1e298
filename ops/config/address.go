package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// checkServices reports addresses of services that nothing can be reached at.
func (c Config) checkServices(add func(format string, args ...any)) {
	for key, addrs := range map[string][]string{"kafka.brokers": c.Kafka.Brokers, "clickhouse.addr": c.ClickHouse.Addr} {
		for _, addr := range addrs {
			if host, port, ok := hostPort(addr); !ok || host == "" || port == 0 {
				add("%s: %q is not host:port, such as kafka-1:9092, without a scheme", key, addr)
			}
		}
	}
	if e := c.S3.Endpoint; e != "" {
		host, port, ok := hostPort(e)
		if bare := !strings.ContainsAny(e, ":/@? "); !bare && (!ok || host == "" || port == 0) {
			add("s3.endpoint: %q is not host:port, without a scheme and a path; s3.tls.enabled says whether it is https", e)
		}
	}
	if _, _, ok := hostPort(c.Metrics.Listen); !ok {
		add("metrics.listen: %q is not host:port", c.Metrics.Listen)
	} else if c.Metrics.Listen == c.Web.Listen && !strings.HasSuffix(c.Web.Listen, ":0") {
		add("metrics.listen and web.listen are the same, %s; choose another port", c.Web.Listen)
	}
	for key, port := range map[string]int{"stack.kafka_port": c.Stack.KafkaPort, "stack.clickhouse_port": c.Stack.ClickHousePort, "stack.s3_port": c.Stack.S3Port} {
		if port < 0 || port > 65535 {
			add("%s must be 0 to 65535; 0 takes a free one", key)
		}
	}
	c.Kafka.TLS.check("kafka.tls", add)
	c.ClickHouse.TLS.check("clickhouse.tls", add)
	c.S3.TLS.check("s3.tls", add)
	if (c.Service.CertFile == "") != (c.Service.KeyFile == "") {
		add("service.cert_file and service.key_file belong together")
	}
}

// check reports what would have no effect, or not the one that is meant.
func (t TLS) check(key string, add func(format string, args ...any)) {
	if !t.Enabled && t != (TLS{}) {
		add("%s.enabled is not set, and other settings of %s are: set it to true, or remove them", key, key)
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		add("%s.cert_file and %s.key_file belong together", key, key)
	}
}

// hostPort splits an address with a port by number.
func hostPort(text string) (host string, port int, ok bool) {
	host, number, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, "/@?, ") {
		return "", 0, false
	}
	port, err = strconv.Atoi(number)
	return host, port, err == nil && port >= 0 && port <= 65535
}

// identifier reports whether ClickHouse takes text as a name without quotes.
func identifier(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// parseBool reads true or false as people and programs write them.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	return strconv.ParseBool(text)
}

// parseInt reads a whole number of YAML 1.2: 010 is ten, 0o10 is eight, 0x10 is sixteen.
func parseInt(text string, bits int) (int64, error) {
	digits := strings.TrimLeft(text, "+-")
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0o") {
		return strconv.ParseInt(text, 0, bits)
	}
	if len(text)-len(digits) > 1 {
		return 0, fmt.Errorf("%q has two signs", text)
	}
	return strconv.ParseInt(text, 10, bits)
}

// parseFloat reads a number of YAML 1.2, where infinity and NaN begin with a dot.
func parseFloat(text string) (float64, error) {
	if sign := strings.TrimLeft(text, "+-"); strings.HasPrefix(sign, ".i") || strings.HasPrefix(sign, ".I") || strings.HasPrefix(sign, ".n") || strings.HasPrefix(sign, ".N") {
		text = strings.Replace(text, ".", "", 1)
	}
	return strconv.ParseFloat(text, 64)
}
