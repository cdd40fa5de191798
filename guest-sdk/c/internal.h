// What the SDK's files share: memory of the call, columns, the call in progress, the door to the host.
#ifndef TIDEMILL_INTERNAL_H
#define TIDEMILL_INTERNAL_H

#include "tidemill.h"
#include <stdarg.h>
#include <stdlib.h>

// ---- Memory that stays (memory.c)

// An array that grows and is used again by the next call.
typedef struct {
    void *data;
    size_t len, capacity; // in elements
} tm_array;

// Room for `more` elements of `width` bytes at the end; gives the first.
void *tm_push(tm_array *a, size_t more, size_t width);
void tm_push_bytes(tm_array *a, tidemill_slice bytes);
void tm_append_args(tidemill_buffer *b, const char *format, va_list args); // format.c
_Noreturn void tm_trap(const char *why);

// The arena of the call: what the host hands over and tidemill_alloc gives.
void tm_arena_reset(void);

// An index from hashes to numbers 0, 1, ...: open addressing, at most half full.
typedef struct {
    uint64_t *table; // upper half of the hash | number + 1; 0 = free
    size_t size, len;
} tm_index;

uint64_t tm_hash(tidemill_slice bytes, uint64_t seed);
// The number under a hash that `same` agrees to, or UINT32_MAX after noting `next` there.
uint32_t tm_index_find(tm_index *index, uint64_t hash, uint32_t next, bool (*same)(const void *context, uint32_t number), const void *context);
void tm_index_clear(tm_index *index);

// ---- Columns

// Byte strings; value i is data[ends[i-1]..ends[i]]. present is NULL when none is absent.
typedef struct {
    const uint8_t *data;
    const uint32_t *ends;
    const uint8_t *present;
    size_t data_len, len;
} tm_view;

typedef struct {
    const int64_t *timestamps;
    size_t len;
    tm_view keys, values;
    tidemill_slice headers;
} tm_events;

// Columns that are built.
typedef struct {
    tm_array data, ends, present;
} tm_columns;

static inline tidemill_slice tm_at(const tm_view *v, size_t i) {
    if (v->present && !v->present[i])
        return tidemill_absent();
    uint32_t start = i ? v->ends[i - 1] : 0;
    return tidemill_bytes(v->data + start, v->ends[i] - start);
}

void tm_columns_push(tm_columns *c, tidemill_slice value);
void tm_columns_clear(tm_columns *c);
tm_view tm_columns_view(const tm_columns *c);

// ---- Headers (columns.c)

#define TM_HEADERS_MAX 1024
size_t tm_header_entry_len(tidemill_slice column);
void tm_push_headers(tm_array *column, const tidemill_header *headers, size_t count);

// ---- The call in progress (call.c)
//
// Invariants:
// 1. nothing of a call reaches the host before the events that caused it have succeeded;
// 2. undoing an event leaves every part as it was when the event began;
// 3. between calls every part is empty: an instance may be replaced there.

typedef struct {
    uint32_t index;
    tidemill_slice reason;
} tm_rejection;

typedef struct {
    tm_events events;
    size_t current;           // SIZE_MAX = none
    tm_array ids;             // uint32_t: the number of each event's key; UINT32_MAX = none
    tm_columns keys;          // distinct keys
    tm_index index;
    bool keys_known;
    tidemill_handle *const *handles;
    tidemill_handle *touched;
    tm_array rejections;      // tm_rejection
    tidemill_buffer reason;   // of what was returned last
    bool delayed;
    uint32_t after_ms;
} tm_call;

extern tm_call tm_current;

void tm_begin(tidemill_handle *const *handles, const tm_events *events);
// Ends it: writes its effects on TIDEMILL_OK, else drops them.
tidemill_status tm_end(tidemill_status status);
void tm_touch(tidemill_handle *handle);
void tm_start_event(size_t i);
// On TIDEMILL_OK what the event did is kept; a refused event is undone, noted, and TIDEMILL_OK given back.
tidemill_status tm_end_event(tidemill_status status);
// Outside of events, refusing is fatal.
tidemill_status tm_not_an_event(tidemill_status status);
tidemill_status tm_current_key(const tidemill_handle *handle, uint32_t *key);
size_t tm_key_count(void);
tidemill_slice tm_key(uint32_t key);
tm_view tm_all_keys(void);
tidemill_event tm_event_at(const tm_events *events, size_t i, uint32_t input, int64_t watermark, size_t *header_at);

