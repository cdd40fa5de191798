// The component's side of the door: the WIT imports, and the exports as calls of the operator. The canonical ABI of
// wit/, written by hand: pointers are 32 bits, and the host's buffers lie in the call's arena.

#ifdef __wasm__

#include "internal.h"

#define IMPORT(interface, name) __attribute__((import_module("tidemill:operator/" interface "@0.1.0"), import_name(name)))

IMPORT("state", "get") void get(uint32_t, const void *, size_t, const void *, size_t, uint32_t, const void *, size_t, const void *, size_t, uint32_t *);
IMPORT("state", "put") void put(uint32_t, const void *, size_t, const void *, size_t, uint32_t, const void *, size_t, const void *, size_t,
                                const void *, size_t, const void *, size_t, const void *, size_t);
IMPORT("state", "append") void append(uint32_t, const void *, size_t, const void *, size_t, const void *, size_t, const void *, size_t);
IMPORT("state", "clear") void clear(uint32_t, const void *, size_t, const void *, size_t);
IMPORT("state", "scan") void scan(uint32_t, const void *, size_t, uint32_t, uint32_t, const void *, size_t, uint32_t *);
IMPORT("timers", "register") void register_timers(uint32_t, uint32_t, const void *, size_t, const void *, size_t, const void *, size_t);
IMPORT("timers", "cancel") void cancel_timers(uint32_t, uint32_t, const void *, size_t, const void *, size_t, const void *, size_t);
IMPORT("output", "emit") void emit(const void *);
IMPORT("metrics", "add") void metric_add(uint32_t, uint64_t);
IMPORT("metrics", "set") void metric_set(uint32_t, double);
IMPORT("metrics", "observe") void metric_observe(uint32_t, const void *, size_t);
IMPORT("log", "log") void log_line(uint32_t, const void *, size_t);
IMPORT("context", "current-subtask") void current_subtask(uint32_t *);
IMPORT("context", "current-time") int64_t current_time(void);

// In linear memory an address is a u32.
static uint32_t address(const void *p) { return (uint32_t)(uintptr_t)p; }

static const void *at(uint32_t word) { return (const void *)(uintptr_t)word; }

static tm_view read_columns(const uint32_t *w) { return (tm_view){at(w[0]), at(w[2]), NULL, w[1], w[3] / 4}; }

static tm_view read_optional(const uint32_t *w) {
    tm_view v = read_columns(w);
    v.present = w[5] ? at(w[4]) : NULL;
    return v;
}

static tm_events read_events(const uint32_t *w) {
    return (tm_events){at(w[0]), w[1] / 8, read_optional(w + 2), read_optional(w + 8), {at(w[14]), w[15]}};
}

static void put_columns(uint32_t *w, const tm_view *v) {
    w[0] = address(v->data), w[1] = v->data_len;
    w[2] = address(v->ends), w[3] = 4 * v->len;
}

static void put_optional(uint32_t *w, const tm_view *v) {
    put_columns(w, v);
    w[4] = address(v->present), w[5] = v->present ? v->len : 0;
}

static void put_events(uint32_t *w, const tm_events *e) {
    w[0] = address(e->timestamps), w[1] = 8 * e->len;
    put_optional(w + 2, &e->keys);
    put_optional(w + 8, &e->values);
    w[14] = address(e->headers.data), w[15] = e->headers.len;
}

#define COLUMNS(v) (v)->data, (v)->data_len, (v)->ends, 4 * (v)->len

static const tm_view none;

tm_view tm_host_get(uint32_t state, const tm_view *keys, const tm_view *sub_keys) {
    const tm_view *sub = sub_keys ? sub_keys : &none;
    uint32_t w[6];
    get(state, COLUMNS(keys), sub_keys != NULL, COLUMNS(sub), w);
    return read_optional(w);
}

