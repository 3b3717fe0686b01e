package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// event finds the event of the exhibit that a flag names.
func (b *eventBuilder) event(flag string) (*record.LeafHash, error) {
	return b.numbered(flag, b.one(flag))
}

// minLeafDigits is how much of a leaf hash must be given: fewer digits than these could be an event's number.
const minLeafDigits = 8

// numbered finds an event by its number, by the beginning of its log's name, a colon and its number, or by the beginning of its leaf
// hash. What several events answer to is refused with the list of them: which one was meant, nobody but the user knows.
func (b *eventBuilder) numbered(flag, text string) (*record.LeafHash, error) {
	var found []custody.Entry
	byNumber := false
	for _, e := range b.chain {
		event, ok := e.Predicate.(record.Event)
		if ok && isNumbered(text, b.originOf(e), event.Header().Number) {
			found, byNumber = append(found, e), true
		}
	}
	for _, e := range b.chain {
		if !byNumber && len(text) >= minLeafDigits && strings.HasPrefix(e.Leaf.String(), strings.ToLower(text)) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 1:
		return &found[0].Leaf, nil
	case 0:
		return nil, withHints(fmt.Errorf("--%s %.80q: exhibit %q has no such event", flag, text, b.number),
			fmt.Sprintf("see the numbers with: exhibit custody show %q", b.number))
	}
	var hints []string
	for _, e := range found {
		event, ok := e.Predicate.(record.Event)
		if !ok {
			continue
		}
		hints = append(hints, fmt.Sprintf("say --%s %s for %q, signed %s, leaf %s", flag, eventName(b.originOf(e), event.Header().Number), e.Predicate.Type(),
			event.Header().Time.Wall(), e.Leaf.String()[:16]))
	}
	return nil, withHints(fmt.Errorf("--%s %.80q: exhibit %q has %d such events, in several logs", flag, text, b.number, len(found)), hints...)
}

func (b *eventBuilder) originOf(e custody.Entry) string {
	if e.Log == "" {
		return b.c.Genesis().Origin
	}
	return e.Log
}

// isNumbered reports whether the text is that number, alone or behind the beginning of the log's name.
func isNumbered(text, origin string, number int64) bool {
	prefix, digits, named := strings.Cut(text, ":")
	if !named {
		prefix, digits = "", text
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return err == nil && n == number && strings.HasPrefix(origin, prefix) && named == (prefix != "")
}

// eventName names an event where several logs have one of that number.
func eventName(origin string, number int64) string {
	return fmt.Sprintf("%s:%d", shortOrigin(origin), number)
}

// shortOrigin is the beginning of a log's name, by which a reader tells logs apart.
func shortOrigin(origin string) string { return origin[:min(len(origin), 8)] }
