// State, timers and ports: what a call reads and writes, and what a refused event leaves behind.

#include "script.h"
#include <stdio.h>

static void values_are_read_and_written_once_per_call(void) {
    tidemill_test_open(&script, "{}");
    static tidemill_record events[1002];
    static char keys[10][2];
    for (int i = 0; i < 1000; i++) {
        keys[i % 10][0] = (char)('0' + i % 10);
        events[i] = tidemill_test_event(keys[i % 10], "add:1", 0);
    }
    events[1000] = tidemill_test_event("7", "number", 0);
    events[1001] = tidemill_test_event("fresh", "number", 0);
    TIDEMILL_CHECK(tidemill_test_send(0, events, 1002) == TIDEMILL_OK);
    TIDEMILL_EXPECT("out", tidemill_test_event("7", "100 true", 0), tidemill_test_event("fresh", "0 false", 0));
    tidemill_test_calls calls = tidemill_test_called();
    TIDEMILL_CHECK(calls.get == 1 && calls.put == 1 && calls.emit == 1);
    TIDEMILL_CHECK(tidemill_test_replace_instance() == TIDEMILL_OK);
    TIDEMILL_SEND(tidemill_test_event("7", "add:1 number forget number", 0));
    TIDEMILL_EXPECT("out", tidemill_test_event("7", "101 true", 0), tidemill_test_event("7", "0 false", 0));
    TIDEMILL_CHECK(tidemill_test_state_entries("number") == 9);
}

static void a_refused_event_leaves_nothing(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_SEND(k("add:1 put:1 put:2 push:a timer:50 level:3"));
    tidemill_test_calls before = tidemill_test_called();
    TIDEMILL_SEND(k("add:5 drop:1 put:3 empty put:9 push:b clear push:c timer:60 cancel:50 level:8 header:x list !"), k("number entries list get:9"));
    TIDEMILL_EXPECT("out", k("1 true"), k("1=v1 2=v2 "), k("a "), k("-"));
    tidemill_test_calls after = tidemill_test_called();
    TIDEMILL_CHECK(after.put == before.put && after.append == before.append && after.clear == before.clear && after.timers == before.timers);
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 1 && tidemill_equal(dead[0].reason, tidemill_text("refused")) && tidemill_equal(dead[0].record.key, tidemill_text("k")));
    TIDEMILL_CHECK(tidemill_test_metric("done") == 2 && tidemill_test_metric("level") == 3 && tidemill_test_metric("sizes") == 3);
    TIDEMILL_CHECK(tidemill_test_timers() == 1);
}

static void scans_merge_what_is_stored_with_what_is_written(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_SEND(k("put:-5 put:1 put:3 put:5 put:7 put:9 put:300"));
    TIDEMILL_SEND(k("drop:3 put:4 put:400 put:-7 entries"), k("from:4 first"));
    TIDEMILL_EXPECT("out", k("-7=v-7 -5=v-5 1=v1 4=v4 5=v5 7=v7 9=v9 300=v300 400=v400 "), k("4=v4 5=v5 7=v7 9=v9 "), k("-7=v-7 "));
    TIDEMILL_SEND(k("empty put:2 entries get:5"), k("get:2"));
    TIDEMILL_EXPECT("out", k("2=v2 "), k("-"), k("v2"));
    TIDEMILL_SEND(k("put:6 entries"));
    TIDEMILL_EXPECT("out", k("2=v2 6=v6 "));
    TIDEMILL_SEND(k("put:8 move entries"));
    TIDEMILL_EXPECT("out", k("2=v2 6=v6 8=v8 "), k("1002=v2 1006=v6 1008=v8 "));
}

static void many_entries_and_much_overwriting(void) {
    tidemill_test_open(&script, "{}");
    static char line[80000];
    size_t len = 0;
    for (int i = 4999; i >= 0; i--)
        len += (size_t)snprintf(line + len, sizeof line - len, "put:%d ", i);
    TIDEMILL_SEND(k(line), k("get:42 get:5000 first get:4999"));
    TIDEMILL_EXPECT("out", k("v42"), k("-"), k("0=v0 "), k("v4999"));
    TIDEMILL_CHECK(tidemill_test_state_entries("bag") == 5000);
    TIDEMILL_SEND(k("hold:42 !"), k("hold:42"), k("get:42"));
    TIDEMILL_EXPECT("out", k("v42"), k("one more, and long enough to fill many blocks of memory"));
    static tidemill_record events[60000];
    for (int i = 0; i < 60000; i++)
        events[i] = tidemill_test_event("k", i == 59999 ? "add:1 number" : "add:1", 0);
    TIDEMILL_CHECK(tidemill_test_send(0, events, 60000) == TIDEMILL_OK); // more than the cache keeps untidied
    TIDEMILL_EXPECT("out", k("60000 true"));
}

static void lists_keep_the_order_of_appends(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_SEND(k("push:a push:b push:c push:d push:e"));
    TIDEMILL_SEND(k("list push:f"), k("list"), tidemill_test_event("j", "push:x list", 0));
    TIDEMILL_EXPECT("out", k("a b c d e "), k("a b c d e f "), tidemill_test_event("j", "x ", 0));
    TIDEMILL_SEND(k("clear push:g list"), k("push:h clear push:i !"), k("list"));
    TIDEMILL_EXPECT("out", k("g "), k("g "));
    TIDEMILL_SEND(k("list"));
    TIDEMILL_EXPECT("out", k("g "));
}

