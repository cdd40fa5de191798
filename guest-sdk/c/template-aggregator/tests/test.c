// The aggregate under the native harness.

#include "tidemill_test.h"

extern const tidemill_aggregator aggregate;

static tidemill_record e(const char *key, const char *value) { return tidemill_test_event(key, value, 0); }

int main(void) {
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&aggregate, "{}") == TIDEMILL_OK);
    TIDEMILL_ADD(0, 5, e("a", "tide"), e("b", "mill"), e("a", "\xff"));
    TIDEMILL_ADD(5, 10, e("a", "flood"));
    TIDEMILL_CHECK(tidemill_test_merge(0, 5, 5, 10) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_finish(0, 10) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows",
        tidemill_test_event("a", "{\"events\":2,\"longest\":5}", 9),
        tidemill_test_event("b", "{\"events\":1,\"longest\":4}", 9));
    size_t refused;
    tidemill_test_dead_letters(&refused);
    TIDEMILL_CHECK(refused == 1);
    return tidemill_test_failures();
}
