// Operators in C: a struct of callbacks, and handles for states, ports, timers and metrics.
//
//     static tidemill_value seen = TIDEMILL_VALUE("seen");
//     static tidemill_output counts = TIDEMILL_OUTPUT("counts");
//
//     static tidemill_status process(const tidemill_event *event) {
//         uint64_t n = 0;
//         TIDEMILL_TRY(tidemill_value_get_u64(&seen, &n, NULL));
//         TIDEMILL_TRY(tidemill_value_set_u64(&seen, ++n));
//         tidemill_buffer text = {0};                       // freed with the call
//         tidemill_append_format(&text, "%" PRIu64, n);
//         return tidemill_emit(&counts, event->key, tidemill_bytes_of(&text));
//     }
//
//     const tidemill_processor count = {
//         .name = "count", .handles = TIDEMILL_HANDLES(&seen.handle, &counts.handle), .process = process,
//     };
//     TIDEMILL_PROCESSOR(count)
//
// Each call of the host is a transaction, and within it each event is one: a callback that returns tidemill_reject(...)
// refuses the event, what it did to states, ports, timers and metrics is undone, it goes to the dead letters, and the next
// event follows. tidemill_retry has the whole call made again, tidemill_fatal stops the pipeline. A trap (a null pointer at a
// large offset, an abort) drops the call and the instance.
//
// An event's slices, buffers and memory of tidemill_alloc are valid during the call; what state gives is valid while the event
// (or timer) is handled. Static variables are memory of this
// instance only, and instances may be replaced at any time: what must last goes into state.
#ifndef TIDEMILL_H
#define TIDEMILL_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TIDEMILL_FORMAT(format_, first_) __attribute__((format(printf, format_, first_)))

// ---- Bytes

// Bytes that belong to somebody else. data == NULL: absent, which differs from empty.
typedef struct {
    const uint8_t *data;
    size_t len;
} tidemill_slice;

// Bytes that grow, and move when they do; {0} is an empty one. They lie in the call's memory: valid during the call, freed with it.
typedef struct {
    uint8_t *data;
    size_t len, capacity;
} tidemill_buffer;

static inline tidemill_slice tidemill_bytes(const void *data, size_t len) { return (tidemill_slice){data ? data : (const void *)"", len}; }
static inline tidemill_slice tidemill_text(const char *text) { return tidemill_bytes(text, strlen(text)); }
static inline tidemill_slice tidemill_bytes_of(const tidemill_buffer *b) { return tidemill_bytes(b->data, b->len); }
static inline tidemill_slice tidemill_absent(void) { return (tidemill_slice){NULL, 0}; }
bool tidemill_equal(tidemill_slice a, tidemill_slice b);
int tidemill_compare(tidemill_slice a, tidemill_slice b);
bool tidemill_is_utf8(tidemill_slice text);
// The next character of UTF-8 text; start with *at = 0. False at the end, and where the text is not UTF-8 (*at < text.len then).
bool tidemill_next_char(tidemill_slice text, size_t *at, uint32_t *c);

// Memory of the call, aligned to 8; never NULL (there being none is a trap).
void *tidemill_alloc(size_t size);

void tidemill_append(tidemill_buffer *b, tidemill_slice bytes);
// Appends a character as UTF-8.
void tidemill_append_char(tidemill_buffer *b, uint32_t c);
// Like printf with %s %.*s %c %d %i %u %x (with l, ll, z) and %%; no floats. It needs no stdio.
void tidemill_append_format(tidemill_buffer *b, const char *format, ...) TIDEMILL_FORMAT(2, 3);
// The fewest digits that read back as the same number, with a point even where it is whole: 10.0, 0.1, 1e+300.
void tidemill_append_double(tidemill_buffer *b, double number);

// ---- JSON, as far as rows and configuration need it

// Finds a member of a JSON object; absent if there is none or this is no object.
tidemill_slice tidemill_json_member(tidemill_slice object, const char *name);
// The next member of an object; start with *at = 0. False at its end, or where it is no JSON.
bool tidemill_json_next(tidemill_slice object, size_t *at, tidemill_slice *name, tidemill_slice *value);
// Whether the bytes are one JSON value and nothing else.
bool tidemill_json_valid(tidemill_slice json);
// A JSON number without fraction or exponent.
bool tidemill_json_i64(tidemill_slice value, int64_t *into);
// Appends the text of a JSON string, its escapes undone.
bool tidemill_json_string(tidemill_slice value, tidemill_buffer *into);
// Appends text as a JSON string.
void tidemill_append_json(tidemill_buffer *b, tidemill_slice text);

