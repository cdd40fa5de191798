// The operator that every SDK has (guest-sdk/CONFORMANCE.md): its events say what to do with every capability.

#include "tidemill.h"
#include <stdlib.h>

static tidemill_output out = TIDEMILL_OUTPUT("out"), side = TIDEMILL_OUTPUT("side");
static tidemill_value count = TIDEMILL_VALUE("count");
static tidemill_map entries = TIDEMILL_MAP("entries");
static tidemill_list items = TIDEMILL_LIST("items");
static tidemill_value brief = TIDEMILL_VALUE("brief", .ttl = {.ms = 100});
static tidemill_map fresh = TIDEMILL_MAP("fresh", .ttl = {.ms = 100, .clock = TIDEMILL_CLOCK_EVENT, .refresh = TIDEMILL_REFRESH_READ_AND_WRITE});
static tidemill_list recent = TIDEMILL_LIST("recent", .ttl = {.ms = 100, .clock = TIDEMILL_CLOCK_EVENT});
static tidemill_timer due = TIDEMILL_EVENT_TIMER("due"), alarm_timer = TIDEMILL_PROCESSING_TIMER("alarm");
static tidemill_counter seen = TIDEMILL_COUNTER("seen");
static tidemill_gauge last = TIDEMILL_GAUGE("last");
static tidemill_histogram sizes = TIDEMILL_HISTOGRAM("sizes");

static char *greeting; // of malloc: it outlives the call
static size_t greeting_len;
static unsigned memory;

static tidemill_status open(tidemill_slice config) {
    tidemill_slice name, value;
    tidemill_buffer greet = {0}, refuse = {0};
    tidemill_append(&greet, tidemill_text("none"));
    for (size_t at = 0; tidemill_json_next(config, &at, &name, &value);) {
        tidemill_buffer *into = tidemill_equal(name, tidemill_text("greeting")) ? &greet : tidemill_equal(name, tidemill_text("refuse")) ? &refuse : NULL;
        if (into)
            into->len = 0;
        if (!into || !tidemill_json_string(value, into))
            return tidemill_fatal("the configuration does not fit at `%.*s`", (int)name.len, (const char *)name.data);
    }
    if (refuse.len)
        return tidemill_fatal("%.*s", (int)refuse.len, (const char *)refuse.data);
    free(greeting);
    if (!(greeting = malloc(greet.len + 1)))
        return tidemill_fatal("out of memory");
    memcpy(greeting, greet.data, greet.len);
    greeting_len = greet.len;
    tidemill_log(TIDEMILL_INFO, "opened");
    return TIDEMILL_OK;
}

static tidemill_status close(void) {
    tidemill_log(TIDEMILL_INFO, "closed");
    return TIDEMILL_OK;
}

static tidemill_status on_watermark(int64_t watermark) {
    if (watermark == TIDEMILL_END_OF_INPUT)
        return tidemill_emit_at(&side, 0, tidemill_absent(), tidemill_text("watermark end"));
    tidemill_buffer text = {0};
    tidemill_append_format(&text, "watermark %" PRId64, watermark);
    return tidemill_emit_at(&side, watermark, tidemill_absent(), tidemill_bytes_of(&text));
}

// One more than is stored, stored as text.
static tidemill_status one_more(tidemill_value *of, tidemill_buffer *text) {
    tidemill_slice stored;
    int64_t n = 0;
    TIDEMILL_TRY(tidemill_value_get(of, &stored));
    if (stored.data && !tidemill_json_i64(stored, &n))
        return tidemill_fatal("count holds no number");
    tidemill_append_format(text, "%" PRId64, n + 1);
    return tidemill_value_set(of, tidemill_bytes_of(text));
}

static tidemill_status counted(tidemill_buffer *text) { return one_more(&count, text); }

static tidemill_status count_and_emit(const tidemill_event *e) {
    tidemill_buffer text = {0};
    TIDEMILL_TRY(counted(&text));
    return tidemill_emit(&out, e->key, tidemill_bytes_of(&text));
}

