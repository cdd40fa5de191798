// Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
// windows, how late an event may be and when results come is the pipeline file's affair. Its Rust twin lies beside it.

#include "tidemill.h"

// What is kept of some flights; whole numbers, so that their order changes nothing. `worst` counts if any flew.
typedef struct {
    int64_t count, cancelled, late, delay_sum, worst;
} flights;

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
    flights *f = accumulator;
    tidemill_buffer text = {0};
    if (!event->value.data || !tidemill_json_valid(event->value))
        return tidemill_reject("the value is not the JSON that is needed");
    if (!tidemill_json_string(tidemill_json_member(event->value, "dep_delay_min"), &text))
        return tidemill_reject("the row has no dep_delay_min, or it is no text");
    tidemill_slice delay = trimmed(tidemill_bytes_of(&text));
    f->count++;
    if (!delay.len) {
        f->cancelled++;
        return TIDEMILL_OK;
    }
    int64_t minutes;
    if (!tidemill_json_i64(delay, &minutes))
        return tidemill_reject("dep_delay_min `%.*s` is no whole number of minutes", (int)delay.len, (const char *)delay.data);
    if (f->count - f->cancelled == 1 || minutes > f->worst)
        f->worst = minutes;
    f->delay_sum += minutes;
    f->late += minutes > threshold_minutes;
    return TIDEMILL_OK;
}

static tidemill_status merge(void *accumulator, const void *later) {
    flights *f = accumulator;
    const flights *l = later;
    if (f->count == f->cancelled || (l->count > l->cancelled && l->worst > f->worst))
        f->worst = l->worst;
    f->count += l->count;
    f->cancelled += l->cancelled;
    f->late += l->late;
    f->delay_sum += l->delay_sum;
    return TIDEMILL_OK;
}

static tidemill_status finish(const tidemill_window *window, const void *accumulator, tidemill_rows *rows) {
    const flights *f = accumulator;
    int64_t flown = f->count - f->cancelled;
    tidemill_buffer row = {0};
    tidemill_append(&row, tidemill_text("{\"origin\":"));
    tidemill_append_json(&row, window->key);
    tidemill_append_format(&row, ",\"from\":%" PRId64 ",\"to\":%" PRId64, window->start, window->end);
    tidemill_append_format(&row, ",\"count\":%" PRId64 ",\"cancelled\":%" PRId64 ",\"late\":%" PRId64, f->count, f->cancelled, f->late);
    if (flown) {
        tidemill_append(&row, tidemill_text(",\"mean\":"));
        tidemill_append_double(&row, (double)f->delay_sum / (double)flown);
        tidemill_append_format(&row, ",\"worst\":%" PRId64 "}", f->worst);
    } else {
        tidemill_append(&row, tidemill_text(",\"mean\":null,\"worst\":null}"));
    }
    tidemill_counter_add(&results, 1);
    tidemill_row(rows, tidemill_absent(), tidemill_bytes_of(&row));
    return TIDEMILL_OK;
}

const tidemill_aggregator flight_aggregate = {
    .name = "flight-aggregate",
    .handles = TIDEMILL_HANDLES(&results.handle),
    .accumulator_size = sizeof(flights),
    .open = open,
    .add = add,
    .merge = merge,
    .finish = finish,
};

TIDEMILL_AGGREGATOR(flight_aggregate)