// ---- What callbacks return

typedef enum { TIDEMILL_OK, TIDEMILL_REJECTED, TIDEMILL_RETRY, TIDEMILL_FATAL } tidemill_status;

#define TIDEMILL_TRY(call)                              \
    do {                                                \
        tidemill_status tidemill_status_ = (call);      \
        if (tidemill_status_ != TIDEMILL_OK)            \
            return tidemill_status_;                    \
    } while (0)

// Refuses the event in progress. Formats as tidemill_append_format.
tidemill_status tidemill_reject(const char *format, ...) TIDEMILL_FORMAT(1, 2);
// Stops the pipeline and keeps everything.
tidemill_status tidemill_fatal(const char *format, ...) TIDEMILL_FORMAT(1, 2);
// Drops the whole call and has it made again, when the host sees fit or after so many ms.
tidemill_status tidemill_retry(void);
tidemill_status tidemill_retry_after(uint32_t ms);

// ---- Events

typedef struct {
    tidemill_slice key;   // absent = none
    tidemill_slice value; // absent = a tombstone
    int64_t timestamp;    // event time, ms
    int64_t watermark;    // the operator's when the event came, ms; an event below it is late
    uint32_t input;       // index of the input that it came from
    tidemill_slice headers;
} tidemill_event;

typedef struct {
    tidemill_slice name, value;
} tidemill_header;

// The next header of an event; start with *at = 0. False after the last.
bool tidemill_next_header(const tidemill_event *event, size_t *at, tidemill_header *header);
// The value of the first header of this name; absent if there is none.
tidemill_slice tidemill_get_header(const tidemill_event *event, const char *name);

#define TIDEMILL_NO_WATERMARK INT64_MIN
#define TIDEMILL_END_OF_INPUT INT64_MAX
#define TIDEMILL_TIME_LIMIT (((int64_t)1 << 53) - 1)

// ---- Handles: static variables, listed in the operator's struct

typedef enum {
    TIDEMILL_KIND_VALUE,
    TIDEMILL_KIND_MAP,
    TIDEMILL_KIND_LIST,
    TIDEMILL_KIND_OUTPUT,
    TIDEMILL_KIND_EVENT_TIMER,
    TIDEMILL_KIND_PROCESSING_TIMER,
    TIDEMILL_KIND_COUNTER,
    TIDEMILL_KIND_GAUGE,
    TIDEMILL_KIND_HISTOGRAM,
} tidemill_kind;

struct tidemill_operations; // what a kind of handle does; the SDK's own
extern const struct tidemill_operations tidemill_value_operations, tidemill_map_operations, tidemill_list_operations, tidemill_output_operations,
    tidemill_timer_operations, tidemill_counter_operations, tidemill_gauge_operations, tidemill_histogram_operations;

// How long an entry of a state lasts (a value, a sub-key's, an element of a list): `ms` after it was written; 0 = for ever.
typedef struct {
    int64_t ms;
    enum { TIDEMILL_CLOCK_PROCESSING, TIDEMILL_CLOCK_EVENT } clock;              // on the wall, or the watermark
    enum { TIDEMILL_REFRESH_WRITE, TIDEMILL_REFRESH_READ_AND_WRITE } refresh;    // what makes it last longer
} tidemill_ttl;

typedef struct tidemill_handle {
    tidemill_kind kind;
    const struct tidemill_operations *operations;
    const char *name;
    tidemill_ttl ttl;              // of states
    uint32_t index;                // in its list of the descriptor
    bool touched;                  // by the event in progress
    struct tidemill_handle *next;  // touched too
    void *part;                    // what it holds of the call
} tidemill_handle;

typedef struct { tidemill_handle handle; } tidemill_value;
typedef struct { tidemill_handle handle; } tidemill_map;
typedef struct { tidemill_handle handle; } tidemill_list;
typedef struct { tidemill_handle handle; } tidemill_output;
typedef struct { tidemill_handle handle; } tidemill_timer;
typedef struct { tidemill_handle handle; } tidemill_counter;
typedef struct { tidemill_handle handle; } tidemill_gauge;
typedef struct { tidemill_handle handle; } tidemill_histogram;

