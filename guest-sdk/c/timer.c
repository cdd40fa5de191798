// Timers, registered and taken back for the current key, in one request per call.

#include "internal.h"

// The last operation on a (key, time) of the call: registering twice is one timer, and a timer that is registered and then
// taken back is none.
enum { NOTHING, REGISTER, CANCEL };

typedef struct {
    int64_t time;
    uint32_t key, operation;
} operation;

typedef struct {
    uint32_t at, old;
} undone;

typedef struct {
    tm_array list; // operation
    tm_array undo; // undone
    tm_index index;
    tm_columns keys;
    tm_array times;
} part;

typedef struct {
    const part *p;
    int64_t time;
    uint32_t key;
} wanted;

static operation *at(const part *p, size_t i) { return (operation *)p->list.data + i; }

static bool same(const void *context, uint32_t i) {
    const wanted *w = context;
    return at(w->p, i)->key == w->key && at(w->p, i)->time == w->time;
}

static tidemill_status set(tidemill_timer *timer, int64_t time, uint32_t to) {
    if (time < -TIDEMILL_TIME_LIMIT || time > TIDEMILL_TIME_LIMIT)
        return tidemill_reject("timer `%s`: %lld ms is no time within +-(2^53 - 1)", timer->handle.name, (long long)time);
    part *p = timer->handle.part;
    wanted w = {p, time, 0};
    TIDEMILL_TRY(tm_current_key(&timer->handle, &w.key));
    uint32_t next = (uint32_t)p->list.len;
    uint32_t i = tm_index_find(&p->index, tm_hash(tidemill_bytes(&time, sizeof time), w.key), next, same, &w);
    if (i == UINT32_MAX) {
        i = next;
        *(operation *)tm_push(&p->list, 1, sizeof(operation)) = (operation){time, w.key, NOTHING};
    }
    operation *o = at(p, i);
    if (o->operation != to) {
        tm_touch(&timer->handle);
        *(undone *)tm_push(&p->undo, 1, sizeof(undone)) = (undone){i, o->operation};
        o->operation = to;
    }
    return TIDEMILL_OK;
}

tidemill_status tidemill_timer_register(tidemill_timer *timer, int64_t time) { return set(timer, time, REGISTER); }

tidemill_status tidemill_timer_cancel(tidemill_timer *timer, int64_t time) { return set(timer, time, CANCEL); }

static void undo(tidemill_handle *h) {
    part *p = h->part;
    for (; p->undo.len; p->undo.len--) {
        undone *u = (undone *)p->undo.data + p->undo.len - 1;
        at(p, u->at)->operation = u->old;
    }
}

static void keep(tidemill_handle *h) { ((part *)h->part)->undo.len = 0; }

static void drop(tidemill_handle *h) {
    part *p = h->part;
    p->list.len = p->undo.len = 0;
    tm_index_clear(&p->index);
}

static void write(tidemill_handle *h) {
    part *p = h->part;
    if (!p->list.len)
        return;
    uint32_t domain = h->kind == TIDEMILL_KIND_PROCESSING_TIMER;
    for (uint32_t which = CANCEL; which >= REGISTER; which--) {
        tm_columns_clear(&p->keys);
        p->times.len = 0;
        for (size_t i = 0; i < p->list.len; i++)
            if (at(p, i)->operation == which) {
                tm_columns_push(&p->keys, tm_key(at(p, i)->key));
                *(int64_t *)tm_push(&p->times, 1, sizeof(int64_t)) = at(p, i)->time;
            }
        tm_view keys = tm_columns_view(&p->keys);
        if (keys.len)
            (which == REGISTER ? tm_host_register : tm_host_cancel)(domain, h->index, &keys, p->times.data);
    }
    drop(h);
}

const struct tidemill_operations tidemill_timer_operations = {undo, keep, write, drop, sizeof(part)};
