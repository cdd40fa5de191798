// {{name}}: how many events a window has, and how long the longest is.

#include "tidemill.h"

// What is kept of the events of a window; it is all that lasts.
typedef struct {
    uint64_t events, longest;
} lengths;

static void note(lengths *l, uint64_t events, uint64_t longest) {
    l->events += events;
    if (l->longest < longest)
        l->longest = longest;
}

// Folds an event in. tidemill_reject refuses it: the accumulator stays as it was, and the event goes to the dead letters.
static tidemill_status add(void *accumulator, const tidemill_event *event) {
    if (!event->value.data || !tidemill_is_utf8(event->value))
        return tidemill_reject("the value is not UTF-8 text");
    note(accumulator, 1, event->value.len);
    return TIDEMILL_OK;
}

// Folds in a later piece of the same window.
static tidemill_status merge(void *accumulator, const void *later) {
    const lengths *l = later;
    note(accumulator, l->events, l->longest);
    return TIDEMILL_OK;
}

// Gives the rows of a window.
static tidemill_status finish(const tidemill_window *window, const void *accumulator, tidemill_rows *rows) {
    (void)window;
    const lengths *l = accumulator;
    tidemill_buffer row = {0};
    tidemill_append_format(&row, "{\"events\":%" PRIu64 ",\"longest\":%" PRIu64 "}", l->events, l->longest);
    tidemill_row(rows, tidemill_absent(), tidemill_bytes_of(&row));
    return TIDEMILL_OK;
}

const tidemill_aggregator aggregate = {
    .name = "{{name}}",
    .accumulator_size = sizeof(lengths),
    .add = add,
    .merge = merge,
    .finish = finish,
};

TIDEMILL_AGGREGATOR(aggregate)