#define TIDEMILL_HANDLE(kind_, operations_, ...) {.handle = {.kind = TIDEMILL_KIND_##kind_, .operations = &tidemill_##operations_##_operations, .name = __VA_ARGS__}}
// States may have a time to live: TIDEMILL_VALUE("seen", .ttl = {.ms = 10000, .clock = TIDEMILL_CLOCK_EVENT}).
#define TIDEMILL_VALUE(...) TIDEMILL_HANDLE(VALUE, value, __VA_ARGS__)
#define TIDEMILL_MAP(...) TIDEMILL_HANDLE(MAP, map, __VA_ARGS__)
#define TIDEMILL_LIST(...) TIDEMILL_HANDLE(LIST, list, __VA_ARGS__)
#define TIDEMILL_OUTPUT(name) TIDEMILL_HANDLE(OUTPUT, output, name)
#define TIDEMILL_EVENT_TIMER(name) TIDEMILL_HANDLE(EVENT_TIMER, timer, name)
#define TIDEMILL_PROCESSING_TIMER(name) TIDEMILL_HANDLE(PROCESSING_TIMER, timer, name)
#define TIDEMILL_COUNTER(name) TIDEMILL_HANDLE(COUNTER, counter, name)
#define TIDEMILL_GAUGE(name) TIDEMILL_HANDLE(GAUGE, gauge, name)
#define TIDEMILL_HISTOGRAM(name) TIDEMILL_HANDLE(HISTOGRAM, histogram, name)
#define TIDEMILL_HANDLES(...) ((tidemill_handle *const[]){__VA_ARGS__, NULL})

// Keyed state always means the key of the event or timer in progress. In one call a value state is read for all keys of the
// batch in one request, and everything is written in one request per state when the call ends.

// One value for the current key; absent = nothing stored. Setting an absent one clears.
tidemill_status tidemill_value_get(tidemill_value *state, tidemill_slice *value);
tidemill_status tidemill_value_set(tidemill_value *state, tidemill_slice value);
tidemill_status tidemill_value_clear(tidemill_value *state);
// The same for a number, 8 bytes little-endian; 0 where nothing is stored. `there` may be NULL.
tidemill_status tidemill_value_get_u64(tidemill_value *state, uint64_t *value, bool *there);
tidemill_status tidemill_value_set_u64(tidemill_value *state, uint64_t value);
// The same for a struct of `size` bytes without pointers: stored as it lies in memory, zeros where nothing is stored.
tidemill_status tidemill_value_get_struct(tidemill_value *state, void *value, size_t size, bool *there);

// Any number of values by sub-key for the current key, in byte order of the sub-keys.
tidemill_status tidemill_map_get(tidemill_map *state, tidemill_slice sub_key, tidemill_slice *value);
tidemill_status tidemill_map_put(tidemill_map *state, tidemill_slice sub_key, tidemill_slice value);
tidemill_status tidemill_map_delete(tidemill_map *state, tidemill_slice sub_key);
tidemill_status tidemill_map_clear(tidemill_map *state);
// Calls `each` for the entries from one sub-key to right before another (absent = no bound), in order, until it sets *stop.
// `each` may write to the state: what it writes is not visited.
typedef tidemill_status (*tidemill_each_entry)(void *context, tidemill_slice sub_key, tidemill_slice value, bool *stop);
tidemill_status tidemill_map_each(tidemill_map *state, tidemill_slice from, tidemill_slice to, tidemill_each_entry each, void *context);
// A signed number as a sub-key: 8 bytes whose order is that of the numbers.
tidemill_slice tidemill_sub_key_i64(int64_t number);
int64_t tidemill_sub_key_to_i64(tidemill_slice sub_key);

// Values appended for the current key.
tidemill_status tidemill_list_push(tidemill_list *state, tidemill_slice value);
tidemill_status tidemill_list_clear(tidemill_list *state);
typedef tidemill_status (*tidemill_each_value)(void *context, tidemill_slice value, bool *stop);
tidemill_status tidemill_list_each(tidemill_list *state, tidemill_each_value each, void *context);

// Timers for the current key. Registering the same time twice is one timer.
tidemill_status tidemill_timer_register(tidemill_timer *timer, int64_t time);
tidemill_status tidemill_timer_cancel(tidemill_timer *timer, int64_t time);

// Emits an event with the time of the event or timer in progress.
tidemill_status tidemill_emit(tidemill_output *port, tidemill_slice key, tidemill_slice value);
tidemill_status tidemill_emit_at(tidemill_output *port, int64_t time, tidemill_slice key, tidemill_slice value);
tidemill_status tidemill_emit_with_headers(tidemill_output *port, int64_t time, tidemill_slice key, tidemill_slice value,
                                           const tidemill_header *headers, size_t count);
