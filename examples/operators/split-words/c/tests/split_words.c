// The operator under the native harness.

#include "tidemill_test.h"
#include <locale.h>

extern const tidemill_processor split_words;

int main(void) {
    setlocale(LC_CTYPE, "C.UTF-8"); // a component's towlower knows all letters without being told
    TIDEMILL_CHECK(tidemill_test_open(&split_words, "{}") == TIDEMILL_OK);
    TIDEMILL_SEND(tidemill_test_event(NULL, "'Tis the tide, THE \xc3\x86gean tide's turn!", 3), tidemill_test_event(NULL, "\xff\xfe", 3));
    const char *words[] = {"tis", "the", "tide", "the", "\xc3\xa6gean", "tide's", "turn"};
    tidemill_record wanted[7];
    for (int i = 0; i < 7; i++)
        wanted[i] = tidemill_test_event(words[i], "", 3);
    tidemill_test_expect("words", wanted, 7, __FILE__, __LINE__);
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 1 && tidemill_equal(dead[0].reason, tidemill_text("the value is not UTF-8 text")));
    return tidemill_test_failures();
}