void tm_host_put(uint32_t state, const tm_view *keys, const tm_view *sub_keys, const tm_view *values) {
    const tm_view *sub = sub_keys ? sub_keys : &none;
    put(state, COLUMNS(keys), sub_keys != NULL, COLUMNS(sub), COLUMNS(values), values->present, values->present ? values->len : 0);
}

void tm_host_append(uint32_t state, const tm_view *keys, const tm_view *values) { append(state, COLUMNS(keys), COLUMNS(values)); }

void tm_host_clear(uint32_t state, const tm_view *keys) { clear(state, COLUMNS(keys)); }

tm_page tm_host_scan(uint32_t state, tidemill_slice key, tidemill_slice start, tidemill_slice end, tidemill_slice cursor) {
    uint32_t range[8] = {address(key.data), key.len, start.data != NULL, address(start.data), start.len, end.data != NULL, address(end.data), end.len};
    uint32_t w[13];
    scan(state, range, 1, 0, cursor.data != NULL, cursor.data, cursor.len, w);
    tm_page page = {read_columns(w + 2), read_columns(w + 6), tidemill_absent()};
    if (w[10] & 0xff)
        page.cursor = tidemill_bytes(at(w[11]), w[12]);
    return page;
}

void tm_host_register(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times) {
    register_timers(domain, timer, COLUMNS(keys), times, 8 * keys->len);
}

void tm_host_cancel(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times) {
    cancel_timers(domain, timer, COLUMNS(keys), times, 8 * keys->len);
}

void tm_host_emit(uint32_t port, const tm_events *events) {
    uint32_t w[17] = {port};
    put_events(w + 1, events);
    emit(w);
}

void tm_host_add(uint32_t metric, uint64_t amount) { metric_add(metric, amount); }

void tm_host_set(uint32_t metric, double value) { metric_set(metric, value); }

void tm_host_observe(uint32_t metric, const double *values, size_t len) { metric_observe(metric, values, len); }

void tm_host_log(uint32_t level, tidemill_slice message) { log_line(level, message.data, message.len); }

tidemill_subtask tidemill_current_subtask(void) {
    uint32_t w[3];
    current_subtask(w);
    return (tidemill_subtask){w[0], w[1], w[2]};
}

int64_t tidemill_now(void) { return current_time(); }

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align; // everything is aligned to 8
    void *p = tidemill_alloc(size);
    if (old_size)
        memcpy(p, old, old_size < size ? old_size : size);
    return p;
}

void tidemill_answered(void) { tm_arena_reset(); }

// ---- Exports

static uint32_t answer[20]; // the widest is that of `finish`

static bool open_done;

// Begins an answer: on TIDEMILL_OK the payload follows the first word.
static bool answered(tidemill_status status) {
    memset(answer, 0, sizeof answer);
    if (status == TIDEMILL_OK)
        return true;
    answer[0] = 1;
    if (status == TIDEMILL_RETRY) {
        answer[2] = tm_current.delayed;
        answer[3] = tm_current.after_ms;
    } else {
        answer[1] = 1;
        answer[2] = address(tm_current.reason.data);
        answer[3] = tm_current.reason.len;
    }
    return false;
}

static void put_rejections(uint32_t *w) {
    size_t n = tm_current.rejections.len;
    uint32_t *list = tidemill_alloc(12 * n);
    const tm_rejection *r = tm_current.rejections.data;
    for (size_t i = 0; i < n; i++)
        memcpy(list + 3 * i, (uint32_t[]){r[i].index, address(r[i].reason.data), r[i].reason.len}, 12);
    w[0] = address(list), w[1] = n;
}

static void *plain(tidemill_status status) {
    answered(status);
    return answer;
}

static void *with_rejections(tidemill_status status) {
    if (answered(status))
        put_rejections(answer + 1);
    return answer;
}

static void *described(const char *wrong, tidemill_slice json) {
    // No descriptor is better than a wrong one: the host refuses the empty string, and the log says why.
    if (wrong)
        tm_host_log(TIDEMILL_ERROR, tidemill_text(wrong));
    answer[0] = address(json.data), answer[1] = wrong ? 0 : json.len;
    return answer;
}