// Emits an event as it came.
tidemill_status tidemill_forward(tidemill_output *port, const tidemill_event *event);

// Metrics, undone with a refused event.
void tidemill_counter_add(tidemill_counter *metric, uint64_t amount);
void tidemill_gauge_set(tidemill_gauge *metric, double value);
void tidemill_histogram_observe(tidemill_histogram *metric, double value);

// ---- Log and context

typedef enum { TIDEMILL_TRACE, TIDEMILL_DEBUG, TIDEMILL_INFO, TIDEMILL_WARN, TIDEMILL_ERROR } tidemill_level;
// Formats as tidemill_append_format. Lines survive a call whose other effects are dropped.
void tidemill_log(tidemill_level level, const char *format, ...) TIDEMILL_FORMAT(2, 3);

typedef struct {
    uint32_t index, parallelism, max_parallelism;
} tidemill_subtask;
// Logical values, the same again on replay.
tidemill_subtask tidemill_current_subtask(void);
int64_t tidemill_now(void);

// ---- World processor

typedef struct tidemill_batch tidemill_batch;

typedef struct {
    tidemill_slice key;
    int64_t time, watermark;
    const tidemill_timer *timer;
} tidemill_fired;

typedef struct {
    const char *name, *version;        // version may be NULL
    tidemill_handle *const *handles;   // TIDEMILL_HANDLES(...), or NULL
    const char *const *inputs;         // names, ended by NULL; NULL = one, `events`
    const char *config_schema;         // JSON Schema of the configuration, or NULL
    tidemill_status (*open)(tidemill_slice config); // `config` of the pipeline file as JSON, {} without one
    tidemill_status (*process)(const tidemill_event *event);
    tidemill_status (*process_batch)(const tidemill_batch *batch); // instead of process
    tidemill_status (*on_timer)(const tidemill_fired *fired);
    tidemill_status (*on_watermark)(int64_t watermark);
    tidemill_status (*close)(void);
} tidemill_processor;

size_t tidemill_batch_len(const tidemill_batch *batch);
uint32_t tidemill_batch_input(const tidemill_batch *batch);
// Event i, without making it a transaction: no current key, no time to emit at.
tidemill_event tidemill_batch_event(const tidemill_batch *batch, size_t i);
// Hands the events to `each` one by one, each a transaction of its own; what it refuses goes to the dead letters.
tidemill_status tidemill_batch_each(const tidemill_batch *batch, tidemill_status (*each)(const tidemill_event *event));
// Emits all events of a batch as they came. Not while an event is in progress.
tidemill_status tidemill_forward_batch(tidemill_output *port, const tidemill_batch *batch);

// ---- World aggregator

typedef struct {
    tidemill_slice key;
    int64_t start, end; // [start, end), ms; the least and the greatest number for a global window
    uint32_t firing;    // how often it gave results before
} tidemill_window;

typedef struct tidemill_rows tidemill_rows;

// A window aggregate: the host keeps windows and accumulators, this folds, merges and finishes, by what it is given and the
// configuration alone. Its handles are metrics.
typedef struct {
    const char *name, *version;
    tidemill_handle *const *handles;
    const char *config_schema;
    // Size of the accumulator, a struct without pointers that is kept as it lies in memory; new ones are zeros.
    // 0: accumulators are a tidemill_buffer of any length, which is copied for each event.
    size_t accumulator_size;
    tidemill_status (*open)(tidemill_slice config);
    // An event that is refused leaves the accumulator as it was, whatever was done to it.
    tidemill_status (*add)(void *accumulator, const tidemill_event *event);
    // Folds in what a later piece of the same window gathered.
    tidemill_status (*merge)(void *accumulator, const void *later);
    // Gives a window's result: any number of rows. Anything but TIDEMILL_OK stops the pipeline.
    tidemill_status (*finish)(const tidemill_window *window, const void *accumulator, tidemill_rows *rows);
    tidemill_status (*close)(void);
} tidemill_aggregator;

// Adds a row. The host sets its time; without a key of its own it has the window's.
void tidemill_row(tidemill_rows *rows, tidemill_slice key, tidemill_slice value);

// ---- The component's exports: one of these macros, once, without a semicolon

