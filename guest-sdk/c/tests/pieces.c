// Text, JSON and messages against what is written down, batches, and window aggregates with accumulators of any length.

#include "../tidemill_test.h"
#include <stdio.h>

static void formats(void) {
    tidemill_buffer b = {0};
    tidemill_append_format(&b, "%s|%.*s|%c|%d|%u|%lld|%llu|%zu|%x|%%|", "text", 2, "cut", 'c', -5, 5u, (long long)INT64_MIN, (unsigned long long)UINT64_MAX, (size_t)7, 255u);
    TIDEMILL_CHECK(tidemill_equal(tidemill_bytes_of(&b), tidemill_text("text|cu|c|-5|5|-9223372036854775808|18446744073709551615|7|ff|%|")));
}

static void doubles(void) {
    static const struct {
        double number;
        const char *text;
    } written[] = {{10, "10.0"}, {-0.5, "-0.5"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"}, {14.29666818804199, "14.29666818804199"}, {1e300, "1e+300"}, {0, "0.0"}, {5e-324, "4.94065645841247e-324"}};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        tidemill_buffer b = {0};
        tidemill_append_double(&b, written[i].number);
        TIDEMILL_CHECK(tidemill_equal(tidemill_bytes_of(&b), tidemill_text(written[i].text)));
    }
}

static void utf8(void) {
    const char *good[] = {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x8a", "\xf4\x8f\xbf\xbf"};
    const char *bad[] = {"\xff", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x8c"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        tidemill_slice text = tidemill_text(good[i]);
        tidemill_buffer again = {0};
        uint32_t c;
        for (size_t at = 0; tidemill_next_char(text, &at, &c);)
            tidemill_append_char(&again, c);
        TIDEMILL_CHECK(tidemill_is_utf8(text) && tidemill_equal(tidemill_bytes_of(&again), text));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        TIDEMILL_CHECK(!tidemill_is_utf8(tidemill_text(bad[i])));
}

static void json(void) {
    tidemill_slice object = tidemill_text(" {\"a\": [1, {\"b\": null}], \"n\" :-12, \"s\":\"x\\u00e9\\ud83c\\udf0a\\n\\\"\", \"\": true, \"f\": 1.5e3 } ");
    int64_t n;
    tidemill_buffer text = {0}, written = {0};
    TIDEMILL_CHECK(tidemill_json_valid(object));
    TIDEMILL_CHECK(tidemill_json_i64(tidemill_json_member(object, "n"), &n) && n == -12);
    TIDEMILL_CHECK(tidemill_equal(tidemill_json_member(object, "a"), tidemill_text("[1, {\"b\": null}]")));
    TIDEMILL_CHECK(tidemill_json_string(tidemill_json_member(object, "s"), &text) && tidemill_equal(tidemill_bytes_of(&text), tidemill_text("x\xc3\xa9\xf0\x9f\x8c\x8a\n\"")));
    tidemill_append_json(&written, tidemill_bytes("a\"\\\n\x1f\xc3\xa9", 7));
    TIDEMILL_CHECK(tidemill_equal(tidemill_bytes_of(&written), tidemill_text("\"a\\\"\\\\\\u000a\\u001f\xc3\xa9\"")));
    TIDEMILL_CHECK(!tidemill_json_member(object, "b").data && !tidemill_json_i64(tidemill_json_member(object, "f"), &n));
    const char *bad[] = {"", "{", "{\"a\"}", "{\"a\":}", "[1,]", "01", "1.", "-", "\"\\x\"", "\"\\ud800\"", "nul", "{} x", "\"\n\""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        TIDEMILL_CHECK(!tidemill_json_valid(tidemill_text(bad[i])));
    char deep[200];
    memset(deep, '[', sizeof deep);
    TIDEMILL_CHECK(!tidemill_json_valid(tidemill_bytes(deep, sizeof deep)));
    TIDEMILL_CHECK(tidemill_json_i64(tidemill_text("-9223372036854775808"), &n) && n == INT64_MIN);
    const char *no_numbers[] = {"9223372036854775808", "-9223372036854775809", "1.0", "", "-", "00", "1x"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
        TIDEMILL_CHECK(!tidemill_json_i64(tidemill_text(no_numbers[i]), &n));
}

// ---- A processor that works on batches, with two inputs

static tidemill_output whole = TIDEMILL_OUTPUT("whole");

static tidemill_status each(const tidemill_event *e) {
    return e->value.len ? tidemill_forward(&whole, e) : tidemill_reject("empty");
}

static tidemill_status process_batch(const tidemill_batch *batch) {
    if (tidemill_batch_len(batch) > 2)
        return tidemill_reject("a batch cannot be refused");
    return tidemill_batch_input(batch) == 1 ? tidemill_forward_batch(&whole, batch) : tidemill_batch_each(batch, each);
}

static tidemill_status last_words(void) { return tidemill_emit_at(&whole, 9, tidemill_absent(), tidemill_text("closed")); }

static const tidemill_processor batches = {
    .name = "batches",
    .inputs = (const char *const[]){"orders", "payments", NULL},
    .handles = TIDEMILL_HANDLES(&whole.handle),
    .process_batch = process_batch,
    .close = last_words,
    .config_schema = "{\"type\":\"object\"}",
};

static void whole_batches(void) {
    tidemill_test_open(&batches, "{}");
    TIDEMILL_CHECK(tidemill_equal(tidemill_test_describe(), tidemill_text(
        "{\"descriptor\":1,\"name\":\"batches\",\"version\":\"\",\"inputs\":[{\"name\":\"orders\"},{\"name\":\"payments\"}],\"outputs\":[{\"name\":\"whole\"}],"
        "\"states\":[],\"timers\":[],\"metrics\":[],\"wants\":{\"watermarks\":false},\"config\":{\"type\":\"object\"}}")));
    TIDEMILL_SEND(tidemill_test_event("a", "x", 1), tidemill_test_event("a", "", 2));
    TIDEMILL_CHECK(tidemill_test_send(1, TIDEMILL_RECORDS(tidemill_test_event("b", "", 3), tidemill_test_event(NULL, NULL, 4))) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_end() == TIDEMILL_OK);
    TIDEMILL_EXPECT("whole", tidemill_test_event("a", "x", 1), tidemill_test_event("b", "", 3), tidemill_test_event(NULL, NULL, 4), tidemill_test_event(NULL, "closed", 9));
    tidemill_record three[3] = {{{NULL, 0}, {NULL, 0}, 0, NULL, 0}};
    TIDEMILL_CHECK(tidemill_test_send(0, three, 3) == TIDEMILL_FATAL);
}

// ---- A window aggregate whose accumulator is text

static tidemill_counter letters = TIDEMILL_COUNTER("letters");

static tidemill_status add(void *accumulator, const tidemill_event *e) {
    tidemill_append(accumulator, e->value);
    tidemill_counter_add(&letters, e->value.len);
    return e->value.len > 2 ? tidemill_reject("longer than 2") : TIDEMILL_OK;
}

static tidemill_status merge(void *accumulator, const void *later) {
    tidemill_append(accumulator, tidemill_text("+"));
    tidemill_append(accumulator, tidemill_bytes_of(later));
    return TIDEMILL_OK;
}

static tidemill_status finish(const tidemill_window *w, const void *accumulator, tidemill_rows *rows) {
    tidemill_buffer text = {0};
    tidemill_append_format(&text, "%u-%u #%u", (unsigned)w->start, (unsigned)w->end, w->firing);
    tidemill_row(rows, tidemill_bytes_of(accumulator), tidemill_bytes_of(&text));
    tidemill_row(rows, tidemill_absent(), tidemill_bytes_of(accumulator));
    return TIDEMILL_OK;
}

static const tidemill_aggregator texts = {.name = "texts", .handles = TIDEMILL_HANDLES(&letters.handle), .add = add, .merge = merge, .finish = finish};

static void aggregates(void) {
    tidemill_test_open_aggregator(&texts, "{}");
    TIDEMILL_ADD(0, 5, tidemill_test_event("k", "ab", 0), tidemill_test_event("k", "cde", 0), tidemill_test_event("k", "f", 0), tidemill_test_event("j", "xyz", 0));
    TIDEMILL_CHECK(tidemill_test_replace_instance() == TIDEMILL_OK);
    TIDEMILL_ADD(5, 9, tidemill_test_event("k", "g", 0));
    TIDEMILL_CHECK(tidemill_test_merge(0, 5, 5, 9) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_finish(0, 9) == TIDEMILL_OK && tidemill_test_finish(5, 9) == TIDEMILL_OK);
    TIDEMILL_EXPECT("rows", tidemill_test_event("", "0-9 #0", 8), tidemill_test_event("j", "", 8), tidemill_test_event("abf+g", "0-9 #0", 8),
                    tidemill_test_event("k", "abf+g", 8), tidemill_test_event("g", "5-9 #0", 8), tidemill_test_event("k", "g", 8));
    size_t n;
    tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 2 && tidemill_test_metric("letters") == 4);
}

int main(void) {
    formats();
    doubles();
    utf8();
    json();
    whole_batches();
    aggregates();
    return tidemill_test_failures();
}
