// The harness that a native test drives an operator by (tidemill_test.h).

#ifndef __wasm__

#include "test_host.h"
#include <stdio.h>

typedef struct {
    int64_t start, end;
    uint32_t firing;
    tidemill_slice key, accumulator;
} window;

static struct {
    const tidemill_processor *processor;
    const tidemill_aggregator *aggregator;
    tidemill_slice config;
    int64_t watermark;
    tm_array dead; // tidemill_dead_letter
    tidemill_slice reason;
    tm_array windows; // window
    int failures;
} test;

tidemill_record tidemill_test_event(const char *key, const char *value, int64_t time) {
    tidemill_record r = {.time = time};
    if (key)
        r.key = tidemill_text(key);
    if (value)
        r.value = tidemill_text(value);
    return r;
}

static tidemill_status done(tidemill_status status) {
    if (status != TIDEMILL_OK) {
        test.reason = test_keep(tidemill_bytes_of(&tm_current.reason));
        test_roll_back();
    }
    tm_arena_reset();
    return status;
}

static void begin(const tidemill_record *about, size_t count) { test_begin(test.watermark, about, count); }

tidemill_status tidemill_test_replace_instance(void) {
    begin(NULL, 0);
    if (test.aggregator)
        return done(tm_open(test.aggregator->handles, true, test.aggregator->open, test.config));
    return done(tm_open(test.processor->handles, false, test.processor->open, test.config));
}

static tidemill_status open_anew(const tidemill_processor *processor, const tidemill_aggregator *aggregator, const char *config) {
    int failures = test.failures;
    memset(&test, 0, sizeof test);
    memset(&test_host, 0, sizeof test_host);
    test.failures = failures;
    test.processor = processor;
    test.aggregator = aggregator;
    test.config = test_keep(tidemill_text(config));
    test.watermark = TIDEMILL_NO_WATERMARK;
    test_host.handles = processor ? processor->handles : aggregator->handles;
    return tidemill_test_replace_instance();
}

tidemill_status tidemill_test_open(const tidemill_processor *operator_, const char *config) { return open_anew(operator_, NULL, config); }

tidemill_status tidemill_test_open_aggregator(const tidemill_aggregator *aggregator, const char *config) { return open_anew(NULL, aggregator, config); }

// Columns of records, in memory that is used again.
static tm_events columns_of(const tidemill_record *records, size_t count) {
    static tm_array times, headers;
    static tm_columns keys, values;
    times.len = headers.len = 0;
    tm_columns_clear(&keys);
    tm_columns_clear(&values);
    bool some = false;
    for (size_t i = 0; i < count; i++) {
        *(int64_t *)tm_push(&times, 1, sizeof(int64_t)) = records[i].time;
        tm_columns_push(&keys, records[i].key);
        tm_columns_push(&values, records[i].value);
        some |= records[i].header_count > 0;
    }
    for (size_t i = 0; some && i < count; i++)
        tm_push_headers(&headers, records[i].headers, records[i].header_count);
    return (tm_events){times.data, count, tm_columns_view(&keys), tm_columns_view(&values), tidemill_bytes(headers.data, headers.len)};
}

static void take_rejections(const tidemill_record *records) {
    const tm_rejection *r = tm_current.rejections.data;
    for (size_t i = 0; i < tm_current.rejections.len; i++) {
        tidemill_record of = records[r[i].index];
        of.key = test_keep(of.key);
        of.value = test_keep(of.value);
        *(tidemill_dead_letter *)tm_push(&test.dead, 1, sizeof(tidemill_dead_letter)) = (tidemill_dead_letter){of, test_keep(r[i].reason)};
    }
}

