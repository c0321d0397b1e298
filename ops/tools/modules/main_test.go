package main

import "testing"

func TestLicencesThatAreNotOnTheListAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"Permission is hereby granted,\n free of charge, to any person":            "MIT",
		"                    Apache License\n           Version 2.0, January 2004": "Apache-2.0",
		"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007":           "",
		"GNU GENERAL PUBLIC LICENSE Version 2. Everyone is permitted to copy":      "",
		"Business Source License 1.1. The Licensor hereby grants you the right to": "",
		"": "",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q is taken for %q, want %q", text, got, want)
		}
	}
}
