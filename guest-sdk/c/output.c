// Output ports: events are built in columns, and each port is emitted once per call, or in pieces when there is much.

#include "internal.h"

// How much a port holds before it is emitted between two events.
enum { EMIT_BYTES = 256 << 10 };

typedef struct {
    tm_array timestamps; // int64_t
    tm_columns keys, values;
    tm_array headers;
    size_t before[8]; // the lengths of the arrays before the event in progress
} part;

static void arrays(part *p, tm_array *of[8]) {
    tm_array *all[8] = {&p->timestamps, &p->keys.data, &p->keys.ends, &p->keys.present, &p->values.data, &p->values.ends, &p->values.present, &p->headers};
    memcpy(of, all, sizeof all);
}

tidemill_status tidemill_emit_with_headers(tidemill_output *port, int64_t time, tidemill_slice key, tidemill_slice value,
                                           const tidemill_header *headers, size_t count) {
    part *p = port->handle.part;
    if (time < -TIDEMILL_TIME_LIMIT || time > TIDEMILL_TIME_LIMIT)
        return tidemill_reject("port `%s`: %lld ms is no time within +-(2^53 - 1)", port->handle.name, (long long)time);
    if (count > TM_HEADERS_MAX)
        return tidemill_reject("port `%s`: %zu headers on one event, at most %d", port->handle.name, count, TM_HEADERS_MAX);
    if (!port->handle.touched) {
        tm_array *all[8];
        arrays(p, all);
        for (int i = 0; i < 8; i++)
            p->before[i] = all[i]->len;
        tm_touch(&port->handle);
    }
    if (count && !p->headers.len)
        for (size_t i = 0; i < p->timestamps.len; i++)
            tm_push_headers(&p->headers, NULL, 0);
    if (count || p->headers.len)
        tm_push_headers(&p->headers, headers, count);
    *(int64_t *)tm_push(&p->timestamps, 1, 8) = time;
    tm_columns_push(&p->keys, key);
    tm_columns_push(&p->values, value);
    return TIDEMILL_OK;
}

tidemill_status tidemill_emit_at(tidemill_output *port, int64_t time, tidemill_slice key, tidemill_slice value) {
    return tidemill_emit_with_headers(port, time, key, value, NULL, 0);
}

tidemill_status tidemill_emit(tidemill_output *port, tidemill_slice key, tidemill_slice value) {
    if (tm_current.current == SIZE_MAX)
        return tidemill_fatal("port `%s`: no event is in progress to take the time from; use tidemill_emit_at", port->handle.name);
    return tidemill_emit_at(port, tm_current.events.timestamps[tm_current.current], key, value);
}

tidemill_status tidemill_forward(tidemill_output *port, const tidemill_event *event) {
    tidemill_buffer headers = {0};
    tidemill_header header;
    for (size_t at = 0; tidemill_next_header(event, &at, &header);)
        tidemill_append(&headers, tidemill_bytes(&header, sizeof header));
    return tidemill_emit_with_headers(port, event->timestamp, event->key, event->value, (tidemill_header *)(void *)headers.data, headers.len / sizeof header);
}

static void drop(tidemill_handle *h) {
    tm_array *all[8];
    arrays(h->part, all);
    for (int i = 0; i < 8; i++)
        all[i]->len = 0;
}

static void write(tidemill_handle *h) {
    part *p = h->part;
    if (p->timestamps.len) {
        tm_events events = {p->timestamps.data, p->timestamps.len, tm_columns_view(&p->keys), tm_columns_view(&p->values), tidemill_bytes(p->headers.data, p->headers.len)};
        tm_host_emit(h->index, &events);
    }
    drop(h);
}

tidemill_status tidemill_forward_batch(tidemill_output *port, const tidemill_batch *batch) {
    if (tm_current.current != SIZE_MAX)
        return tidemill_fatal("port `%s`: tidemill_forward_batch within an event; use tidemill_forward", port->handle.name);
    write(&port->handle);
    if (batch->events->len)
        tm_host_emit(port->handle.index, batch->events);
    return TIDEMILL_OK;
}

static void undo(tidemill_handle *h) {
    part *p = h->part;
    tm_array *all[8];
    arrays(p, all);
    for (int i = 0; i < 8; i++)
        all[i]->len = p->before[i];
}

static void keep(tidemill_handle *h) {
    part *p = h->part;
    if (p->keys.data.len + p->values.data.len + p->headers.len + 16 * p->timestamps.len >= EMIT_BYTES)
        write(h);
}

const struct tidemill_operations tidemill_output_operations = {undo, keep, write, drop, sizeof(part)};
