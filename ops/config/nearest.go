package config

// DidYouMean names the known word that text is most likely a slip of, as the end of a
// sentence; it is empty if none exists.
func DidYouMean(text string, known []string) string {
	best, least := "", 3 // letters to change, at most two
	for _, word := range known {
		if n := distance(text, word); n < least && n < len(word) {
			best, least = word, n
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many letters must be added, left out or changed to make b of a
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