static tidemill_status not_opened(void) { return tidemill_fatal("the host called the operator before `open`"); }

void *tidemill_processor_describe(const tidemill_processor *o) {
    const char *wrong = tm_declare(o->handles, false);
    return described(wrong, tm_describe(o->name, o->version, o->inputs, o->handles, o->on_watermark != NULL, o->config_schema));
}

static void *opened(tidemill_status status) {
    open_done = status == TIDEMILL_OK;
    return plain(status);
}

void *tidemill_processor_open(const tidemill_processor *o, void *config, size_t len) {
    return opened(tm_open(o->handles, false, o->open, tidemill_bytes(config, len)));
}

void *tidemill_processor_process(const tidemill_processor *o, const uint32_t *w) {
    if (!open_done)
        return plain(not_opened());
    tm_events events = read_events(w + 4);
    return with_rejections(tm_process(o, w[0], (int64_t)(w[2] | (uint64_t)w[3] << 32), &events));
}

void *tidemill_processor_on_timers(const tidemill_processor *o, const uint32_t *w, int64_t watermark) {
    if (!open_done)
        return plain(not_opened());
    tm_view keys = read_columns(w + 2);
    return with_rejections(tm_on_timers(o, w[0], w[1], &keys, at(w[6]), watermark));
}

void *tidemill_processor_on_watermark(const tidemill_processor *o, int64_t watermark) {
    return plain(open_done ? tm_on_watermark(o, watermark) : not_opened());
}

void *tidemill_processor_close(const tidemill_processor *o) { return plain(open_done ? tm_outside(o->handles, o->close) : not_opened()); }

void *tidemill_aggregator_describe(const tidemill_aggregator *a) {
    const char *wrong = tm_declare(a->handles, true);
    return described(wrong, tm_describe(a->name, a->version, NULL, a->handles, false, a->config_schema));
}

void *tidemill_aggregator_open(const tidemill_aggregator *a, void *config, size_t len) {
    return opened(tm_open(a->handles, true, a->open, tidemill_bytes(config, len)));
}

static tm_columns accumulators;

void *tidemill_aggregator_accumulate(const tidemill_aggregator *a, const uint32_t *w) {
    if (!open_done)
        return plain(not_opened());
    tm_events events = read_events(w);
    tm_view given = read_optional(w + 18);
    if (answered(tm_accumulate(a, &events, at(w[16]), w[17] / 4, &given, &accumulators))) {
        tm_view made = tm_columns_view(&accumulators);
        put_columns(answer + 1, &made);
        put_rejections(answer + 5);
    }
    return answer;
}

void *tidemill_aggregator_merge(const tidemill_aggregator *a, const uint32_t *w) {
    if (!open_done)
        return plain(not_opened());
    tm_view given = read_columns(w + 2);
    if (answered(tm_merge(a, at(w[0]), w[1] / 4, &given, &accumulators))) {
        tm_view made = tm_columns_view(&accumulators);
        put_columns(answer + 1, &made);
    }
    return answer;
}

static tidemill_rows rows;

void *tidemill_aggregator_finish(const tidemill_aggregator *a, const uint32_t *w) {
    if (!open_done)
        return plain(not_opened());
    tm_view keys = read_columns(w), given = read_columns(w + 6);
    if (answered(tm_finish(a, &keys, at(w[4]), &given, &rows))) {
        tm_events made = {rows.timestamps.data, rows.timestamps.len, tm_columns_view(&rows.keys), tm_columns_view(&rows.values), {NULL, 0}};
        put_events(answer + 1, &made);
        answer[17] = address(rows.window_of.data), answer[18] = 4 * rows.window_of.len;
    }
    return answer;
}

void *tidemill_aggregator_close(const tidemill_aggregator *a) { return plain(open_done ? tm_outside(a->handles, a->close) : not_opened()); }

#else
typedef int tm_component_is_for_wasm; // a translation unit is not empty
#endif
