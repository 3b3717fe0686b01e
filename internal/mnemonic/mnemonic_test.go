package mnemonic

import (
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/text/unicode/norm"
)

func TestIn(t *testing.T) {
	const phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
	numbered := ""
	for i, w := range strings.Fields(phrase) {
		numbered += string(rune('a' + i)) // a letter by itself would end the run: it is no word of the list
		numbered += ". " + w + "\n"
	}
	tests := map[string]struct {
		text string
		want bool
	}{
		"empty":     {"", false},
		"phrase":    {phrase, true},
		"capitals":  {strings.ToUpper(phrase), true},
		"in prose":  {"On the note stood: " + phrase + ", in blue ink.", true},
		"numbers":   {"1. legal 2. winner 3. thank 4. year 5. wave 6. sausage 7. worth 8. useful 9. legal 10. winner 11. thank 12. yellow", true},
		"lines":     {strings.ReplaceAll(phrase, " ", "\r\n"), true},
		"lettered":  {numbered, false},
		"eleven":    {strings.TrimSuffix(phrase, " yellow"), false},
		"two parts": {strings.Replace(phrase, "useful", "useful and", 1), false},
		"prose":     {"Laptop black found under table with power cable still plugged into the wall socket, screen cracked, fan running", false},
		"spanish":   {strings.Join(wordlists.Spanish[100:112], " "), true},
		"japanese":  {strings.Join(wordlists.Japanese[100:112], "\u3000"), true},
		"composed":  {norm.NFC.String(strings.Join(wordlists.Spanish[100:112], " ")), true},
		"korean":    {norm.NFC.String(strings.Join(wordlists.Korean[100:112], " ")), true},
		"chinese":   {strings.Join(wordlists.ChineseSimplified[100:112], " "), true},
		"not UTF-8": {"\xff\xfe", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := In(tt.text); got != tt.want {
				t.Errorf("In(%q) = %t, want %t", tt.text, got, tt.want)
			}
		})
	}
}