// What every kind of handle does. Each handle names its own, so that a component has code and imports of those alone that
// its operator uses.
struct tidemill_operations {
    void (*undo)(tidemill_handle *);  // what the event in progress did
    void (*keep)(tidemill_handle *);  // makes it part of the call
    void (*write)(tidemill_handle *); // the call's effects to the host, and empties the part
    void (*drop)(tidemill_handle *);  // the call's effects
    size_t size;                      // of its part
};

// ---- Slots: the cache under value and map state (slots.c)

typedef struct {
    const uint8_t *data;
    uint32_t len;
    bool known, present, dirty;
} tm_slot;

typedef struct {
    tm_array blocks; // of bytes, which do not move while an event is handled: what was given out stays valid
    tm_array slots;  // tm_slot
    tm_array undo;   // what slots were
    size_t bytes, tidy_at;
} tm_slots;

void tm_slots_resize(tm_slots *s, size_t n);
tidemill_slice tm_slots_get(const tm_slots *s, uint32_t id);
void tm_slots_fill(tm_slots *s, uint32_t id, tidemill_slice bytes);
void tm_slots_set(tm_slots *s, uint32_t id, tidemill_slice bytes); // absent = delete
void tm_slots_undo(tm_slots *s);
void tm_slots_keep(tm_slots *s);
void tm_slots_clear(tm_slots *s);
static inline tm_slot *tm_slot_of(const tm_slots *s, uint32_t id) { return (tm_slot *)s->slots.data + id; }

// ---- The operator's description (describe.c)

// Numbers the handles in the order of the lists. Gives why they cannot be, or NULL.
const char *tm_declare(tidemill_handle *const *handles, bool aggregator);
tidemill_slice tm_describe(const char *name, const char *version, const char *const *inputs, tidemill_handle *const *handles,
                           bool watermarks, const char *config_schema);

// ---- World processor (processor.c), world aggregator (aggregator.c): used by their exports and by tests

struct tidemill_batch {
    const tm_events *events;
    uint32_t input;
    int64_t watermark;
};

tidemill_status tm_open(tidemill_handle *const *handles, bool aggregator, tidemill_status (*open)(tidemill_slice), tidemill_slice config);
tidemill_status tm_process(const tidemill_processor *o, uint32_t input, int64_t watermark, const tm_events *events);
tidemill_status tm_on_timers(const tidemill_processor *o, uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times, int64_t watermark);
tidemill_status tm_outside(tidemill_handle *const *handles, tidemill_status (*act)(void));
tidemill_status tm_on_watermark(const tidemill_processor *o, int64_t watermark);

struct tidemill_rows {
    tm_array timestamps; // int64_t
    tm_columns keys, values;
    tm_array window_of; // uint32_t
    uint32_t window;
};

typedef struct {
    int64_t start, end;
    uint32_t firing, padding;
} tm_bounds;

tidemill_status tm_accumulate(const tidemill_aggregator *a, const tm_events *events, const uint32_t *groups, size_t groups_len, const tm_view *given, tm_columns *out);
tidemill_status tm_merge(const tidemill_aggregator *a, const uint32_t *groups, size_t groups_len, const tm_view *given, tm_columns *out);
tidemill_status tm_finish(const tidemill_aggregator *a, const tm_view *keys, const tm_bounds *windows, const tm_view *given, tidemill_rows *rows);

// ---- The door to the host: component.c has the WIT imports, test_host.c keeps it in memory

typedef struct {
    tm_view sub_keys, values;
    tidemill_slice cursor; // absent = no more to come
} tm_page;

tm_view tm_host_get(uint32_t state, const tm_view *keys, const tm_view *sub_keys);
void tm_host_put(uint32_t state, const tm_view *keys, const tm_view *sub_keys, const tm_view *values);
void tm_host_append(uint32_t state, const tm_view *keys, const tm_view *values);
void tm_host_clear(uint32_t state, const tm_view *keys);
tm_page tm_host_scan(uint32_t state, tidemill_slice key, tidemill_slice start, tidemill_slice end, tidemill_slice cursor);
void tm_host_register(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times);
void tm_host_cancel(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times);
void tm_host_emit(uint32_t port, const tm_events *events);
void tm_host_add(uint32_t metric, uint64_t amount);
void tm_host_set(uint32_t metric, double value);
void tm_host_observe(uint32_t metric, const double *values, size_t len);
void tm_host_log(uint32_t level, tidemill_slice message);

#endif