#ifdef __wasm__
#define TIDEMILL_EXPORT(name) __attribute__((export_name(name)))
#define TIDEMILL_PROCESSOR(operator_) \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#describe") \
    void *tidemill_export_describe(void) { return tidemill_processor_describe(&operator_); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#describe") \
    void tidemill_export_describe_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#open") \
    void *tidemill_export_open(void *config, size_t len) { return tidemill_processor_open(&operator_, config, len); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#open") \
    void tidemill_export_open_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#process") \
    void *tidemill_export_process(const uint32_t *words) { return tidemill_processor_process(&operator_, words); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#process") \
    void tidemill_export_process_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#on-timers") \
    void *tidemill_export_on_timers(uint32_t d, uint32_t t, uint32_t k, uint32_t kl, uint32_t e, uint32_t el, uint32_t at, uint32_t atl, int64_t watermark) { return tidemill_processor_on_timers(&operator_, (const uint32_t[]){d, t, k, kl, e, el, at, atl}, watermark); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#on-timers") \
    void tidemill_export_on_timers_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#on-watermark") \
    void *tidemill_export_on_watermark(int64_t watermark) { return tidemill_processor_on_watermark(&operator_, watermark); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#on-watermark") \
    void tidemill_export_on_watermark_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/operator@0.1.0#close") \
    void *tidemill_export_close(void) { return tidemill_processor_close(&operator_); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/operator@0.1.0#close") \
    void tidemill_export_close_post(void *answer) { (void)answer, tidemill_answered(); }
#define TIDEMILL_AGGREGATOR(aggregator_) \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#describe") \
    void *tidemill_export_describe(void) { return tidemill_aggregator_describe(&aggregator_); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#describe") \
    void tidemill_export_describe_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#open") \
    void *tidemill_export_open(void *config, size_t len) { return tidemill_aggregator_open(&aggregator_, config, len); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#open") \
    void tidemill_export_open_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#accumulate") \
    void *tidemill_export_accumulate(const uint32_t *words) { return tidemill_aggregator_accumulate(&aggregator_, words); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#accumulate") \
    void tidemill_export_accumulate_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#merge") \
    void *tidemill_export_merge(uint32_t g, uint32_t gl, uint32_t d, uint32_t dl, uint32_t e, uint32_t el) { return tidemill_aggregator_merge(&aggregator_, (const uint32_t[]){g, gl, d, dl, e, el}); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#merge") \
    void tidemill_export_merge_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#finish") \
    void *tidemill_export_finish(uint32_t k, uint32_t kl, uint32_t ke, uint32_t kel, uint32_t w, uint32_t wl, uint32_t d, uint32_t dl, uint32_t e, uint32_t el) { return tidemill_aggregator_finish(&aggregator_, (const uint32_t[]){k, kl, ke, kel, w, wl, d, dl, e, el}); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#finish") \
    void tidemill_export_finish_post(void *answer) { (void)answer, tidemill_answered(); } \
    TIDEMILL_EXPORT("tidemill:operator/aggregate@0.1.0#close") \
    void *tidemill_export_close(void) { return tidemill_aggregator_close(&aggregator_); } \
    TIDEMILL_EXPORT("cabi_post_tidemill:operator/aggregate@0.1.0#close") \
    void tidemill_export_close_post(void *answer) { (void)answer, tidemill_answered(); }
void tidemill_answered(void); // the host has read the answer
void *tidemill_processor_describe(const tidemill_processor *operator_);
void *tidemill_processor_open(const tidemill_processor *operator_, void *config, size_t len);
void *tidemill_processor_process(const tidemill_processor *operator_, const uint32_t *words);
void *tidemill_processor_on_timers(const tidemill_processor *operator_, const uint32_t *words, int64_t watermark);
void *tidemill_processor_on_watermark(const tidemill_processor *operator_, int64_t watermark);
void *tidemill_processor_close(const tidemill_processor *operator_);
void *tidemill_aggregator_describe(const tidemill_aggregator *aggregator);
void *tidemill_aggregator_open(const tidemill_aggregator *aggregator, void *config, size_t len);
void *tidemill_aggregator_accumulate(const tidemill_aggregator *aggregator, const uint32_t *words);
void *tidemill_aggregator_merge(const tidemill_aggregator *aggregator, const uint32_t *words);
void *tidemill_aggregator_finish(const tidemill_aggregator *aggregator, const uint32_t *words);
void *tidemill_aggregator_close(const tidemill_aggregator *aggregator);
#else
// Natively nothing is exported: tests drive the struct (tidemill_test.h).
#define TIDEMILL_PROCESSOR(operator_)
#define TIDEMILL_AGGREGATOR(aggregator_)
#endif

#endif
