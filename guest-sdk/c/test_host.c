// The host in memory, for native tests. It holds the operator to the contract as the real host does: what would trap there
// ends the program here.

#ifndef __wasm__

#include "test_host.h"
#include <stdio.h>

struct test_state test_host;

// Entries in a page of a scan: few, so that tests cross pages.
enum { PAGE = 3 };

void test_trap(const char *why) {
    fprintf(stderr, "trap: %s\n", why);
    abort();
}

tidemill_slice test_keep(tidemill_slice bytes) {
    if (!bytes.data)
        return bytes;
    uint8_t *copy = malloc(bytes.len + 1);
    if (!copy)
        test_trap("out of memory");
    memcpy(copy, bytes.data, bytes.len);
    return tidemill_bytes(copy, bytes.len);
}

static void copy_array(tm_array *to, const tm_array *from, size_t width) {
    to->len = 0;
    void *room = tm_push(to, from->len, width);
    if (from->len)
        memcpy(room, from->data, from->len * width);
}

static void copy_contents(test_contents *to, const test_contents *from) {
    copy_array(&to->entries, &from->entries, sizeof(test_entry));
    copy_array(&to->timers, &from->timers, sizeof(test_timer));
    copy_array(&to->output, &from->output, sizeof(test_output));
    memcpy(to->metrics, from->metrics, sizeof to->metrics);
    to->appended = from->appended;
}

void test_begin(int64_t watermark, const tidemill_record *about, size_t count) {
    test_host.watermark = watermark;
    test_host.about = about;
    test_host.about_count = count;
    test_free_what_is_over();
    copy_contents(&test_host.before, &test_host.now);
}

void test_roll_back(void) { copy_contents(&test_host.now, &test_host.before); }

// The handle of a state, NULL if there is none.
static const tidemill_handle *state_handle(uint32_t state) {
    for (tidemill_handle *const *h = test_host.handles; h && *h; h++)
        if ((*h)->kind <= TIDEMILL_KIND_LIST && (*h)->index == state)
            return *h;
    return NULL;
}

static tidemill_kind check(uint32_t state, const char *call, bool value, bool map, bool list) {
    const tidemill_handle *h = state_handle(state);
    if (h && ((h->kind == TIDEMILL_KIND_VALUE && value) || (h->kind == TIDEMILL_KIND_MAP && map) || (h->kind == TIDEMILL_KIND_LIST && list)))
        return h->kind;
    fprintf(stderr, "state.%s on state %u\n", call, state);
    test_trap("no such state, or one of another kind");
}

static test_entry *entry(size_t i) { return (test_entry *)test_host.now.entries.data + i; }

static int order(const test_entry *e, uint32_t state, tidemill_slice key, tidemill_slice sub_key) {
    if (e->state != state)
        return e->state < state ? -1 : 1;
    int keys = tidemill_compare(e->key, key);
    return keys ? keys : tidemill_compare(e->sub_key, sub_key);
}

