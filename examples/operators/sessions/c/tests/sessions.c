// The operator under the native harness: gaps, order, late events, configuration.

#include "tidemill_test.h"

extern const tidemill_processor sessions;

enum { MINUTE = 60000 };

static tidemill_record at(int64_t minute) { return tidemill_test_event("k", "x", minute * MINUTE); }

static tidemill_record result(const char *json, int64_t time) { return tidemill_test_event("k", json, time); }

static void open(void) { TIDEMILL_CHECK(tidemill_test_open(&sessions, "{\"gap_minutes\": 10}") == TIDEMILL_OK); }

static void a_gap_ends_a_session_and_one_ms_less_does_not(void) {
    open();
    TIDEMILL_SEND(at(0), at(5), at(15));
    TIDEMILL_SEND(tidemill_test_event("k", "x", 25 * MINUTE - 1));
    TIDEMILL_CHECK(tidemill_test_watermark(35 * MINUTE - 2) == TIDEMILL_OK);
    TIDEMILL_EXPECT("sessions", result("{\"start\":0,\"end\":300000,\"count\":2}", 899999), result("{\"start\":900000,\"end\":1499999,\"count\":2}", 2099998));
    TIDEMILL_CHECK(tidemill_test_state_entries("open") == 0 && tidemill_test_timers() == 0);
}

static void sessions_grow_together_in_whatever_order_the_events_come(void) {
    static const int64_t orders[3][4] = {{0, 8, 16, 40}, {16, 40, 0, 8}, {40, 16, 8, 0}};
    for (int o = 0; o < 3; o++) {
        open();
        for (int i = 0; i < 4; i++) {
            TIDEMILL_SEND(at(orders[o][i]));
            TIDEMILL_CHECK(tidemill_test_replace_instance() == TIDEMILL_OK);
        }
        TIDEMILL_CHECK(tidemill_test_timers() == 2);
        TIDEMILL_CHECK(tidemill_test_end() == TIDEMILL_OK);
        TIDEMILL_EXPECT("sessions", result("{\"start\":0,\"end\":960000,\"count\":3}", 1559999), result("{\"start\":2400000,\"end\":2400000,\"count\":1}", 2999999));
    }
}

static void late_is_what_no_open_session_could_hold(void) {
    open();
    TIDEMILL_SEND(at(20));
    TIDEMILL_CHECK(tidemill_test_watermark(25 * MINUTE) == TIDEMILL_OK);
    TIDEMILL_SEND(at(12), at(1));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 1 && dead[0].record.time == MINUTE && memcmp(dead[0].reason.data, "late: ", 6) == 0);
    TIDEMILL_CHECK(tidemill_test_open(&sessions, "{\"gap\": 10}") == TIDEMILL_FATAL);
    TIDEMILL_CHECK(tidemill_test_open(&sessions, "{}") == TIDEMILL_FATAL);
}

int main(void) {
    a_gap_ends_a_session_and_one_ms_less_does_not();
    sessions_grow_together_in_whatever_order_the_events_come();
    late_is_what_no_open_session_could_hold();
    return tidemill_test_failures();
}
