// {{name}}: gives out each value that is longer than all before it of the same key.

#include "tidemill.h"

// What it keeps, and where it emits.
static tidemill_value longest = TIDEMILL_VALUE("longest");
static tidemill_output lines = TIDEMILL_OUTPUT("lines");

// One event. tidemill_reject refuses it: nothing of it stays, and it goes to the dead letters.
static tidemill_status process(const tidemill_event *event) {
    if (!event->value.data || !tidemill_is_utf8(event->value))
        return tidemill_reject("the value is not UTF-8 text");
    uint64_t length;
    TIDEMILL_TRY(tidemill_value_get_u64(&longest, &length, NULL));
    if (event->value.len <= length)
        return TIDEMILL_OK;
    TIDEMILL_TRY(tidemill_value_set_u64(&longest, event->value.len));
    return tidemill_emit(&lines, event->key, event->value);
}

const tidemill_processor operator_ = {
    .name = "{{name}}",
    .handles = TIDEMILL_HANDLES(&longest.handle, &lines.handle),
    .process = process,
};

TIDEMILL_PROCESSOR(operator_)
