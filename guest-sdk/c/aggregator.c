// Drives a window aggregate: takes the host's calls, folds events one by one. Its exports (component.c) and tests
// (tidemill_test.h) call it.

#include "internal.h"

static const tm_events no_events;

// An accumulator in the call's memory: a struct of the aggregate's size, or a buffer.
typedef struct {
    void *now;
    tidemill_buffer buffer;
} fold;

static tidemill_status read(const tidemill_aggregator *a, tidemill_slice bytes, fold *into) {
    if (!a->accumulator_size) {
        into->buffer = (tidemill_buffer){0};
        if (bytes.data)
            tidemill_append(&into->buffer, bytes);
        into->now = &into->buffer;
        return TIDEMILL_OK;
    }
    into->now = tidemill_alloc(a->accumulator_size);
    memset(into->now, 0, a->accumulator_size);
    if (!bytes.data)
        return TIDEMILL_OK;
    if (bytes.len != a->accumulator_size)
        return tidemill_fatal("an accumulator has %zu bytes, not %zu: its type has changed since it was stored. Undo the change, or give "
                              "the operator another name to start empty", bytes.len, a->accumulator_size);
    memcpy(into->now, bytes.data, bytes.len);
    return TIDEMILL_OK;
}

static void write(const tidemill_aggregator *a, const fold *f, tm_columns *out) {
    tm_columns_push(out, a->accumulator_size ? tidemill_bytes(f->now, a->accumulator_size) : tidemill_bytes_of(&f->buffer));
}

// What an accumulator was before the event in progress, in memory that is used again.
static tm_array before;

static void remember(const tidemill_aggregator *a, const fold *f) {
    before.len = 0;
    tm_push_bytes(&before, a->accumulator_size ? tidemill_bytes(f->now, a->accumulator_size) : tidemill_bytes_of(&f->buffer));
}

static void go_back(const tidemill_aggregator *a, fold *f) {
    if (a->accumulator_size) {
        memcpy(f->now, before.data, before.len);
        return;
    }
    f->buffer.len = 0;
    tidemill_append(&f->buffer, tidemill_bytes(before.data, before.len));
}

static tidemill_status accumulate(const tidemill_aggregator *a, const tm_events *events, const uint32_t *groups, const tm_view *given, tm_columns *out) {
    if (given->len > SIZE_MAX / sizeof(fold))
        return tidemill_fatal("the host gave too many accumulators");
    fold *folds = tidemill_alloc(given->len * sizeof *folds);
    for (size_t i = 0; i < given->len; i++)
        TIDEMILL_TRY(read(a, tm_at(given, i), &folds[i]));
    size_t header_at = 0;
    for (size_t i = 0; i < events->len; i++) {
        if (groups[i] >= given->len)
            return tidemill_fatal("the host gave event %zu a group that is not there", i);
        fold *f = &folds[groups[i]];
        tidemill_event event = tm_event_at(events, i, 0, TIDEMILL_NO_WATERMARK, &header_at);
        remember(a, f);
        tm_start_event(i);
        tidemill_status status = a->add(f->now, &event);
        if (status == TIDEMILL_REJECTED)
            go_back(a, f);
        TIDEMILL_TRY(tm_end_event(status));
    }
    tm_columns_clear(out);
    for (size_t i = 0; i < given->len; i++)
        write(a, &folds[i], out);
    return TIDEMILL_OK;
}

tidemill_status tm_accumulate(const tidemill_aggregator *a, const tm_events *events, const uint32_t *groups, size_t groups_len, const tm_view *given, tm_columns *out) {
    tm_begin(a->handles, events);
    if (groups_len != events->len)
        return tm_end(tidemill_fatal("the host gave %zu events %zu groups", events->len, groups_len));
    return tm_end(accumulate(a, events, groups, given, out));
}

static tidemill_status merge(const tidemill_aggregator *a, const uint32_t *groups, const tm_view *given, tm_columns *out) {
    fold *folds = tidemill_alloc(given->len * sizeof *folds);
    size_t n = 0;
    for (size_t i = 0; i < given->len; i++) {
        fold next;
        if (groups[i] > n)
            return tidemill_fatal("the host left out group %zu", n);
        fold *into = groups[i] == n ? &folds[n++] : &next;
        TIDEMILL_TRY(read(a, tm_at(given, i), into));
        if (into == &next)
            TIDEMILL_TRY(a->merge(folds[groups[i]].now, next.now));
    }
    tm_columns_clear(out);
    for (size_t i = 0; i < n; i++)
        write(a, &folds[i], out);
    return TIDEMILL_OK;
}

tidemill_status tm_merge(const tidemill_aggregator *a, const uint32_t *groups, size_t groups_len, const tm_view *given, tm_columns *out) {
    tm_begin(a->handles, &no_events);
    if (groups_len != given->len)
        return tm_end(tidemill_fatal("the host gave %zu accumulators %zu groups", given->len, groups_len));
    return tm_end(tm_not_an_event(merge(a, groups, given, out)));
}

static tidemill_status finish(const tidemill_aggregator *a, const tm_view *keys, const tm_bounds *windows, const tm_view *given, tidemill_rows *rows) {
    for (size_t i = 0; i < given->len; i++) {
        fold f;
        TIDEMILL_TRY(read(a, tm_at(given, i), &f));
        tidemill_window window = {tm_at(keys, i), windows[i].start, windows[i].end, windows[i].firing};
        rows->window = (uint32_t)i;
        TIDEMILL_TRY(a->finish(&window, f.now, rows));
    }
    return TIDEMILL_OK;
}

tidemill_status tm_finish(const tidemill_aggregator *a, const tm_view *keys, const tm_bounds *windows, const tm_view *given, tidemill_rows *rows) {
    tm_begin(a->handles, &no_events);
    rows->timestamps.len = rows->window_of.len = 0;
    tm_columns_clear(&rows->keys);
    tm_columns_clear(&rows->values);
    return tm_end(tm_not_an_event(finish(a, keys, windows, given, rows)));
}

void tidemill_row(tidemill_rows *rows, tidemill_slice key, tidemill_slice value) {
    *(int64_t *)tm_push(&rows->timestamps, 1, sizeof(int64_t)) = 0;
    tm_columns_push(&rows->keys, key);
    tm_columns_push(&rows->values, value);
    *(uint32_t *)tm_push(&rows->window_of, 1, sizeof(uint32_t)) = rows->window;
}
