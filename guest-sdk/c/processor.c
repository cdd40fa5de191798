// Drives a processor: takes the host's calls, begins and ends the call, hands events over. Its exports (component.c) and
// tests (tidemill_test.h) call it.

#include "internal.h"

static const tm_events no_events;

tidemill_status tm_open(tidemill_handle *const *handles, bool aggregator, tidemill_status (*open)(tidemill_slice), tidemill_slice config) {
    const char *wrong = tm_declare(handles, aggregator);
    for (tidemill_handle *const *h = handles; !wrong && h && *h; h++) {
        if (!(*h)->part && !((*h)->part = calloc(1, (*h)->operations->size)))
            tm_trap("out of memory");
        (*h)->touched = false;
    }
    tm_begin(wrong ? NULL : handles, &no_events);
    if (wrong)
        return tm_end(tidemill_fatal("%s", wrong));
    return tm_end(open ? tm_not_an_event(open(config)) : TIDEMILL_OK);
}

static tidemill_status each(const tidemill_batch *batch, tidemill_status (*handle)(const tidemill_event *)) {
    size_t header_at = 0;
    for (size_t i = 0; i < batch->events->len; i++) {
        tidemill_event event = tm_event_at(batch->events, i, batch->input, batch->watermark, &header_at);
        tm_start_event(i);
        TIDEMILL_TRY(tm_end_event(handle(&event)));
    }
    return TIDEMILL_OK;
}

tidemill_status tidemill_batch_each(const tidemill_batch *batch, tidemill_status (*handle)(const tidemill_event *)) { return each(batch, handle); }

size_t tidemill_batch_len(const tidemill_batch *batch) { return batch->events->len; }

uint32_t tidemill_batch_input(const tidemill_batch *batch) { return batch->input; }

tidemill_event tidemill_batch_event(const tidemill_batch *batch, size_t i) {
    size_t header_at = 0;
    if (batch->events->headers.len)
        for (size_t before = 0; before < i; before++)
            header_at += tm_header_entry_len(tidemill_bytes(batch->events->headers.data + header_at, batch->events->headers.len - header_at));
    return tm_event_at(batch->events, i, batch->input, batch->watermark, &header_at);
}

tidemill_status tm_process(const tidemill_processor *o, uint32_t input, int64_t watermark, const tm_events *events) {
    tidemill_batch batch = {events, input, watermark};
    tm_begin(o->handles, events);
    if (o->process_batch)
        return tm_end(tm_not_an_event(o->process_batch(&batch)));
    if (o->process)
        return tm_end(each(&batch, o->process));
    return tm_end(tidemill_fatal("the operator has neither process nor process_batch"));
}

static const tidemill_timer *timer_of(const tidemill_processor *o, uint32_t timer) {
    for (tidemill_handle *const *h = o->handles; h && *h; h++)
        if (((*h)->kind == TIDEMILL_KIND_EVENT_TIMER || (*h)->kind == TIDEMILL_KIND_PROCESSING_TIMER) && (*h)->index == timer)
            return (const tidemill_timer *)*h;
    return NULL;
}

tidemill_status tm_on_timers(const tidemill_processor *o, uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times, int64_t watermark) {
    (void)domain; // the timer's name says it too
    tm_events events = {.timestamps = times, .len = keys->len, .keys = *keys};
    tm_begin(o->handles, &events);
    tidemill_fired fired = {.watermark = watermark, .timer = timer_of(o, timer)};
    if (!fired.timer)
        return tm_end(tidemill_fatal("the host fired timer %u, which was never declared", timer));
    if (!o->on_timer)
        return tm_end(tidemill_fatal("timer `%s` fired, but the operator has no on_timer", fired.timer->handle.name));
    for (size_t i = 0; i < keys->len; i++) {
        fired.key = tm_at(keys, i);
        fired.time = times[i];
        tm_start_event(i);
        tidemill_status status = tm_end_event(o->on_timer(&fired));
        if (status != TIDEMILL_OK)
            return tm_end(status);
    }
    return tm_end(TIDEMILL_OK);
}

tidemill_status tm_outside(tidemill_handle *const *handles, tidemill_status (*act)(void)) {
    tm_begin(handles, &no_events);
    return tm_end(act ? tm_not_an_event(act()) : TIDEMILL_OK);
}

tidemill_status tm_on_watermark(const tidemill_processor *o, int64_t watermark) {
    tm_begin(o->handles, &no_events);
    return tm_end(o->on_watermark ? tm_not_an_event(o->on_watermark(watermark)) : TIDEMILL_OK);
}
