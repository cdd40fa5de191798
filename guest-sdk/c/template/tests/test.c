// The operator under the native harness.

#include "tidemill_test.h"

extern const tidemill_processor operator_;

static tidemill_record e(const char *key, const char *value) { return tidemill_test_event(key, value, 0); }

int main(void) {
    TIDEMILL_CHECK(tidemill_test_open(&operator_, "{}") == TIDEMILL_OK);
    TIDEMILL_SEND(e("a", "tide"), e("b", "mill"), e("a", "sea"), e("a", "flood"), e("a", "\xff"));
    TIDEMILL_EXPECT("lines", e("a", "tide"), e("b", "mill"), e("a", "flood"));
    size_t refused;
    tidemill_test_dead_letters(&refused);
    TIDEMILL_CHECK(refused == 1);
    return tidemill_test_failures();
}
