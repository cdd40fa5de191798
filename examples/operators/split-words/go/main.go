// Splits lines of text into words: one event per word, keyed by the word in lower case. Its Rust twin lies beside it.
package main

import (
	"strings"
	"unicode"

	"tidemill"
)

// SplitWords has one output port and keeps nothing.
type SplitWords struct {
	words tidemill.Output
}

// ProcessEvent splits one line.
func (s *SplitWords) ProcessEvent(e *tidemill.Event) error {
	line, err := e.Text()
	if err != nil {
		return err
	}
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '\'' }) {
		word = strings.ToLower(strings.Trim(word, "'"))
		if word == "" {
			continue
		}
		if err := s.words.Emit([]byte(word), []byte{}); err != nil {
			return err
		}
	}
	return nil
}

func init() { tidemill.Register(&SplitWords{}) }

func main() {}
