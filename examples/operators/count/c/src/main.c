// How often each key came: emits the count so far, as decimal text, for every event. Its Rust twin lies beside it.

#include "tidemill.h"

static tidemill_value seen = TIDEMILL_VALUE("seen");
static tidemill_output counts = TIDEMILL_OUTPUT("counts");

static tidemill_status process(const tidemill_event *event) {
    uint64_t n;
    TIDEMILL_TRY(tidemill_value_get_u64(&seen, &n, NULL));
    TIDEMILL_TRY(tidemill_value_set_u64(&seen, ++n));
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return tidemill_emit(&counts, event->key, tidemill_bytes(digits + at, sizeof digits - at));
}

const tidemill_processor count = {
    .name = "count",
    .handles = TIDEMILL_HANDLES(&seen.handle, &counts.handle),
    .process = process,
};

TIDEMILL_PROCESSOR(count)
