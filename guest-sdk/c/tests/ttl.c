// Time to live: how it is declared, and how entries age on both clocks under the native harness as under the real host.

#include "../tidemill_test.h"

static tidemill_value brief = TIDEMILL_VALUE("brief", .ttl = {.ms = 100}), kept = TIDEMILL_VALUE("kept");
static tidemill_map fresh = TIDEMILL_MAP("fresh", .ttl = {.ms = 100, .clock = TIDEMILL_CLOCK_EVENT, .refresh = TIDEMILL_REFRESH_READ_AND_WRITE});
static tidemill_list recent = TIDEMILL_LIST("recent", .ttl = {100, TIDEMILL_CLOCK_EVENT});
static tidemill_output out = TIDEMILL_OUTPUT("out");

static tidemill_status one_value(void *text, tidemill_slice value, bool *stop) {
    (void)stop;
    tidemill_append_format(text, " %.*s", (int)value.len, (const char *)value.data);
    return TIDEMILL_OK;
}

static tidemill_status more(tidemill_value *state, uint64_t *n) {
    TIDEMILL_TRY(tidemill_value_get_u64(state, n, NULL));
    return tidemill_value_set_u64(state, ++*n);
}

// Notes the event's value in each state, and emits what it finds. `?` and a sub-key reads it.
static tidemill_status process(const tidemill_event *e) {
    tidemill_buffer text = {0};
    tidemill_slice found;
    uint64_t n;
    if (e->value.data[0] == '?') {
        TIDEMILL_TRY(tidemill_map_get(&fresh, tidemill_bytes(e->value.data + 1, e->value.len - 1), &found));
        return tidemill_emit(&out, e->key, tidemill_text(found.data ? "there" : "-"));
    }
    TIDEMILL_TRY(more(&kept, &n));
    TIDEMILL_TRY(tidemill_map_put(&fresh, e->value, tidemill_text("")));
    TIDEMILL_TRY(tidemill_list_push(&recent, e->value));
    TIDEMILL_TRY(more(&brief, &n));
    tidemill_append_format(&text, "%" PRIu64, n);
    TIDEMILL_TRY(tidemill_list_each(&recent, one_value, &text));
    return tidemill_emit(&out, e->key, tidemill_bytes_of(&text));
}

static const tidemill_processor aging = {
    .name = "aging",
    .handles = TIDEMILL_HANDLES(&brief.handle, &kept.handle, &fresh.handle, &recent.handle, &out.handle),
    .process = process,
};

static bool says(const char *value, int64_t time, const char *wanted) {
    TIDEMILL_SEND(tidemill_test_event("k", value, time));
    return TIDEMILL_EXPECT("out", tidemill_test_event("k", wanted, time));
}

static void a_state_says_how_long_its_entries_last(void) {
    tidemill_test_open(&aging, "{}");
    TIDEMILL_CHECK(tidemill_equal(tidemill_test_describe(), tidemill_text(
        "{\"descriptor\":1,\"name\":\"aging\",\"version\":\"\",\"inputs\":[{\"name\":\"events\"}],\"outputs\":[{\"name\":\"out\"}],\"states\":["
        "{\"name\":\"brief\",\"kind\":\"value\",\"ttl\":{\"ms\":100,\"clock\":\"processing-time\",\"refresh\":\"write\"}},"
        "{\"name\":\"kept\",\"kind\":\"value\"},"
        "{\"name\":\"fresh\",\"kind\":\"map\",\"ttl\":{\"ms\":100,\"clock\":\"event-time\",\"refresh\":\"read-and-write\"}},"
        "{\"name\":\"recent\",\"kind\":\"list\",\"ttl\":{\"ms\":100,\"clock\":\"event-time\",\"refresh\":\"write\"}}],"
        "\"timers\":[],\"metrics\":[],\"wants\":{\"watermarks\":false}}")));
}

static void entries_age_on_the_clock_and_in_event_time(void) {
    tidemill_test_open(&aging, "{}");
    TIDEMILL_CHECK(tidemill_test_clock(1000) == TIDEMILL_OK && says("a", 5000, "1 a"));
    TIDEMILL_CHECK(tidemill_test_clock(1099) == TIDEMILL_OK && tidemill_test_replace_instance() == TIDEMILL_OK);
    TIDEMILL_CHECK(says("b", 5050, "2 a b")); // a millisecond before it is over
    TIDEMILL_CHECK(tidemill_test_clock(1199) == TIDEMILL_OK && tidemill_test_state_entries("brief") == 0);
    TIDEMILL_CHECK(tidemill_test_watermark(5099) == TIDEMILL_OK && says("?a", 0, "there")); // a read counts from the watermark
    TIDEMILL_CHECK(tidemill_test_watermark(5150) == TIDEMILL_OK && says("?b", 0, "-") && says("?a", 0, "there"));
    TIDEMILL_CHECK(says("c", 5160, "1 c"));
    TIDEMILL_CHECK(tidemill_test_watermark(6000) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_state_entries("fresh") == 0 && tidemill_test_state_entries("recent") == 0);
    TIDEMILL_CHECK(tidemill_test_state_entries("kept") == 1 && tidemill_test_timers() == 0);
}

int main(void) {
    a_state_says_how_long_its_entries_last();
    entries_age_on_the_clock_and_in_event_time();
    return tidemill_test_failures();
}
