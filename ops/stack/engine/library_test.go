package engine

import "testing"

func TestLibraryIsFetchedOnce(t *testing.T) {
	p, err := Library(t.Context(), func(s string) { t.Log(s) })
	t.Log(p, err)
}