static tidemill_status on_timer(const tidemill_fired *fired) {
    tidemill_buffer text = {0};
    tidemill_slice value;
    tidemill_append_format(&text, "%s %" PRId64, fired->timer->handle.name, fired->time);
    TIDEMILL_TRY(tidemill_emit(&out, fired->key, tidemill_bytes_of(&text)));
    TIDEMILL_TRY(tidemill_map_get(&entries, tidemill_text("refuse-timer"), &value));
    if (value.data) {
        text.len = 0;
        TIDEMILL_TRY(counted(&text));
        return tidemill_reject("timer refused");
    }
    TIDEMILL_TRY(tidemill_map_get(&entries, tidemill_text("again"), &value));
    if (!value.data)
        return TIDEMILL_OK;
    TIDEMILL_TRY(tidemill_timer_register(&due, fired->time + 10));
    return tidemill_map_delete(&entries, tidemill_text("again"));
}

// The word up to the next space; `rest` becomes what follows.
static tidemill_slice cut(tidemill_slice *rest) {
    const uint8_t *space = rest->len ? memchr(rest->data, ' ', rest->len) : NULL;
    size_t len = space ? (size_t)(space - rest->data) : rest->len, skip = len + (space != NULL);
    tidemill_slice word = tidemill_bytes(rest->data, len);
    *rest = tidemill_bytes(rest->data + skip, rest->len - skip);
    return word;
}

static tidemill_slice pattern(int64_t n) {
    uint8_t *bytes = tidemill_alloc((size_t)n);
    for (int64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i % 251);
    return tidemill_bytes(bytes, (size_t)n);
}

static tidemill_status join_entry(void *text, tidemill_slice sub_key, tidemill_slice value, bool *stop) {
    (void)stop;
    tidemill_buffer *b = text;
    if (b->len)
        tidemill_append(b, tidemill_text(","));
    tidemill_append(b, sub_key);
    tidemill_append(b, tidemill_text("="));
    tidemill_append(b, value);
    return TIDEMILL_OK;
}

static tidemill_status join_sub_key(void *text, tidemill_slice sub_key, tidemill_slice value, bool *stop) {
    (void)value, (void)stop;
    tidemill_append(text, sub_key);
    return TIDEMILL_OK;
}

typedef struct {
    tidemill_buffer text;
    bool some;
} joined;

static tidemill_status join_item(void *context, tidemill_slice value, bool *stop) {
    (void)stop;
    joined *j = context;
    if (j->some)
        tidemill_append(&j->text, tidemill_text(","));
    j->some = true;
    tidemill_append(&j->text, value);
    return TIDEMILL_OK;
}

static tidemill_status say(const tidemill_event *e, const tidemill_buffer *text) { return tidemill_emit(&out, e->key, tidemill_bytes_of(text)); }

static tidemill_status headers(const tidemill_event *e) {
    tidemill_header header, reversed[1025];
    size_t n = 0, at = 0;
    while (n < 1024 && tidemill_next_header(e, &at, &header))
        n++;
    at = 0;
    for (size_t i = n; i > 0 && tidemill_next_header(e, &at, &header);)
        reversed[--i] = header;
    static const uint8_t bytes[] = {0, 0xff};
    reversed[n++] = (tidemill_header){tidemill_text("x"), tidemill_bytes(bytes, 2)};
    return tidemill_emit_with_headers(&out, e->timestamp, e->key, tidemill_text("ok"), reversed, n);
}

static tidemill_status rejected(const tidemill_event *e, tidemill_slice rest) {
    TIDEMILL_TRY(count_and_emit(e));
    TIDEMILL_TRY(tidemill_map_put(&entries, tidemill_text("rejected"), tidemill_text("rejected")));
    TIDEMILL_TRY(tidemill_list_push(&items, tidemill_text("rejected")));
    TIDEMILL_TRY(tidemill_timer_register(&due, e->timestamp + 5));
    tidemill_counter_add(&seen, 100);
    return tidemill_reject("%.*s", (int)rest.len, (const char *)rest.data);
}

