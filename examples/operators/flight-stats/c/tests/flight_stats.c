// The aggregate under the native harness: sums, nothing flown, bad rows, pieces.

#include "tidemill_test.h"

extern const tidemill_aggregator flight_stats;

#define DAY INT64_C(86400000)
#define NEW_YEAR (15706 * DAY)

static tidemill_record flight(const char *row) { return tidemill_test_event("JFK", row, NEW_YEAR); }

static tidemill_record result(const char *key, const char *json) { return tidemill_test_event(key, json, NEW_YEAR + DAY - 1); }

static void only_flown_flights_count_into_mean_worst_and_share(void) {
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_stats, "{}") == TIDEMILL_OK);
    TIDEMILL_ADD(NEW_YEAR, NEW_YEAR + DAY, flight("{\"dep_delay_min\":\"20\"}"), flight("{\"dep_delay_min\":\"\"}"), flight("{\"dep_delay_min\":\"-5\"}"),
                 flight("{\"dep_delay_min\":\" 15 \"}"), tidemill_test_event("LGA", "{\"dep_delay_min\":\"\"}", NEW_YEAR));
    TIDEMILL_CHECK(tidemill_test_finish(NEW_YEAR, NEW_YEAR + DAY) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows",
        result("JFK", "{\"origin\":\"JFK\",\"day\":\"2013-01-01\",\"count\":4,\"cancelled\":1,\"mean\":10.0,\"worst\":20,\"over15\":0.33333333333333331}"),
        result("LGA", "{\"origin\":\"LGA\",\"day\":\"2013-01-01\",\"count\":1,\"cancelled\":1,\"mean\":null,\"worst\":null,\"over15\":null}"));
    TIDEMILL_CHECK(tidemill_test_metric("results") == 2);
}

static void bad_rows_are_refused_and_pieces_add_up(void) {
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_stats, "{\"threshold_minutes\": 2}") == TIDEMILL_OK);
    TIDEMILL_ADD(NEW_YEAR, NEW_YEAR + DAY / 2, flight("{\"dep_delay_min\":\"soon\"}"), flight("dep_delay_min=3"), flight("{}"), flight("{\"dep_delay_min\":\"\"}"));
    TIDEMILL_ADD(NEW_YEAR + DAY / 2, NEW_YEAR + DAY, flight("{\"dep_delay_min\":\"-3\"}"), flight("{\"dep_delay_min\":\"-4\"}"));
    TIDEMILL_CHECK(tidemill_test_merge(NEW_YEAR, NEW_YEAR + DAY / 2, NEW_YEAR + DAY / 2, NEW_YEAR + DAY) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_finish(NEW_YEAR, NEW_YEAR + DAY) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows", result("JFK", "{\"origin\":\"JFK\",\"day\":\"2013-01-01\",\"count\":3,\"cancelled\":1,\"mean\":-3.5,\"worst\":-3,\"over15\":0.0}"));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 3 && tidemill_equal(dead[0].reason, tidemill_text("dep_delay_min `soon` is no whole number of minutes")));
    TIDEMILL_CHECK(tidemill_test_open_aggregator(&flight_stats, "{\"treshold\": 2}") == TIDEMILL_FATAL);
}

int main(void) {
    only_flown_flights_count_into_mean_worst_and_share();
    bad_rows_are_refused_and_pieces_add_up();
    return tidemill_test_failures();
}
