// Departure statistics per origin and day as a window aggregate: the host keeps the days (a tumbling window), this folds
// flights into sums and makes a result of them. Everything is summed in integers, so that the result does not depend on the
// order of the flights.

#include "tidemill.h"
#include <stdio.h>

// The sums of one origin's day.
typedef struct {
    int64_t count, cancelled, delay_sum, over, worst;
} day;

static tidemill_counter results = TIDEMILL_COUNTER("results");

static int64_t threshold_minutes;

static tidemill_status open(tidemill_slice config) {
    tidemill_slice name, value;
    threshold_minutes = 15;
    for (size_t at = 0; tidemill_json_next(config, &at, &name, &value);)
        if (!tidemill_equal(name, tidemill_text("threshold_minutes")) || !tidemill_json_i64(value, &threshold_minutes))
            return tidemill_fatal("the configuration does not fit at `%.*s`: it has threshold_minutes, a whole number", (int)name.len, (const char *)name.data);
    return TIDEMILL_OK;
}

static tidemill_slice trimmed(tidemill_slice text) {
    while (text.len && text.data[0] == ' ')
        text.data++, text.len--;
    while (text.len && text.data[text.len - 1] == ' ')
        text.len--;
    return text;
}

static tidemill_status add(void *accumulator, const tidemill_event *event) {
    day *d = accumulator;
    tidemill_buffer text = {0};
    if (!event->value.data || !tidemill_json_valid(event->value))
        return tidemill_reject("the value is not the JSON that is needed");
    if (!tidemill_json_string(tidemill_json_member(event->value, "dep_delay_min"), &text))
        return tidemill_reject("the row has no dep_delay_min, or it is no text");
    tidemill_slice delay = trimmed(tidemill_bytes_of(&text));
    d->count++;
    if (!delay.len) {
        d->cancelled++;
        return TIDEMILL_OK;
    }
    int64_t minutes;
    if (!tidemill_json_i64(delay, &minutes))
        return tidemill_reject("dep_delay_min `%.*s` is no whole number of minutes", (int)delay.len, (const char *)delay.data);
    if (d->count - d->cancelled == 1 || minutes > d->worst)
        d->worst = minutes;
    d->delay_sum += minutes;
    d->over += minutes > threshold_minutes;
    return TIDEMILL_OK;
}

static tidemill_status merge(void *accumulator, const void *later) {
    day *d = accumulator;
    const day *l = later;
    if (d->count == d->cancelled || (l->count > l->cancelled && l->worst > d->worst))
        d->worst = l->worst;
    d->count += l->count;
    d->cancelled += l->cancelled;
    d->delay_sum += l->delay_sum;
    d->over += l->over;
    return TIDEMILL_OK;
}

// YYYY-MM-DD of a day counted from 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
static void append_day(tidemill_buffer *row, int64_t day_number) {
    int64_t z = day_number + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    int day_of_month = (int)(of_year - (153 * from_march + 2) / 5 + 1);
    char text[40];
    snprintf(text, sizeof text, "%04d-%02d-%02d", (int)(year + era * 400 + (month <= 2)), month, day_of_month);
    tidemill_append(row, tidemill_text(text));
}

// sum / n with a point even where it is whole; null when n is 0.
static void append_quotient(tidemill_buffer *row, int64_t sum, int64_t n) {
    char text[40] = "null";
    if (n) {
        snprintf(text, sizeof text, "%.17g", (double)sum / (double)n);
        if (!strpbrk(text, ".e"))
            strcat(text, ".0");
    }
    tidemill_append(row, tidemill_text(text));
}

static tidemill_status finish(const tidemill_window *window, const void *accumulator, tidemill_rows *rows) {
    const day *d = accumulator;
    int64_t flown = d->count - d->cancelled;
    int64_t number = window->start / 86400000 - (window->start % 86400000 < 0);
    tidemill_buffer row = {0};
    tidemill_append(&row, tidemill_text("{\"origin\":"));
    tidemill_append_json(&row, window->key);
    tidemill_append(&row, tidemill_text(",\"day\":\""));
    append_day(&row, number);
    tidemill_append_format(&row, "\",\"count\":%" PRId64 ",\"cancelled\":%" PRId64 ",\"mean\":", d->count, d->cancelled);
    append_quotient(&row, d->delay_sum, flown);
    if (flown)
        tidemill_append_format(&row, ",\"worst\":%" PRId64 ",\"over15\":", d->worst);
    else
        tidemill_append(&row, tidemill_text(",\"worst\":null,\"over15\":"));
    append_quotient(&row, d->over, flown);
    tidemill_append(&row, tidemill_text("}"));
    tidemill_counter_add(&results, 1);
    tidemill_row(rows, tidemill_absent(), tidemill_bytes_of(&row));
    return TIDEMILL_OK;
}

const tidemill_aggregator flight_stats = {
    .name = "flight-stats",
    .handles = TIDEMILL_HANDLES(&results.handle),
    .accumulator_size = sizeof(day),
    .open = open,
    .add = add,
    .merge = merge,
    .finish = finish,
};

TIDEMILL_AGGREGATOR(flight_stats)
