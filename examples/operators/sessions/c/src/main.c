// Sessions per key: a run of events without a gap comes out as one result, when the watermark says that nothing can join it
// any more. Events may come out of order, so a key has several open sessions, which grow and grow together.

#include "tidemill.h"

// A run of events, as it lies in state: the open ones of a key one after the other, in order of time.
typedef struct {
    int64_t start, end;
    uint64_t count;
} session;

static tidemill_value open_sessions = TIDEMILL_VALUE("open");
static tidemill_timer over = TIDEMILL_EVENT_TIMER("over");
static tidemill_output sessions_out = TIDEMILL_OUTPUT("sessions");

static int64_t gap_ms;

static tidemill_status open(tidemill_slice config) {
    tidemill_slice name, value;
    gap_ms = 0;
    for (size_t at = 0; tidemill_json_next(config, &at, &name, &value);) {
        int64_t minutes;
        if (!tidemill_equal(name, tidemill_text("gap_minutes")) || !tidemill_json_i64(value, &minutes) || minutes <= 0)
            return tidemill_fatal("the configuration does not fit at `%.*s`: it has gap_minutes, a whole number", (int)name.len, (const char *)name.data);
        gap_ms = minutes * 60000;
    }
    return gap_ms ? TIDEMILL_OK : tidemill_fatal("the configuration has no gap_minutes");
}

// The last moment at which an event could still join.
static int64_t last_ms(const session *s) { return s->end + gap_ms - 1; }

static session get(tidemill_slice open, size_t i) {
    session s;
    memcpy(&s, open.data + i * sizeof s, sizeof s);
    return s;
}

static void add(tidemill_buffer *to, session s) { tidemill_append(to, tidemill_bytes(&s, sizeof s)); }

static tidemill_status process(const tidemill_event *event) {
    int64_t time = event->timestamp;
    tidemill_slice open;
    TIDEMILL_TRY(tidemill_value_get(&open_sessions, &open));
    session joined = {time, time, 1};
    tidemill_buffer before = {0}, after = {0};
    for (size_t i = 0; i < open.len / sizeof(session); i++) {
        session other = get(open, i);
        if (other.end + gap_ms <= time) {
            add(&before, other);
        } else if (time + gap_ms <= other.start) {
            add(&after, other);
        } else {
            TIDEMILL_TRY(tidemill_timer_cancel(&over, last_ms(&other)));
            joined.start = other.start < joined.start ? other.start : joined.start;
            joined.end = other.end > joined.end ? other.end : joined.end;
            joined.count += other.count;
        }
    }
    if (last_ms(&joined) <= event->watermark)
        return tidemill_reject("late: the session that it belongs to is over; allow more out_of_orderness");
    TIDEMILL_TRY(tidemill_timer_register(&over, last_ms(&joined)));
    add(&before, joined);
    tidemill_append(&before, tidemill_bytes_of(&after));
    return tidemill_value_set(&open_sessions, tidemill_bytes_of(&before));
}

static tidemill_status on_timer(const tidemill_fired *fired) {
    tidemill_slice open;
    TIDEMILL_TRY(tidemill_value_get(&open_sessions, &open));
    tidemill_buffer left = {0};
    for (size_t i = 0; i < open.len / sizeof(session); i++) {
        session s = get(open, i);
        if (last_ms(&s) > fired->time) {
            add(&left, s);
            continue;
        }
        tidemill_buffer row = {0};
        tidemill_append_format(&row, "{\"start\":%" PRId64 ",\"end\":%" PRId64 ",\"count\":%" PRIu64 "}", s.start, s.end, s.count);
        TIDEMILL_TRY(tidemill_emit(&sessions_out, fired->key, tidemill_bytes_of(&row)));
    }
    return tidemill_value_set(&open_sessions, left.len ? tidemill_bytes_of(&left) : tidemill_absent());
}

const tidemill_processor sessions = {
    .name = "sessions",
    .handles = TIDEMILL_HANDLES(&open_sessions.handle, &over.handle, &sessions_out.handle),
    .open = open,
    .process = process,
    .on_timer = on_timer,
};

TIDEMILL_PROCESSOR(sessions)
