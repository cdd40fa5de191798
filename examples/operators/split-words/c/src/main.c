// Splits lines of text into words: one event per word, keyed by the word in lower case. Its Rust twin lies beside it.

#include "tidemill.h"
#include <wctype.h>

static tidemill_output words = TIDEMILL_OUTPUT("words");

static tidemill_status emit(tidemill_slice word) {
    while (word.len && word.data[0] == '\'')
        word.data++, word.len--;
    while (word.len && word.data[word.len - 1] == '\'')
        word.len--;
    return word.len ? tidemill_emit(&words, word, tidemill_text("")) : TIDEMILL_OK;
}

static tidemill_status process(const tidemill_event *event) {
    if (!event->value.data)
        return tidemill_reject("the event has no value; text is needed");
    if (!tidemill_is_utf8(event->value))
        return tidemill_reject("the value is not UTF-8 text");
    tidemill_buffer word = {0};
    uint32_t c;
    for (size_t at = 0; tidemill_next_char(event->value, &at, &c);) {
        if (iswalnum((wint_t)c) || c == '\'') {
            tidemill_append_char(&word, (uint32_t)towlower((wint_t)c));
            continue;
        }
        TIDEMILL_TRY(emit(tidemill_bytes_of(&word)));
        word.len = 0;
    }
    return emit(tidemill_bytes_of(&word));
}

const tidemill_processor split_words = {
    .name = "split-words",
    .handles = TIDEMILL_HANDLES(&words.handle),
    .process = process,
};

TIDEMILL_PROCESSOR(split_words)