static tidemill_status fire(void) {
    static tm_columns keys;
    static tm_array times;
    uint32_t domain = 0, timer = 0;
    for (;;) {
        begin(NULL, 0);
        if (!test_take_due(test.watermark, &keys, &times, &domain, &timer))
            return TIDEMILL_OK;
        tm_view view = tm_columns_view(&keys);
        tidemill_record *records = calloc(times.len, sizeof *records);
        if (!records)
            test_trap("out of memory");
        for (size_t i = 0; i < times.len; i++)
            records[i] = (tidemill_record){.key = tm_at(&view, i), .time = ((int64_t *)times.data)[i]};
        test_host.about = records;
        test_host.about_count = times.len;
        tidemill_status status = tm_on_timers(test.processor, domain, timer, &view, times.data, test.watermark);
        if (status == TIDEMILL_OK)
            take_rejections(records);
        status = done(status);
        free(records);
        if (status != TIDEMILL_OK)
            return status;
    }
}

tidemill_status tidemill_test_send(uint32_t input, const tidemill_record *events, size_t count) {
    begin(events, count);
    tm_events columns = columns_of(events, count);
    tidemill_status status = tm_process(test.processor, input, test.watermark, &columns);
    if (status == TIDEMILL_OK)
        take_rejections(events);
    status = done(status);
    return status == TIDEMILL_OK ? fire() : status;
}

tidemill_status tidemill_test_watermark(int64_t time) {
    if (time <= test.watermark)
        return TIDEMILL_OK;
    test.watermark = time;
    TIDEMILL_TRY(fire());
    begin(NULL, 0);
    return done(test.processor->on_watermark ? tm_on_watermark(test.processor, time) : TIDEMILL_OK);
}

tidemill_status tidemill_test_clock(int64_t now) {
    test_host.clock = now;
    return fire(); // which begins a call, so that what is over by then is freed
}

tidemill_status tidemill_test_end(void) {
    if (test.processor)
        TIDEMILL_TRY(tidemill_test_watermark(TIDEMILL_END_OF_INPUT));
    begin(NULL, 0);
    return done(test.processor ? tm_outside(test.processor->handles, test.processor->close) : tm_outside(test.aggregator->handles, test.aggregator->close));
}

tidemill_slice tidemill_test_reason(void) { return test.reason; }

uint32_t tidemill_test_retry_after(void) { return tm_current.delayed ? tm_current.after_ms : UINT32_MAX; }

// ---- Window aggregates

static window *window_at(size_t i) { return (window *)test.windows.data + i; }

// The accumulator of a window and key, made if need be; windows are in order of start, end and key.
static window *window_of(int64_t start, int64_t end, tidemill_slice key) {
    size_t i = 0;
    for (; i < test.windows.len; i++) {
        window *w = window_at(i);
        int order = w->start != start ? (w->start > start) - (w->start < start) : w->end != end ? (w->end > end) - (w->end < end) : tidemill_compare(w->key, key);
        if (order == 0)
            return w;
        if (order > 0)
            break;
    }
    tm_push(&test.windows, 1, sizeof(window));
    memmove(window_at(i + 1), window_at(i), (test.windows.len - 1 - i) * sizeof(window));
    *window_at(i) = (window){start, end, 0, test_keep(key), tidemill_absent()};
    return window_at(i);
}

tidemill_status tidemill_test_add(int64_t start, int64_t end, const tidemill_record *events, size_t count) {
    tm_columns keys = {0}, given = {0}, made = {0};
    tm_array groups = {0};
    for (size_t i = 0; i < count; i++) {
        tm_view so_far = tm_columns_view(&keys);
        uint32_t group = 0;
        while (group < so_far.len && !tidemill_equal(tm_at(&so_far, group), events[i].key))
            group++;
        if (group == so_far.len) {
            tm_columns_push(&keys, events[i].key);
            tm_columns_push(&given, window_of(start, end, events[i].key)->accumulator);
        }
        *(uint32_t *)tm_push(&groups, 1, sizeof group) = group;
    }
    begin(NULL, 0);
    tm_events columns = columns_of(events, count);
    tm_view accumulators = tm_columns_view(&given);
    tidemill_status status = tm_accumulate(test.aggregator, &columns, groups.data, groups.len, &accumulators, &made);
    if (status == TIDEMILL_OK) {
        take_rejections(events);
        tm_view view = tm_columns_view(&made), of = tm_columns_view(&keys);
        for (size_t i = 0; i < view.len; i++)
            window_of(start, end, tm_at(&of, i))->accumulator = test_keep(tm_at(&view, i));
    }
    return done(status);
}

