// Runs an operator natively, without Wasm: the same code and the same rules over a host in memory. One operator at a time;
// its static variables are those of one instance, so that what replacing an instance would lose is not lost here.
//
//     tidemill_test_open(&count, "{}");
//     TIDEMILL_SEND(tidemill_test_event("a", "x", 0), tidemill_test_event("a", "y", 5));
//     TIDEMILL_EXPECT("counts", tidemill_test_event("a", "1", 0), tidemill_test_event("a", "2", 5));
//     return tidemill_test_failures();
//
// What the real host would answer with a trap ends the program here, with its reason.
#ifndef TIDEMILL_TEST_H
#define TIDEMILL_TEST_H

#include "tidemill.h"

// An event: what a test sends, and what it gets.
typedef struct {
    tidemill_slice key, value;
    int64_t time;
    const tidemill_header *headers;
    size_t header_count;
} tidemill_record;

// An event (or timer, without a value) that was refused.
typedef struct {
    tidemill_record record;
    tidemill_slice reason;
} tidemill_dead_letter;

// NULL = absent.
tidemill_record tidemill_test_event(const char *key, const char *value, int64_t time);

// Opens an operator with this `config`, as JSON, over an empty host.
tidemill_status tidemill_test_open(const tidemill_processor *operator_, const char *config);
// Opens it anew, as the host may between any two calls: state and timers stay.
tidemill_status tidemill_test_replace_instance(void);
// One call with these events on an input. Timers that are due by then fire after it. What it returns is what the host gets;
// unless it is TIDEMILL_OK, every effect is dropped.
tidemill_status tidemill_test_send(uint32_t input, const tidemill_record *events, size_t count);
// Moves the watermark: fires the event-time timers that it makes due, then tells the operator if it wants that.
tidemill_status tidemill_test_watermark(int64_t time);
// Moves the clock: fires the processing-time timers that are due.
tidemill_status tidemill_test_clock(int64_t now);
// Ends the input: the last watermark, then close.
tidemill_status tidemill_test_end(void);
// Why the last call failed.
tidemill_slice tidemill_test_reason(void);
// How long a retry is to wait; UINT32_MAX = as the host sees fit.
uint32_t tidemill_test_retry_after(void);

// Opens a window aggregate. Each key of a window has its accumulator.
tidemill_status tidemill_test_open_aggregator(const tidemill_aggregator *aggregator, const char *config);
// One call that folds events into a window.
tidemill_status tidemill_test_add(int64_t start, int64_t end, const tidemill_record *events, size_t count);
// Makes two windows, in time order, one: [start of the first, end of the second).
tidemill_status tidemill_test_merge(int64_t start, int64_t end, int64_t later_start, int64_t later_end);
// Has a window give its rows, in order of its keys, to port `rows`: at the last time in the window.
tidemill_status tidemill_test_finish(int64_t start, int64_t end);

// Takes what came out of a port since last asked.
const tidemill_record *tidemill_test_output(const char *port, size_t *count);
// Takes what was refused since last asked.
const tidemill_dead_letter *tidemill_test_dead_letters(size_t *count);
// Takes the lines logged since last asked.
const tidemill_slice *tidemill_test_log(size_t *count);
// A counter's sum, a gauge's value, a histogram's sum; 0 before it was used.
double tidemill_test_metric(const char *name);
size_t tidemill_test_timers(void);
// How many entries a state holds over all keys.
size_t tidemill_test_state_entries(const char *name);
// What `describe` gives the host.
tidemill_slice tidemill_test_describe(void);

// How often the operator called the host.
typedef struct {
    size_t get, put, append, clear, scan, emit, timers;
} tidemill_test_calls;
tidemill_test_calls tidemill_test_called(void);

bool tidemill_test_check(bool holds, const char *what, const char *file, int line);
bool tidemill_test_expect(const char *port, const tidemill_record *wanted, size_t count, const char *file, int line);
// How many checks failed: what main returns.
int tidemill_test_failures(void);

#define TIDEMILL_CHECK(condition) tidemill_test_check((condition), #condition, __FILE__, __LINE__)
#define TIDEMILL_RECORDS(...) (const tidemill_record[]){__VA_ARGS__}, sizeof((tidemill_record[]){__VA_ARGS__}) / sizeof(tidemill_record)
// Sends events on the first input; the call must succeed.
#define TIDEMILL_SEND(...) TIDEMILL_CHECK(tidemill_test_send(0, TIDEMILL_RECORDS(__VA_ARGS__)) == TIDEMILL_OK)
#define TIDEMILL_ADD(start, end, ...) TIDEMILL_CHECK(tidemill_test_add(start, end, TIDEMILL_RECORDS(__VA_ARGS__)) == TIDEMILL_OK)
// Exactly these events came out of a port since last asked.
#define TIDEMILL_EXPECT(port, ...) tidemill_test_expect(port, TIDEMILL_RECORDS(__VA_ARGS__), __FILE__, __LINE__)
#define TIDEMILL_EXPECT_NOTHING(port) tidemill_test_expect(port, NULL, 0, __FILE__, __LINE__)

#endif