// Commands about what comes with an event and goes out.
static tidemill_status of_events(const tidemill_event *e, tidemill_slice name, tidemill_slice rest, int64_t n, bool *known) {
#define IS(word) tidemill_equal(name, tidemill_text(word))
    tidemill_buffer text = {0};
    if (IS("echo"))
        return tidemill_forward(&out, e);
    if (IS("side"))
        return tidemill_emit_at(&side, e->timestamp + 1, tidemill_text("side"), rest);
    if (IS("keyless"))
        return tidemill_emit(&out, tidemill_absent(), rest);
    if (IS("tombstone"))
        return tidemill_emit(&out, e->key, tidemill_absent());
    if (IS("headers"))
        return headers(e);
    if (IS("input"))
        return tidemill_emit(&out, e->key, tidemill_text(e->input ? "other" : "events"));
    if (IS("watermark")) {
        if (e->watermark == TIDEMILL_NO_WATERMARK || e->watermark == TIDEMILL_END_OF_INPUT)
            return tidemill_emit(&out, e->key, tidemill_text(e->watermark < 0 ? "none" : "end"));
        tidemill_append_format(&text, "%" PRId64, e->watermark);
        return say(e, &text);
    }
    if (IS("context")) {
        tidemill_subtask s = tidemill_current_subtask();
        tidemill_append_format(&text, "%" PRIu32 "/%" PRIu32 "/%" PRIu32 " %" PRId64, s.index, s.parallelism, s.max_parallelism, tidemill_now());
        return say(e, &text);
    }
    if (IS("greeting"))
        return tidemill_emit(&out, e->key, tidemill_bytes(greeting, greeting_len));
    if (IS("many")) {
        for (int64_t i = 0; i < n; i++) {
            text.len = 0;
            tidemill_append_format(&text, "%" PRId64, i);
            TIDEMILL_TRY(say(e, &text));
        }
        return TIDEMILL_OK;
    }
    if (IS("size"))
        return tidemill_emit(&out, e->key, pattern(n));
    if (IS("memory")) {
        tidemill_append_format(&text, "%u", ++memory);
        return say(e, &text);
    }
    *known = false;
    return TIDEMILL_OK;
}

// Commands about state with a time to live.
static tidemill_status of_a_time(const tidemill_event *e, tidemill_slice name, tidemill_slice rest, bool *known) {
    tidemill_buffer text = {0};
    tidemill_slice value;
    if (IS("brief")) {
        TIDEMILL_TRY(one_more(&brief, &text));
        return say(e, &text);
    }
    if (IS("keep"))
        return tidemill_map_put(&fresh, rest, tidemill_text("kept"));
    if (IS("kept")) {
        TIDEMILL_TRY(tidemill_map_get(&fresh, rest, &value));
        return tidemill_emit(&out, e->key, value.data ? value : tidemill_text("-"));
    }
    if (IS("note")) {
        joined all = {{0}, false};
        TIDEMILL_TRY(tidemill_list_push(&recent, rest));
        TIDEMILL_TRY(tidemill_list_each(&recent, join_item, &all));
        return say(e, &all.text);
    }
    *known = false;
    return TIDEMILL_OK;
}

