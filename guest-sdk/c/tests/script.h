// An operator that runs the words of an event's value as commands on every kind of handle; "!" refuses the event after what
// it did. The tests of state and of failures drive it.

#include "../tidemill_test.h"

static tidemill_value number = TIDEMILL_VALUE("number");
static tidemill_map bag = TIDEMILL_MAP("bag");
static tidemill_list list = TIDEMILL_LIST("list");
static tidemill_timer due = TIDEMILL_EVENT_TIMER("due"), later = TIDEMILL_PROCESSING_TIMER("later");
static tidemill_counter done = TIDEMILL_COUNTER("done");
static tidemill_gauge level = TIDEMILL_GAUGE("level");
static tidemill_histogram sizes = TIDEMILL_HISTOGRAM("sizes");
static tidemill_output out = TIDEMILL_OUTPUT("out");

static tidemill_status say(const tidemill_event *e, const tidemill_buffer *what) { return tidemill_emit(&out, e->key, tidemill_bytes_of(what)); }

static tidemill_status one_entry(void *text, tidemill_slice sub_key, tidemill_slice value, bool *stop) {
    (void)stop;
    tidemill_append_format(text, "%lld=%.*s ", (long long)tidemill_sub_key_to_i64(sub_key), (int)value.len, (const char *)value.data);
    return TIDEMILL_OK;
}

static tidemill_status first_entry(void *text, tidemill_slice sub_key, tidemill_slice value, bool *stop) {
    *stop = true;
    return one_entry(text, sub_key, value, stop);
}

// Takes an entry away and puts one that is not visited.
static tidemill_status move_entry(void *text, tidemill_slice sub_key, tidemill_slice value, bool *stop) {
    TIDEMILL_TRY(tidemill_map_delete(&bag, sub_key));
    TIDEMILL_TRY(tidemill_map_put(&bag, tidemill_sub_key_i64(tidemill_sub_key_to_i64(sub_key) + 1000), value));
    return one_entry(text, sub_key, value, stop);
}

static tidemill_status one_value(void *text, tidemill_slice value, bool *stop) {
    (void)stop;
    tidemill_append_format(text, "%.*s ", (int)value.len, (const char *)value.data);
    return TIDEMILL_OK;
}