tidemill_status tidemill_test_merge(int64_t start, int64_t end, int64_t later_start, int64_t later_end) {
    tm_columns keys = {0}, given = {0}, made = {0};
    tm_array groups = {0};
    for (size_t i = 0; i < test.windows.len; i++) { // keys of either, in any order
        window *w = window_at(i);
        bool early = w->start == start && w->end == end, late = w->start == later_start && w->end == later_end;
        tm_view so_far = tm_columns_view(&keys);
        bool known = false;
        for (size_t k = 0; k < so_far.len; k++)
            known |= tidemill_equal(tm_at(&so_far, k), w->key);
        if ((!early && !late) || known)
            continue;
        uint32_t group = (uint32_t)so_far.len;
        tm_columns_push(&keys, w->key);
        tidemill_slice key = w->key, pieces[] = {window_of(start, end, key)->accumulator, window_of(later_start, later_end, key)->accumulator};
        for (int p = 0; p < 2; p++)
            if (pieces[p].data) {
                tm_columns_push(&given, pieces[p]);
                *(uint32_t *)tm_push(&groups, 1, sizeof group) = group;
            }
    }
    begin(NULL, 0);
    tm_view accumulators = tm_columns_view(&given);
    tidemill_status status = tm_merge(test.aggregator, groups.data, groups.len, &accumulators, &made);
    if (status == TIDEMILL_OK) {
        tm_view view = tm_columns_view(&made), of = tm_columns_view(&keys);
        for (size_t i = 0; i < view.len; i++)
            window_of(start, later_end, tm_at(&of, i))->accumulator = test_keep(tm_at(&view, i));
    }
    return done(status);
}

tidemill_status tidemill_test_finish(int64_t start, int64_t end) {
    tm_columns keys = {0}, given = {0};
    tm_array bounds = {0};
    static tidemill_rows rows;
    for (size_t i = 0; i < test.windows.len; i++) {
        window *w = window_at(i);
        if (w->start != start || w->end != end || !w->accumulator.data)
            continue;
        tm_columns_push(&keys, w->key);
        tm_columns_push(&given, w->accumulator);
        *(tm_bounds *)tm_push(&bounds, 1, sizeof(tm_bounds)) = (tm_bounds){start, end, w->firing++, 0};
    }
    begin(NULL, 0);
    tm_view of = tm_columns_view(&keys), accumulators = tm_columns_view(&given);
    tidemill_status status = tm_finish(test.aggregator, &of, bounds.data, &accumulators, &rows);
    if (status == TIDEMILL_OK) {
        size_t before = test_host.now.output.len;
        tm_events made = {rows.timestamps.data, rows.timestamps.len, tm_columns_view(&rows.keys), tm_columns_view(&rows.values), {NULL, 0}};
        test_emitted(0, &made);
        for (size_t i = 0; i < made.len; i++) {
            tidemill_record *r = &((test_output *)test_host.now.output.data)[before + i].record;
            r->time = end - 1;
            if (!r->key.data)
                r->key = test_keep(tm_at(&of, ((uint32_t *)rows.window_of.data)[i]));
        }
    }
    return done(status);
}

// ---- What came of it

static uint32_t index_of(const char *name, tidemill_kind from, tidemill_kind to) {
    for (tidemill_handle *const *h = test_host.handles; h && *h; h++)
        if ((*h)->kind >= from && (*h)->kind <= to && strcmp((*h)->name, name) == 0)
            return (*h)->index;
    fprintf(stderr, "`%s`: ", name);
    test_trap("the operator has no handle of this name");
}

const tidemill_record *tidemill_test_output(const char *port, size_t *count) {
    uint32_t index = test.aggregator ? 0 : index_of(port, TIDEMILL_KIND_OUTPUT, TIDEMILL_KIND_OUTPUT);
    tm_array taken = {0}, left = {0};
    for (size_t i = 0; i < test_host.now.output.len; i++) {
        const test_output *one = (test_output *)test_host.now.output.data + i;
        if (one->port == index)
            *(tidemill_record *)tm_push(&taken, 1, sizeof(tidemill_record)) = one->record;
        else
            *(test_output *)tm_push(&left, 1, sizeof(test_output)) = *one;
    }
    test_host.now.output = left;
    *count = taken.len;
    return taken.data;
}

