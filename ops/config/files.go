package config

import (
	"os"
	"reflect"
	"strings"
)

// made are files that CDDS makes if they are not there.
var made = map[string]bool{"web.session_key_file": true}

// CheckFiles reports every file that is named and cannot be read by whoever asks. Files with
// secrets are read, and reported, by Load.
func (c Config) CheckFiles() error {
	p := problems{of: c}
	secrets := map[string]bool{}
	for _, s := range c.secrets() {
		secrets[s.key+"_file"] = true
	}
	eachVariable(reflect.ValueOf(&c).Elem(), prefix, "", func(_, key string, v reflect.Value) {
		if !strings.HasSuffix(key, "_file") || made[key] || secrets[key] || v.String() == "" {
			return
		}
		f, err := os.Open(v.String())
		if err != nil {
			p.add("%s: %v", key, err)
			return
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			p.add("%s: %s is a directory", key, v.String())
		}
	})
	return Join(p.all...)
}