// The first entry that is not before this.
static size_t lower_bound(uint32_t state, tidemill_slice key, tidemill_slice sub_key) {
    size_t low = 0, high = test_host.now.entries.len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (order(entry(middle), state, key, sub_key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is(size_t i, uint32_t state, tidemill_slice key, tidemill_slice sub_key) {
    return i < test_host.now.entries.len && order(entry(i), state, key, sub_key) == 0;
}

static void remove_at(tm_array *a, size_t i, size_t width) {
    uint8_t *at = (uint8_t *)a->data + i * width;
    memmove(at, at + width, (--a->len - i) * width);
}

static void *insert_at(tm_array *a, size_t i, size_t width) {
    tm_push(a, 1, width);
    uint8_t *at = (uint8_t *)a->data + i * width;
    memmove(at + width, at, (a->len - 1 - i) * width);
    return at;
}

void test_free_what_is_over(void) {
    for (size_t i = test_host.now.entries.len; i-- > 0;) {
        const tidemill_ttl *ttl = &state_handle(entry(i)->state)->ttl;
        if (ttl->ms && entry(i)->stamp + ttl->ms <= (ttl->clock == TIDEMILL_CLOCK_EVENT ? test_host.watermark : test_host.clock))
            remove_at(&test_host.now.entries, i, sizeof(test_entry));
    }
}

// In event time the newest time of the key's events in the call, or of all where it has none, and no less than the watermark.
static int64_t stamp(uint32_t state, tidemill_slice key) {
    if (state_handle(state)->ttl.clock != TIDEMILL_CLOCK_EVENT)
        return test_host.clock;
    int64_t newest = INT64_MIN, of_key = INT64_MIN;
    for (size_t i = 0; i < test_host.about_count; i++) {
        const tidemill_record *r = &test_host.about[i];
        newest = r->time > newest ? r->time : newest;
        if (tidemill_equal(r->key, key) && r->time > of_key)
            of_key = r->time;
    }
    newest = of_key != INT64_MIN ? of_key : newest;
    return newest > test_host.watermark ? newest : test_host.watermark;
}

// The value of an entry, which lasts longer where reading does that.
static tidemill_slice read(size_t i) {
    test_entry *e = entry(i);
    if (state_handle(e->state)->ttl.refresh == TIDEMILL_REFRESH_READ_AND_WRITE)
        e->stamp = stamp(e->state, e->key);
    return e->value;
}

static void put(uint32_t state, tidemill_slice key, tidemill_slice sub_key, tidemill_slice value) {
    size_t i = lower_bound(state, key, sub_key);
    if (is(i, state, key, sub_key))
        remove_at(&test_host.now.entries, i, sizeof(test_entry));
    if (value.data) {
        test_entry made = {state, test_keep(key), test_keep(sub_key), test_keep(value), stamp(state, key)};
        *(test_entry *)insert_at(&test_host.now.entries, i, sizeof made) = made;
    }
}

static tm_view lasting(const tm_columns *made) { return tm_columns_view(made); } // its arrays are not used again

tm_view tm_host_get(uint32_t state, const tm_view *keys, const tm_view *sub_keys) {
    check(state, "get", !sub_keys, sub_keys, false);
    test_host.calls.get++;
    tm_columns out = {0};
    for (size_t i = 0; i < keys->len; i++) {
        tidemill_slice key = tm_at(keys, i), sub = sub_keys ? tm_at(sub_keys, i) : tidemill_text("");
        size_t at = lower_bound(state, key, sub);
        tm_columns_push(&out, is(at, state, key, sub) ? read(at) : tidemill_absent());
    }
    return lasting(&out);
}

void tm_host_put(uint32_t state, const tm_view *keys, const tm_view *sub_keys, const tm_view *values) {
    check(state, "put", !sub_keys, sub_keys, false);
    test_host.calls.put++;
    if (keys->len != values->len || (sub_keys && sub_keys->len != keys->len))
        test_trap("state.put needs one value per key");
    for (size_t i = 0; i < keys->len; i++)
        put(state, tm_at(keys, i), sub_keys ? tm_at(sub_keys, i) : tidemill_text(""), tm_at(values, i));
}

void tm_host_append(uint32_t state, const tm_view *keys, const tm_view *values) {
    check(state, "append", false, false, true);
    test_host.calls.append++;
    if (keys->len != values->len)
        test_trap("state.append needs one value per key");
    for (size_t i = 0; i < keys->len; i++)
        put(state, tm_at(keys, i), tidemill_sub_key_i64((int64_t)++test_host.now.appended), tm_at(values, i));
}

void tm_host_clear(uint32_t state, const tm_view *keys) {
    check(state, "clear", true, true, true);
    test_host.calls.clear++;
    for (size_t i = 0; i < keys->len; i++)
        for (size_t at; at = lower_bound(state, tm_at(keys, i), tidemill_text("")), at < test_host.now.entries.len && entry(at)->state == state && tidemill_equal(entry(at)->key, tm_at(keys, i));)
            remove_at(&test_host.now.entries, at, sizeof(test_entry));
}

tm_page tm_host_scan(uint32_t state, tidemill_slice key, tidemill_slice start, tidemill_slice end, tidemill_slice cursor) {
    tidemill_kind kind = check(state, "scan", false, true, true);
    test_host.calls.scan++;
    tm_columns subs = {0}, values = {0};
    size_t skip = 0, seen = 0;
    if (cursor.data)
        memcpy(&skip, cursor.data, sizeof skip);
    size_t at = lower_bound(state, key, start.data ? start : tidemill_text(""));
    tm_page page = {.cursor = tidemill_absent()};
    for (; at < test_host.now.entries.len; at++, seen++) {
        const test_entry *e = entry(at);
        if (e->state != state || !tidemill_equal(e->key, key) || (end.data && tidemill_compare(e->sub_key, end) >= 0))
            break;
        if (seen == skip + PAGE) {
            page.cursor = test_keep(tidemill_bytes(&seen, sizeof seen));
            break;
        }
        if (seen >= skip) {
            tm_columns_push(&subs, kind == TIDEMILL_KIND_LIST ? tidemill_text("") : e->sub_key);
            tm_columns_push(&values, read(at));
        }
    }
    page.sub_keys = lasting(&subs);
    page.values = lasting(&values);
    return page;
}

static test_timer *timer_at(size_t i) { return (test_timer *)test_host.now.timers.data + i; }

static int timer_order(const test_timer *a, const test_timer *b) {
    if (a->domain != b->domain)
        return a->domain < b->domain ? -1 : 1;
    if (a->time != b->time)
        return a->time < b->time ? -1 : 1;
    if (a->timer != b->timer)
        return a->timer < b->timer ? -1 : 1;
    return tidemill_compare(a->key, b->key);
}

static void set_timers(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times, bool there) {
    test_host.calls.timers++;
    for (size_t i = 0; i < keys->len; i++) {
        test_timer one = {domain, timer, times[i], test_keep(tm_at(keys, i))};
        size_t at = 0;
        while (at < test_host.now.timers.len && timer_order(timer_at(at), &one) < 0)
            at++;
        bool found = at < test_host.now.timers.len && timer_order(timer_at(at), &one) == 0;
        if (there && !found)
            *(test_timer *)insert_at(&test_host.now.timers, at, sizeof one) = one;
        if (!there && found)
            remove_at(&test_host.now.timers, at, sizeof one);
    }
}

void tm_host_register(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times) { set_timers(domain, timer, keys, times, true); }

void tm_host_cancel(uint32_t domain, uint32_t timer, const tm_view *keys, const int64_t *times) { set_timers(domain, timer, keys, times, false); }

size_t test_take_due(int64_t watermark, tm_columns *keys, tm_array *times, uint32_t *domain, uint32_t *timer) {
    tm_columns_clear(keys);
    times->len = 0;
    for (size_t i = 0; i < test_host.now.timers.len;) {
        test_timer one = *timer_at(i);
        if (one.time > (one.domain ? test_host.clock : watermark)) {
            i++;
            continue;
        }
        tm_view so_far = tm_columns_view(keys);
        bool other = times->len && (one.domain != *domain || one.timer != *timer);
        for (size_t k = 0; k < so_far.len; k++)
            other |= tidemill_equal(tm_at(&so_far, k), one.key);
        if (other)
            break;
        *domain = one.domain;
        *timer = one.timer;
        tm_columns_push(keys, one.key);
        *(int64_t *)tm_push(times, 1, sizeof(int64_t)) = one.time;
        remove_at(&test_host.now.timers, i, sizeof one);
    }
    return times->len;
}

void test_emitted(uint32_t port, const tm_events *events) {
    size_t header_at = 0;
    for (size_t i = 0; i < events->len; i++) {
        tidemill_event e = tm_event_at(events, i, 0, 0, &header_at);
        tm_array headers = {0};
        tidemill_header header;
        for (size_t at = 0; tidemill_next_header(&e, &at, &header);)
            *(tidemill_header *)tm_push(&headers, 1, sizeof header) = (tidemill_header){test_keep(header.name), test_keep(header.value)};
        test_output made = {port, {test_keep(e.key), test_keep(e.value), e.timestamp, headers.data, headers.len}};
        *(test_output *)tm_push(&test_host.now.output, 1, sizeof made) = made;
    }
}

void tm_host_emit(uint32_t port, const tm_events *events) {
    test_host.calls.emit++;
    if (events->keys.len != events->len || events->values.len != events->len)
        test_trap("the columns of an emitted batch differ in length");
    test_emitted(port, events);
}

static double *metric(uint32_t index) {
    if (index >= TEST_METRICS)
        test_trap("more metrics than a test has room for");
    return &test_host.now.metrics[index];
}

void tm_host_add(uint32_t index, uint64_t amount) { *metric(index) += (double)amount; }

void tm_host_set(uint32_t index, double value) { *metric(index) = value; }

void tm_host_observe(uint32_t index, const double *values, size_t len) {
    for (size_t i = 0; i < len; i++)
        *metric(index) += values[i];
}

void tm_host_log(uint32_t level, tidemill_slice message) {
    (void)level;
    *(tidemill_slice *)tm_push(&test_host.log, 1, sizeof message) = test_keep(message);
}

tidemill_subtask tidemill_current_subtask(void) { return (tidemill_subtask){0, 1, 128}; }

int64_t tidemill_now(void) { return test_host.clock; }

#else
typedef int tm_test_host_is_native; // a translation unit is not empty
#endif
