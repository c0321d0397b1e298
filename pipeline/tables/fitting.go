package tables

import "iter"

// maxNamed bounds the text of one parameter's values: parameters travel in the URL, where
// a quote or a backslash takes twelve bytes. ClickHouse takes 1 MiB of URL and 128 KiB of
// one parameter.
const maxNamed = 16 << 10

// maxText bounds the text of a statement that changes rows: replicated tables keep it in
// ClickHouse Keeper, which takes 1 MiB.
const maxText = 512 << 10

// Fitting cuts values into runs that fit into one parameter of a statement. size is how
// many bytes the value takes in the longest of the parameters that are made of it.
func Fitting[T any](all []T, size func(T) int) iter.Seq[[]T] {
	const quotes = 4 // and a comma
	return fitting(all, maxNamed, func(v T) int { return size(v) + quotes })
}

// FittingText cuts values into runs that fit into the text of a statement that changes
// rows, where a value takes size bytes.
func FittingText[T any](all []T, size func(T) int) iter.Seq[[]T] { return fitting(all, maxText, size) }

func fitting[T any](all []T, most int, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(all) > 0 {
			n, bytes := 0, 0
			for n < len(all) && (n == 0 || bytes+size(all[n]) <= most) {
				bytes += size(all[n])
				n++
			}
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}
