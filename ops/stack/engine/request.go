package engine

import (
	"net/url"
	"slices"
	"strings"
)

// param is a name and a value: a setting, or a query parameter whose value is
// escaped as a TSV field, which is what both ends of the interface use.
type param struct{ name, value string }

// request is a ClickHouse HTTP request without its body.
type request struct {
	query      string // "" if the query is the body
	database   string
	format     string // default output format
	queryID    string
	settings   []param // sorted by name, except readonly, which comes last
	params     []param // sorted by name
	hello      bool    // sent by a client that decodes at the revision we announce
	whole      bool    // wait_end_of_query: answer only once the query has succeeded
	compressed bool    // enable_http_compression: gzip the answer if the client accepts it
}

// ignored are URL parameters of the interface that mean nothing here.
var ignored = []string{"quota_key", "user", "password", "buffer_size", "session_timeout", "session_check", "network_compression_method", "network_zstd_compression_level",
	"log_comment"} // ours: it marks the query for KILL

// parseRequest reads the URL parameters. Whatever is not a parameter of the
// interface (https://clickhouse.com/docs/interfaces/http) is a setting.
func parseRequest(rawQuery string) (request, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return request{}, refuse(codeBadArguments, "BAD_ARGUMENTS", "Bad URL parameters: %v", err)
	}
	r := request{format: "TabSeparated"}
	for name, vs := range values {
		value := vs[0]
		switch {
		case name == "query":
			r.query = value
		case name == "database":
			r.database = value
		case name == "default_format":
			r.format = value
		case name == "query_id":
			r.queryID = value
		case name == "client_protocol_version":
			r.hello = true
		case name == "wait_end_of_query":
			r.whole = truthy(value)
		case name == "enable_http_compression":
			r.compressed = truthy(value)
		case name == "compress" || name == "decompress":
			if truthy(value) {
				return r, refuse(codeNotImplemented, "NOT_IMPLEMENTED", "Compressed native blocks are not supported by the embedded ClickHouse: set the client's compression to none")
			}
		case name == "session_id":
			return r, refuse(codeNotImplemented, "NOT_IMPLEMENTED", "Sessions are not supported by the embedded ClickHouse: send settings with each query")
		case slices.Contains(ignored, name):
		case strings.HasPrefix(name, "param_"):
			if !settingName.MatchString(name) {
				return r, refuse(codeBadArguments, "BAD_ARGUMENTS", "%q is not the name of a query parameter", name)
			}
			r.params = append(r.params, param{strings.TrimPrefix(name, "param_"), value})
		case settingName.MatchString(name):
			r.settings = append(r.settings, param{name, value})
		default:
			return r, refuse(codeBadArguments, "BAD_ARGUMENTS", "%q is neither a parameter nor the name of a setting", name)
		}
	}
	byName := func(a, b param) int { return strings.Compare(settingOrder(a.name), settingOrder(b.name)) }
	slices.SortFunc(r.settings, byName)
	slices.SortFunc(r.params, byName)
	if !settingName.MatchString(r.format) {
		return r, refuse(codeBadArguments, "BAD_ARGUMENTS", "%q is not the name of a format", r.format)
	}
	return r, nil
}

// settingOrder puts readonly last: nothing can be set after it.
func settingOrder(name string) string {
	if name == "readonly" {
		return "~"
	}
	return name
}

func truthy(s string) bool { return s == "1" || strings.EqualFold(s, "true") }
