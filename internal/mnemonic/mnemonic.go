// Package mnemonic recognises the recovery phrase of a cryptocurrency wallet (BIP 39) in a text.
//
// Start with [In]. The promise: a phrase of twelve or more words written one after another, as wallets show it, with
// numbers, commas or line breaks between or without, is found in each of the languages that wallets use. Ordinary prose is
// not taken for one: twelve words on end that all stand in one list of 2048, without "the" or "and", are no sentence. Who
// reads such a phrase owns the money, so it must not come into a record that others are given.
package mnemonic

import (
	"strings"
	"sync"
	"unicode"

	"github.com/tyler-smith/go-bip39/wordlists"
	"golang.org/x/text/unicode/norm"
)

// shortest is the number of words of the shortest recovery phrase.
const shortest = 12

// lists returns, of each word in the form that BIP 39 asks for (NFKD: accents apart from their letters), the set of the lists it stands in, one bit each.
var lists = sync.OnceValue(func() map[string]uint16 {
	all := map[string]uint16{}
	for i, list := range [][]string{wordlists.English, wordlists.French, wordlists.Spanish, wordlists.Italian, wordlists.Czech,
		wordlists.Japanese, wordlists.Korean, wordlists.ChineseSimplified, wordlists.ChineseTraditional} {
		for _, word := range list {
			all[norm.NFKD.String(word)] |= 1 << i
		}
	}
	return all
})

// In reports whether the text holds at least twelve words of one list on end.
func In(text string) bool {
	known := lists()
	var run [16]int // by list
	for _, word := range strings.FieldsFunc(norm.NFKD.String(strings.ToLower(text)), separates) {
		in := known[word]
		for i := range run {
			if in&(1<<i) == 0 {
				run[i] = 0
			} else if run[i]++; run[i] == shortest {
				return true
			}
		}
	}
	return false
}

// separates reports whether r stands between the words of a phrase: all but letters and the marks that belong to them.
func separates(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }
