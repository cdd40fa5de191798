// Metrics: counted during the call, undone with a refused event, handed to the host once per call.

#include "internal.h"

typedef struct {
    uint64_t kept, event;
} counter;

typedef struct {
    double kept, event;
    bool have_kept, have_event;
} gauge;

typedef struct {
    tm_array values; // double
    size_t kept;
} histogram;

void tidemill_counter_add(tidemill_counter *metric, uint64_t amount) {
    counter *c = metric->handle.part;
    tm_touch(&metric->handle);
    c->event = amount > UINT64_MAX - c->event ? UINT64_MAX : c->event + amount;
}

void tidemill_gauge_set(tidemill_gauge *metric, double value) {
    gauge *g = metric->handle.part;
    tm_touch(&metric->handle);
    g->event = value;
    g->have_event = true;
}

void tidemill_histogram_observe(tidemill_histogram *metric, double value) {
    histogram *h = metric->handle.part;
    tm_touch(&metric->handle);
    *(double *)tm_push(&h->values, 1, sizeof value) = value;
}

static void counter_undo(tidemill_handle *h) { ((counter *)h->part)->event = 0; }

static void counter_keep(tidemill_handle *h) {
    counter *c = h->part;
    c->kept = c->event > UINT64_MAX - c->kept ? UINT64_MAX : c->kept + c->event;
    c->event = 0;
}

static void counter_drop(tidemill_handle *h) { *(counter *)h->part = (counter){0}; }

static void counter_write(tidemill_handle *h) {
    counter *c = h->part;
    if (c->kept)
        tm_host_add(h->index, c->kept);
    counter_drop(h);
}

static void gauge_undo(tidemill_handle *h) { ((gauge *)h->part)->have_event = false; }

static void gauge_keep(tidemill_handle *h) {
    gauge *g = h->part;
    *g = (gauge){g->event, 0, true, false};
}

static void gauge_drop(tidemill_handle *h) { *(gauge *)h->part = (gauge){0}; }

static void gauge_write(tidemill_handle *h) {
    gauge *g = h->part;
    if (g->have_kept)
        tm_host_set(h->index, g->kept);
    gauge_drop(h);
}

static void histogram_undo(tidemill_handle *h) { ((histogram *)h->part)->values.len = ((histogram *)h->part)->kept; }

static void histogram_keep(tidemill_handle *h) { ((histogram *)h->part)->kept = ((histogram *)h->part)->values.len; }

static void histogram_drop(tidemill_handle *h) { ((histogram *)h->part)->values.len = ((histogram *)h->part)->kept = 0; }

static void histogram_write(tidemill_handle *h) {
    histogram *of = h->part;
    if (of->values.len)
        tm_host_observe(h->index, of->values.data, of->values.len);
    histogram_drop(h);
}

const struct tidemill_operations tidemill_counter_operations = {counter_undo, counter_keep, counter_write, counter_drop, sizeof(counter)};
const struct tidemill_operations tidemill_gauge_operations = {gauge_undo, gauge_keep, gauge_write, gauge_drop, sizeof(gauge)};
const struct tidemill_operations tidemill_histogram_operations = {histogram_undo, histogram_keep, histogram_write, histogram_drop, sizeof(histogram)};