// Commands about state.
static tidemill_status of_state(const tidemill_event *e, tidemill_slice name, tidemill_slice rest, int64_t n, bool *known) {
    tidemill_buffer text = {0};
    tidemill_slice value;
    if (IS("count"))
        return count_and_emit(e);
    if (IS("clear")) {
        TIDEMILL_TRY(tidemill_value_clear(&count));
        return tidemill_emit(&out, e->key, tidemill_text("cleared"));
    }
    if (IS("put")) {
        tidemill_slice sub_key = cut(&rest);
        return tidemill_map_put(&entries, sub_key, rest);
    }
    if (IS("get")) {
        TIDEMILL_TRY(tidemill_map_get(&entries, rest, &value));
        return tidemill_emit(&out, e->key, value.data ? value : tidemill_text("-"));
    }
    if (IS("remove"))
        return tidemill_map_delete(&entries, rest);
    if (IS("entries")) {
        TIDEMILL_TRY(tidemill_map_each(&entries, tidemill_absent(), tidemill_absent(), join_entry, &text));
        return say(e, &text);
    }
    if (IS("range")) {
        tidemill_slice from = cut(&rest);
        TIDEMILL_TRY(tidemill_map_each(&entries, from, rest, join_entry, &text));
        return say(e, &text);
    }
    if (IS("clear-entries"))
        return tidemill_map_clear(&entries);
    if (IS("bytes")) {
        for (int b = 255; b >= 0; b--)
            TIDEMILL_TRY(tidemill_map_put(&entries, tidemill_bytes(&(uint8_t){(uint8_t)b}, 1), tidemill_text("")));
        TIDEMILL_TRY(tidemill_map_each(&entries, tidemill_absent(), tidemill_absent(), join_sub_key, &text));
        return say(e, &text);
    }
    if (IS("blob")) {
        TIDEMILL_TRY(tidemill_map_put(&entries, tidemill_text("blob"), pattern(n)));
        TIDEMILL_TRY(tidemill_map_get(&entries, tidemill_text("blob"), &value));
        return tidemill_emit(&out, e->key, value);
    }
    if (IS("push"))
        return tidemill_list_push(&items, rest);
    if (IS("items")) {
        joined all = {{0}, false};
        TIDEMILL_TRY(tidemill_list_each(&items, join_item, &all));
        return say(e, &all.text);
    }
    if (IS("clear-items"))
        return tidemill_list_clear(&items);
    if (IS("due"))
        return tidemill_timer_register(&due, n);
    if (IS("cancel-due"))
        return tidemill_timer_cancel(&due, n);
    if (IS("alarm"))
        return tidemill_timer_register(&alarm_timer, n);
    if (IS("cancel-alarm"))
        return tidemill_timer_cancel(&alarm_timer, n);
    return of_a_time(e, name, rest, known);
}

// Commands about what is noted, and what goes wrong.
static tidemill_status of_the_rest(const tidemill_event *e, tidemill_slice name, tidemill_slice rest, int64_t n) {
    if (IS("metrics")) {
        tidemill_counter_add(&seen, 3);
        tidemill_gauge_set(&last, 2.5);
        tidemill_histogram_observe(&sizes, 1);
        tidemill_histogram_observe(&sizes, 2);
        return TIDEMILL_OK;
    }
    if (IS("log")) {
        for (tidemill_level level = TIDEMILL_TRACE; level <= TIDEMILL_ERROR; level++)
            tidemill_log(level, "a line");
        return TIDEMILL_OK;
    }
    if (IS("reject"))
        return rejected(e, rest);
    if (IS("raise")) {
        TIDEMILL_TRY(count_and_emit(e));
        tidemill_log(TIDEMILL_ERROR, "raised on purpose");
        abort();
    }
    if (IS("retry")) {
        TIDEMILL_TRY(count_and_emit(e));
        return rest.len ? tidemill_retry_after((uint32_t)n) : tidemill_retry();
    }
    if (IS("fatal")) {
        TIDEMILL_TRY(count_and_emit(e));
        return tidemill_fatal("%.*s", (int)rest.len, (const char *)rest.data);
    }
    return tidemill_reject("unknown command: %.*s", (int)name.len, (const char *)name.data);
}

static tidemill_status process(const tidemill_event *e) {
    if (!e->value.data)
        return tidemill_forward(&out, e);
    if (!tidemill_is_utf8(e->value))
        return tidemill_reject("unknown command: not UTF-8");
    tidemill_slice rest = e->value, name = cut(&rest);
    int64_t n = 0;
    tidemill_json_i64(rest, &n);
    bool known = true;
    TIDEMILL_TRY(of_events(e, name, rest, n, &known));
    if (known)
        return TIDEMILL_OK;
    known = true;
    TIDEMILL_TRY(of_state(e, name, rest, n, &known));
    return known ? TIDEMILL_OK : of_the_rest(e, name, rest, n);
}

const tidemill_processor conformance = {
    .name = "conformance",
    .inputs = (const char *const[]){"events", "other", NULL},
    .handles = TIDEMILL_HANDLES(&out.handle, &side.handle, &count.handle, &entries.handle, &items.handle, &brief.handle,
                                &fresh.handle, &recent.handle, &due.handle, &alarm_timer.handle,
                                &seen.handle, &last.handle, &sizes.handle),
    .open = open,
    .process = process,
    .on_timer = on_timer,
    .on_watermark = on_watermark,
    .close = close,
};

TIDEMILL_PROCESSOR(conformance)
