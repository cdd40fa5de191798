// The operator under the native harness.

#include "tidemill_test.h"

extern const tidemill_processor count;

static tidemill_record e(const char *key, const char *value) { return tidemill_test_event(key, value, 0); }

int main(void) {
    TIDEMILL_CHECK(tidemill_test_open(&count, "{}") == TIDEMILL_OK);
    TIDEMILL_SEND(e("a", ""), e("b", ""), e("a", ""));
    TIDEMILL_CHECK(tidemill_test_replace_instance() == TIDEMILL_OK);
    TIDEMILL_SEND(e(NULL, "x"), e("a", ""));
    TIDEMILL_EXPECT("counts", e("a", "1"), e("b", "1"), e("a", "2"), e("a", "3"));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 1 && tidemill_equal(dead[0].reason, tidemill_text("seen: the event has no key; give the source or the upstream operator one")));
    return tidemill_test_failures();
}
