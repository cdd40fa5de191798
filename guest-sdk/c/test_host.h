// The host in memory: what test_host.c keeps, and tidemill_test.c drives.
#ifndef TIDEMILL_TEST_HOST_H
#define TIDEMILL_TEST_HOST_H

#include "internal.h"
#include "tidemill_test.h"

typedef struct {
    uint32_t state;
    tidemill_slice key, sub_key, value; // sub_key: empty for values, a growing number for lists
    int64_t stamp;                      // says when it is over, where the state has a time to live
} test_entry;

typedef struct {
    uint32_t domain, timer;
    int64_t time;
    tidemill_slice key;
} test_timer;

typedef struct {
    uint32_t port;
    tidemill_record record;
} test_output;

enum { TEST_METRICS = 64 };

// Everything that a failed call leaves as it was. What slices point to is never changed or freed.
typedef struct {
    tm_array entries, timers, output; // sorted, sorted, in order
    double metrics[TEST_METRICS];
    uint64_t appended;
} test_contents;

extern struct test_state {
    test_contents now, before;
    tidemill_handle *const *handles;
    tidemill_test_calls calls;
    int64_t clock, watermark;
    const tidemill_record *about; // the events or timers of the call
    size_t about_count;
    tm_array log; // tidemill_slice
} test_host;

tidemill_slice test_keep(tidemill_slice bytes); // a copy that stays
_Noreturn void test_trap(const char *why);
// A call begins about these events or timers, which stay until it ends.
void test_begin(int64_t watermark, const tidemill_record *about, size_t count);
// Frees what has outlived its time: at once, not somewhat later as the real host.
void test_free_what_is_over(void);
void test_roll_back(void);
// Adds records to a batch's columns, and takes them from columns.
void test_emitted(uint32_t port, const tm_events *events);
// Takes a batch of due timers off: earliest first, one clock, one timer, at most one per key. Gives how many.
size_t test_take_due(int64_t watermark, tm_columns *keys, tm_array *times, uint32_t *domain, uint32_t *timer);

#endif
