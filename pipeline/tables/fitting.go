package tables

import "iter"

// maxNamed bounds the text of one parameter's values: parameters travel in the URL, where
// a quote or a backslash takes twelve bytes. ClickHouse takes 1 MiB of URL and 128 KiB of
// one parameter.
const maxNamed = 16 << 10

// Fitting cuts values into runs that fit into one parameter of a statement. size is how
// many bytes the value takes in the longest of the parameters that are made of it.
func Fitting[T any](all []T, size func(T) int) iter.Seq[[]T] {
	const quotes = 4 // and a comma
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n, bytes := 0, 0
			for n < len(all) && (n == 0 || bytes+size(all[n])+quotes <= maxNamed) {
				bytes += size(all[n]) + quotes
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}
