// The aggregate under the native harness: sums, nothing flown, bad rows, pieces.

#include "tidemill_test.h"

extern const tidemill_aggregator flight_aggregate;

static tidemill_record flight(const char *row) { return tidemill_test_event("JFK", row, 1); }

static void a_window_gives_one_result_per_airport(void) {
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_aggregate, "{}") == TIDEMILL_OK);
    TIDEMILL_ADD(0, 100, flight("{\"dep_delay_min\":\"16\"}"), flight("{\"dep_delay_min\":\"\"}"), flight("{\"dep_delay_min\":\" -4 \"}"),
                 tidemill_test_event("LGA", "{\"dep_delay_min\":\"\"}", 1));
    TIDEMILL_CHECK(tidemill_test_replace_instance() == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_finish(0, 100) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows",
        tidemill_test_event("JFK", "{\"origin\":\"JFK\",\"from\":0,\"to\":100,\"count\":3,\"cancelled\":1,\"late\":1,\"mean\":6.0,\"worst\":16}", 99),
        tidemill_test_event("LGA", "{\"origin\":\"LGA\",\"from\":0,\"to\":100,\"count\":1,\"cancelled\":1,\"late\":0,\"mean\":null,\"worst\":null}", 99));
    TIDEMILL_CHECK(tidemill_test_metric("results") == 2);
}

static void bad_rows_are_refused_and_pieces_add_up(void) {
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_aggregate, "{\"threshold_minutes\": 2}") == TIDEMILL_OK);
    TIDEMILL_ADD(0, 50, flight("{\"dep_delay_min\":\"soon\"}"), flight("dep_delay_min=3"), flight("{}"), flight("{\"dep_delay_min\":\"\"}"));
    TIDEMILL_ADD(50, 100, flight("{\"dep_delay_min\":\"-3\"}"), flight("{\"dep_delay_min\":\"-4\"}"));
    TIDEMILL_CHECK(tidemill_test_merge(0, 50, 50, 100) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_finish(0, 100) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows", tidemill_test_event("JFK", "{\"origin\":\"JFK\",\"from\":0,\"to\":100,\"count\":3,\"cancelled\":1,\"late\":0,\"mean\":-3.5,\"worst\":-3}", 99));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 3 && tidemill_equal(dead[0].reason, tidemill_text("dep_delay_min `soon` is no whole number of minutes")));
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_aggregate, "{\"treshold\": 2}") == TIDEMILL_FATAL);
}

int main(void) {
    a_window_gives_one_result_per_airport();
    bad_rows_are_refused_and_pieces_add_up();
    return tidemill_test_failures();
}
