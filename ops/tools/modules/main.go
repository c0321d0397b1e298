// Command modules says which modules are in a binary, refuses those whose licence is not
// on the list, and writes a CycloneDX bill of materials.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// phrases tell licences by what only their text says, the most particular first. All
// allow what we do: to give away a binary with their notice. A text that says none of
// them is refused until a person read it.
var phrases = []struct{ id, phrase string }{
	{"Apache-2.0", "Apache License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License, version 2.0"},
	{"BSD-3-Clause", "may be used to endorse or promote products"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"Unlicense", "free and unencumbered software released into the public domain"},
}

// licence is the SPDX identifier of the licence of the module in dir.
func licence(dir string) (string, error) {
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "UNLICENSE*", "COPYING*", "License*", "license*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil { // a directory of that name
				continue
			}
			if id := identify(string(text)); id != "" {
				return id, nil
			}
		}
	}
	return "", errors.New("no licence on the list")
}

func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, p := range phrases {
		if strings.Contains(strings.ToLower(text), strings.ToLower(p.phrase)) {
			return p.id
		}
	}
	return ""
}

// component is one of CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json).
type component struct {
	Type     string           `json:"type"`
	Name     string           `json:"name"`
	Version  string           `json:"version"`
	PURL     string           `json:"purl"`
	Licenses []map[string]any `json:"licenses,omitempty"`
}

func run(binary, sbom string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	components := []component{{Type: "library", Name: "std", Version: info.GoVersion, PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}}
	var problems []error
	count := map[string]int{}
	for _, m := range info.Deps {
		if m.Replace != nil {
			problems = append(problems, fmt.Errorf("%s is replaced: what is built is not what go.mod says", m.Path))
			continue
		}
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.Path+"@"+m.Version).Output()
		if err != nil {
			return fmt.Errorf("find %s: %w", m.Path, err)
		}
		id, err := licence(strings.TrimSpace(string(out)))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", m.Path, m.Version, err))
			continue
		}
		count[id]++
		components = append(components, component{"library", m.Path, m.Version, "pkg:golang/" + m.Path + "@" + m.Version,
			[]map[string]any{{"license": map[string]string{"id": id}}}})
	}
	fmt.Printf("%d modules: %v\n", len(info.Deps), count)
	bom, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata":   map[string]any{"component": map[string]string{"type": "application", "name": info.Path}},
		"components": components,
	}, "", "  ")
	if err != nil {
		return err
	}
	if sbom == "" {
		return errors.Join(problems...)
	}
	return errors.Join(append(problems, os.WriteFile(sbom, append(bom, '\n'), 0o644))...) //nolint:gosec // a bill of materials is public
}

func main() {
	sbom := flag.String("sbom", "", "`file` to write the bill of materials to")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: modules [--sbom FILE] BINARY")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *sbom); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