static tidemill_status command(const tidemill_event *e, tidemill_slice name, tidemill_slice arg) {
#define IS(text) tidemill_equal(name, tidemill_text(text))
    int64_t n = 0;
    tidemill_json_i64(arg, &n);
    uint64_t count;
    bool there;
    tidemill_slice value, from = tidemill_sub_key_i64(n), to = tidemill_sub_key_i64(n + 10);
    tidemill_buffer text = {0};
    if (IS("add")) {
        TIDEMILL_TRY(tidemill_value_get_u64(&number, &count, NULL));
        return tidemill_value_set_u64(&number, count + (uint64_t)n);
    }
    if (IS("number")) {
        TIDEMILL_TRY(tidemill_value_get_u64(&number, &count, &there));
        tidemill_append_format(&text, "%" PRIu64 " %s", count, there ? "true" : "false");
        return say(e, &text);
    }
    if (IS("forget"))
        return tidemill_value_clear(&number);
    if (IS("spoil"))
        return tidemill_value_set(&number, tidemill_text("xyz"));
    if (IS("put")) {
        tidemill_append_format(&text, "v%lld", (long long)n);
        return tidemill_map_put(&bag, from, tidemill_bytes_of(&text));
    }
    if (IS("get")) {
        TIDEMILL_TRY(tidemill_map_get(&bag, from, &value));
        tidemill_append(&text, value.data ? value : tidemill_text("-"));
        return say(e, &text);
    }
    if (IS("drop"))
        return tidemill_map_delete(&bag, from);
    if (IS("empty"))
        return tidemill_map_clear(&bag);
    if (IS("entries") || IS("from") || IS("first") || IS("move")) {
        bool all = !IS("from");
        tidemill_each_entry each = IS("first") ? first_entry : IS("move") ? move_entry : one_entry;
        TIDEMILL_TRY(tidemill_map_each(&bag, all ? tidemill_absent() : from, all ? tidemill_absent() : to, each, &text));
        return say(e, &text);
    }
    if (IS("push"))
        return tidemill_list_push(&list, arg);
    if (IS("list")) {
        TIDEMILL_TRY(tidemill_list_each(&list, one_value, &text));
        return say(e, &text);
    }
    if (IS("clear"))
        return tidemill_list_clear(&list);
    if (IS("timer"))
        return tidemill_timer_register(&due, n);
    if (IS("cancel"))
        return tidemill_timer_cancel(&due, n);
    if (IS("in"))
        return tidemill_timer_register(&later, tidemill_now() + n);
    if (IS("level")) {
        tidemill_gauge_set(&level, (double)n);
        tidemill_histogram_observe(&sizes, (double)n);
        return TIDEMILL_OK;
    }
    if (IS("header"))
        return tidemill_emit_with_headers(&out, e->timestamp, tidemill_absent(), tidemill_absent(), &(tidemill_header){tidemill_text("a"), arg}, 1);
    if (IS("forward"))
        return tidemill_forward(&out, e);
    if (IS("hold")) { // what was got stays valid while the event is handled, whatever is got and written then
        tidemill_slice first, next;
        TIDEMILL_TRY(tidemill_map_get(&bag, from, &first));
        for (int64_t i = 0; i < 3000; i++) {
            TIDEMILL_TRY(tidemill_map_get(&bag, tidemill_sub_key_i64(n + i), &next));
            TIDEMILL_TRY(tidemill_map_put(&bag, tidemill_sub_key_i64(n + i), tidemill_text("one more, and long enough to fill many blocks of memory")));
        }
        return tidemill_emit(&out, e->key, first);
    }
    if (IS("log")) {
        tidemill_log(TIDEMILL_WARN, "a line about %.*s", (int)arg.len, (const char *)arg.data);
        return TIDEMILL_OK;
    }
    if (IS("retry"))
        return n ? tidemill_retry_after((uint32_t)n) : tidemill_retry();
    if (IS("fatal"))
        return tidemill_fatal("broken at %lld", (long long)n);
    if (IS("!"))
        return tidemill_reject("refused");
    return TIDEMILL_OK;
}

static tidemill_status process(const tidemill_event *e) {
    tidemill_counter_add(&done, 1);
    if (!e->value.data)
        return tidemill_reject("no value");
    for (size_t at = 0; at < e->value.len;) {
        size_t end = at;
        while (end < e->value.len && e->value.data[end] != ' ')
            end++;
        size_t colon = at;
        while (colon < end && e->value.data[colon] != ':')
            colon++;
        tidemill_slice arg = colon < end ? tidemill_bytes(e->value.data + colon + 1, end - colon - 1) : tidemill_text("");
        TIDEMILL_TRY(command(e, tidemill_bytes(e->value.data + at, colon - at), arg));
        at = end + 1;
    }
    return TIDEMILL_OK;
}

static tidemill_status on_timer(const tidemill_fired *t) {
    if (t->timer == &due && t->time == 13)
        return tidemill_reject("unlucky");
    return tidemill_emit(&out, t->key, tidemill_text(t->timer->handle.name));
}

static tidemill_status on_watermark(int64_t watermark) {
    return watermark == TIDEMILL_END_OF_INPUT ? TIDEMILL_OK : tidemill_emit_at(&out, watermark, tidemill_absent(), tidemill_text("watermark"));
}

static const tidemill_processor script = {
    .name = "script",
    .version = "1.2.3",
    .handles = TIDEMILL_HANDLES(&number.handle, &bag.handle, &list.handle, &due.handle, &later.handle, &done.handle, &level.handle, &sizes.handle, &out.handle),
    .process = process,
    .on_timer = on_timer,
    .on_watermark = on_watermark,
};

static inline tidemill_record k(const char *value) { return tidemill_test_event("k", value, 0); }
