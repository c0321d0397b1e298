// Command modules says how many modules are in a binary and under which licences, and
// refuses those whose licence is not on the list.
package main

import (
	"debug/buildinfo"
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

func run(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
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
	}
	fmt.Printf("%d modules: %v\n", len(info.Deps), count)
	return errors.Join(problems...)
}

func main() {
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: modules BINARY")
		os.Exit(2)
	}
	if err := run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
