package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// People write queues as text, and the name of a queue may hold a comma: "Sales, EMEA"
// is one queue where there is one of that name, and "sales, support" two where there are
// both. Requests and definitions have lists, in which every name is exact.

// QueuesOf reads queues as people write them, each text one queue or several with commas
// between. A text in double quotes is one queue. Of others with a comma, known decides:
// it returns those of some names that are queues. If it knows neither the whole nor every
// piece, the text is refused as an *InvalidError rather than guessed at.
func QueuesOf(texts []string, known func(names []string) ([]string, error)) ([]string, error) {
	var queues, asked []string
	for _, text := range texts {
		if _, one := oneQueue(text); !one {
			asked = append(append(asked, strings.TrimSpace(text)), pieces(text)...)
		}
	}
	var have []string
	if len(asked) > 0 {
		var err error
		if have, err = known(asked); err != nil {
			return nil, err
		}
	}
	var p problems
	for _, text := range texts {
		queue, one := oneQueue(text)
		switch {
		case one && queue != "":
			queues = append(queues, queue)
		case one:
		case slices.Contains(have, strings.TrimSpace(text)):
			queues = append(queues, strings.TrimSpace(text))
		default:
			for _, piece := range pieces(text) {
				if !slices.Contains(have, piece) {
					p.add("queues", "%q is the name of no queue, and neither is %q: name each queue by itself, or put double quotes around a name with a comma", shorten(text), shorten(piece))
					break
				}
				queues = append(queues, piece)
			}
		}
	}
	return queues, p.err()
}

// oneQueue is the queue that a text names beyond doubt.
func oneQueue(text string) (queue string, one bool) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, `"`); ok && len(text) > 1 {
		if inner, ok = strings.CutSuffix(inner, `"`); ok {
			return strings.ReplaceAll(inner, `""`, `"`), true
		}
	}
	return text, !strings.Contains(text, ",")
}

func pieces(text string) []string {
	all := strings.Split(text, ",")
	for n := range all {
		all[n] = strings.TrimSpace(all[n])
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// QueueText is a queue as QueuesOf reads it back, whatever queues there are.
func QueueText(queue string) string {
	if strings.ContainsAny(queue, `,"`) || strings.TrimSpace(queue) != queue {
		return fmt.Sprintf(`"%s"`, strings.ReplaceAll(queue, `"`, `""`))
	}
	return queue
}
