// The call in progress: begun and ended by the worlds, shared by every handle.

#include "internal.h"

tm_call tm_current = {.current = SIZE_MAX};

static const tm_events no_events;

static void settle(bool keep) {
    for (tidemill_handle *h = tm_current.touched; h; h = h->next) {
        (keep ? h->operations->keep : h->operations->undo)(h);
        h->touched = false;
    }
    tm_current.touched = NULL;
}

void tm_begin(tidemill_handle *const *handles, const tm_events *events) {
    tm_current.handles = handles;
    tm_current.events = *events;
    tm_current.keys_known = false;
    tm_current.current = SIZE_MAX;
    tm_current.rejections.len = 0;
    tm_current.touched = NULL;
    tm_current.reason = (tidemill_buffer){0};
}

tidemill_status tm_end(tidemill_status status) {
    tm_current.current = SIZE_MAX;
    settle(status == TIDEMILL_OK); // what was done outside of any event, or within the one that ended the call
    for (tidemill_handle *const *h = tm_current.handles; h && *h; h++)
        (status == TIDEMILL_OK ? (*h)->operations->write : (*h)->operations->drop)(*h);
    tm_current.events = no_events;
    tm_current.keys_known = false;
    return status;
}

void tm_touch(tidemill_handle *handle) {
    if (handle->touched)
        return;
    handle->touched = true;
    handle->next = tm_current.touched;
    tm_current.touched = handle;
}

void tm_start_event(size_t i) { tm_current.current = i; }

tidemill_status tm_end_event(tidemill_status status) {
    if (status == TIDEMILL_RETRY || status == TIDEMILL_FATAL)
        return status;
    settle(status == TIDEMILL_OK);
    if (status != TIDEMILL_OK) {
        tm_rejection *r = tm_push(&tm_current.rejections, 1, sizeof *r);
        *r = (tm_rejection){(uint32_t)tm_current.current, tidemill_bytes_of(&tm_current.reason)};
        tm_current.reason = (tidemill_buffer){0};
    }
    tm_current.current = SIZE_MAX;
    return TIDEMILL_OK;
}

tidemill_status tm_not_an_event(tidemill_status status) { return status == TIDEMILL_REJECTED ? TIDEMILL_FATAL : status; }

tidemill_status tm_current_key(const tidemill_handle *handle, uint32_t *key) {
    tm_call *c = &tm_current;
    if (c->current == SIZE_MAX)
        return tidemill_fatal("%s: no event is in progress, so there is no key; use keyed state and timers while an event or timer is handled", handle->name);
    tm_key_count(); // makes them known
    *key = ((uint32_t *)c->ids.data)[c->current];
    if (*key == UINT32_MAX)
        return tidemill_reject("%s: the event has no key; give the source or the upstream operator one", handle->name);
    return TIDEMILL_OK;
}

static bool same_key(const void *key, uint32_t number) { return tidemill_equal(tm_key(number), *(const tidemill_slice *)key); }

size_t tm_key_count(void) {
    tm_call *c = &tm_current;
    if (!c->keys_known) {
        c->keys_known = true;
        c->ids.len = 0;
        tm_columns_clear(&c->keys);
        tm_index_clear(&c->index);
        uint32_t *ids = tm_push(&c->ids, c->events.len, sizeof *ids);
        for (size_t i = 0; i < c->events.len; i++) {
            tidemill_slice key = tm_at(&c->events.keys, i);
            ids[i] = UINT32_MAX;
            if (!key.data)
                continue;
            uint32_t next = (uint32_t)c->keys.ends.len;
            ids[i] = tm_index_find(&c->index, tm_hash(key, 0), next, same_key, &key);
            if (ids[i] == UINT32_MAX) {
                ids[i] = next;
                tm_columns_push(&c->keys, key);
            }
        }
    }
    return c->keys.ends.len;
}

tidemill_slice tm_key(uint32_t key) {
    tm_view keys = tm_columns_view(&tm_current.keys);
    return tm_at(&keys, key);
}

tm_view tm_all_keys(void) { return tm_columns_view(&tm_current.keys); }

tidemill_event tm_event_at(const tm_events *events, size_t i, uint32_t input, int64_t watermark, size_t *header_at) {
    tidemill_event e = {
        .key = tm_at(&events->keys, i),
        .value = tm_at(&events->values, i),
        .timestamp = events->timestamps[i],
        .watermark = watermark,
        .input = input,
    };
    if (events->headers.len) {
        e.headers = tidemill_bytes(events->headers.data + *header_at, events->headers.len - *header_at);
        e.headers.len = tm_header_entry_len(e.headers);
        *header_at += e.headers.len;
    }
    return e;
}

// ---- What callbacks return

static void set_reason(const char *format, va_list args) {
    tm_current.reason = (tidemill_buffer){0};
    tm_append_args(&tm_current.reason, format, args);
}

tidemill_status tidemill_reject(const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_reason(format, args);
    va_end(args);
    return TIDEMILL_REJECTED;
}

tidemill_status tidemill_fatal(const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_reason(format, args);
    va_end(args);
    return TIDEMILL_FATAL;
}

tidemill_status tidemill_retry(void) {
    tm_current.delayed = false;
    return TIDEMILL_RETRY;
}

tidemill_status tidemill_retry_after(uint32_t ms) {
    tm_current.delayed = true;
    tm_current.after_ms = ms;
    return TIDEMILL_RETRY;
}

void tidemill_log(tidemill_level level, const char *format, ...) {
    tidemill_buffer line = {0};
    va_list args;
    va_start(args, format);
    tm_append_args(&line, format, args);
    va_end(args);
    tm_host_log(level, tidemill_bytes_of(&line));
}