static void timers_fire_once_per_key_and_time(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_SEND(k("timer:10 timer:10 timer:13 timer:20 cancel:20"), k("in:5"), tidemill_test_event("j", "timer:10", 0));
    TIDEMILL_CHECK(tidemill_test_watermark(30) == TIDEMILL_OK);
    TIDEMILL_CHECK(tidemill_test_clock(4) == TIDEMILL_OK);
    TIDEMILL_EXPECT("out", tidemill_test_event("j", "due", 10), tidemill_test_event("k", "due", 10), tidemill_test_event(NULL, "watermark", 30));
    TIDEMILL_CHECK(tidemill_test_clock(5) == TIDEMILL_OK);
    TIDEMILL_EXPECT("out", tidemill_test_event("k", "later", 5));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 1 && dead[0].record.time == 13 && tidemill_equal(dead[0].reason, tidemill_text("unlucky")));
}

static void headers_and_absent_columns_go_through(void) {
    tidemill_test_open(&script, "{}");
    const tidemill_header two[] = {{tidemill_text("a"), tidemill_text("1")}, {tidemill_text("a"), tidemill_text("")}};
    const tidemill_header one = {tidemill_text("a"), tidemill_text("x")};
    tidemill_record with = k("forward"), made = tidemill_test_event(NULL, NULL, 7);
    with.headers = two, with.header_count = 2;
    made.headers = &one, made.header_count = 1;
    TIDEMILL_SEND(k("number"), tidemill_test_event("k", "header:x", 7), with);
    TIDEMILL_EXPECT("out", k("0 false"), made, with);
    TIDEMILL_SEND(tidemill_test_event(NULL, "number", 0), tidemill_test_event("", "number", 0), tidemill_test_event("k", NULL, 0));
    TIDEMILL_EXPECT("out", tidemill_test_event("", "0 false", 0));
    size_t n;
    const tidemill_dead_letter *dead = tidemill_test_dead_letters(&n);
    TIDEMILL_CHECK(n == 2 && tidemill_equal(dead[0].reason, tidemill_text("number: the event has no key; give the source or the upstream operator one")));
}

static void failures_drop_the_call(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_SEND(k("add:1"));
    tidemill_record events[] = {k("add:1 header:x"), k("add:1 push:a timer:3 log:tides retry:250")};
    TIDEMILL_CHECK(tidemill_test_send(0, events, 2) == TIDEMILL_RETRY && tidemill_test_retry_after() == 250);
    size_t n;
    const tidemill_slice *lines = tidemill_test_log(&n);
    TIDEMILL_CHECK(n == 1 && tidemill_equal(lines[0], tidemill_text("a line about tides")));
    events[1] = k("add:1 empty fatal:7");
    TIDEMILL_CHECK(tidemill_test_send(0, events, 2) == TIDEMILL_FATAL);
    TIDEMILL_CHECK(tidemill_equal(tidemill_test_reason(), tidemill_text("broken at 7")));
    TIDEMILL_SEND(k("number"));
    TIDEMILL_EXPECT("out", k("1 true"));
    TIDEMILL_CHECK(tidemill_test_timers() == 0 && tidemill_test_metric("done") == 2);
    TIDEMILL_SEND(k("spoil"));
    events[0] = k("number");
    TIDEMILL_CHECK(tidemill_test_send(0, events, 1) == TIDEMILL_FATAL && memcmp(tidemill_test_reason().data, "state `number`: what is stored has 3 bytes, not 8", 49) == 0);
}

static void much_output_is_emitted_in_pieces(void) {
    tidemill_test_open(&script, "{}");
    static char line[10000];
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "forward ", 8);
    tidemill_record events[100];
    for (int i = 0; i < 100; i++)
        events[i] = k(line);
    TIDEMILL_CHECK(tidemill_test_send(0, events, 100) == TIDEMILL_OK);
    size_t n;
    tidemill_test_output("out", &n);
    TIDEMILL_CHECK(n == 100 && tidemill_test_called().emit >= 3);
}

static void the_handles_are_the_declaration(void) {
    tidemill_test_open(&script, "{}");
    TIDEMILL_CHECK(tidemill_equal(tidemill_test_describe(), tidemill_text(
        "{\"descriptor\":1,\"name\":\"script\",\"version\":\"1.2.3\",\"inputs\":[{\"name\":\"events\"}],\"outputs\":[{\"name\":\"out\"}],"
        "\"states\":[{\"name\":\"number\",\"kind\":\"value\"},{\"name\":\"bag\",\"kind\":\"map\"},{\"name\":\"list\",\"kind\":\"list\"}],"
        "\"timers\":[{\"name\":\"due\"},{\"name\":\"later\"}],\"metrics\":[{\"name\":\"done\",\"kind\":\"counter\"},"
        "{\"name\":\"level\",\"kind\":\"gauge\"},{\"name\":\"sizes\",\"kind\":\"histogram\"}],\"wants\":{\"watermarks\":true}}")));
}

int main(void) {
    values_are_read_and_written_once_per_call();
    a_refused_event_leaves_nothing();
    scans_merge_what_is_stored_with_what_is_written();
    many_entries_and_much_overwriting();
    lists_keep_the_order_of_appends();
    timers_fire_once_per_key_and_time();
    headers_and_absent_columns_go_through();
    failures_drop_the_call();
    much_output_is_emitted_in_pieces();
    the_handles_are_the_declaration();
    return tidemill_test_failures();
}