const tidemill_dead_letter *tidemill_test_dead_letters(size_t *count) {
    const tidemill_dead_letter *taken = test.dead.data;
    *count = test.dead.len;
    test.dead = (tm_array){0};
    return taken;
}

const tidemill_slice *tidemill_test_log(size_t *count) {
    const tidemill_slice *taken = test_host.log.data;
    *count = test_host.log.len;
    test_host.log = (tm_array){0};
    return taken;
}

double tidemill_test_metric(const char *name) { return test_host.now.metrics[index_of(name, TIDEMILL_KIND_COUNTER, TIDEMILL_KIND_HISTOGRAM)]; }

size_t tidemill_test_timers(void) { return test_host.now.timers.len; }

size_t tidemill_test_state_entries(const char *name) {
    uint32_t state = index_of(name, TIDEMILL_KIND_VALUE, TIDEMILL_KIND_LIST);
    size_t n = 0;
    for (size_t i = 0; i < test_host.now.entries.len; i++)
        n += ((test_entry *)test_host.now.entries.data)[i].state == state;
    return n;
}

tidemill_slice tidemill_test_describe(void) {
    const tidemill_processor *p = test.processor;
    const tidemill_aggregator *a = test.aggregator;
    return p ? tm_describe(p->name, p->version, p->inputs, p->handles, p->on_watermark != NULL, p->config_schema)
             : tm_describe(a->name, a->version, NULL, a->handles, false, a->config_schema);
}

tidemill_test_calls tidemill_test_called(void) { return test_host.calls; }

// ---- Checks

bool tidemill_test_check(bool holds, const char *what, const char *file, int line) {
    if (!holds) {
        fprintf(stderr, "%s:%d: not so: %s (the last failure: %.*s)\n", file, line, what, (int)test.reason.len, test.reason.data ? (const char *)test.reason.data : "");
        test.failures++;
    }
    return holds;
}

static bool same_bytes(tidemill_slice a, tidemill_slice b) { return (a.data == NULL) == (b.data == NULL) && tidemill_equal(a, b); }

static bool same_record(const tidemill_record *a, const tidemill_record *b) {
    bool same = same_bytes(a->key, b->key) && same_bytes(a->value, b->value) && a->time == b->time && a->header_count == b->header_count;
    for (size_t i = 0; same && i < a->header_count; i++)
        same = tidemill_equal(a->headers[i].name, b->headers[i].name) && tidemill_equal(a->headers[i].value, b->headers[i].value);
    return same;
}

static void print(const char *what, const tidemill_record *r) {
    fprintf(stderr, "  %s: ", what);
    if (r)
        fprintf(stderr, "%lld ms \"%.*s\"=%s\"%.*s\", %zu headers", (long long)r->time, (int)r->key.len, r->key.data ? (const char *)r->key.data : "",
                r->value.data ? "" : "(none)", (int)r->value.len, r->value.data ? (const char *)r->value.data : "", r->header_count);
    fprintf(stderr, "\n");
}

bool tidemill_test_expect(const char *port, const tidemill_record *wanted, size_t count, const char *file, int line) {
    size_t n;
    const tidemill_record *got = tidemill_test_output(port, &n);
    for (size_t i = 0; i < n || i < count; i++)
        if (i >= n || i >= count || !same_record(&got[i], &wanted[i])) {
            fprintf(stderr, "%s:%d: port %s, record %zu of %zu (wanted: %zu)\n", file, line, port, i, n, count);
            print("got", i < n ? &got[i] : NULL);
            print("wanted", i < count ? &wanted[i] : NULL);
            test.failures++;
            return false;
        }
    return true;
}

int tidemill_test_failures(void) {
    if (test.failures)
        fprintf(stderr, "%d checks failed\n", test.failures);
    return test.failures != 0;
}

#else
typedef int tm_test_is_native; // a translation unit is not empty
#endif
