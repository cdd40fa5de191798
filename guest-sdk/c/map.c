// Map state: sub-keys with values, in order, per key. Each entry is read when first needed; a cleared key is known to be
// empty and asks the host nothing more. A scan merges what the host has with what the call wrote.

#include "internal.h"

// An entry belongs to a key since a clearing of it: older ones are not seen.
typedef struct {
    uint32_t key, since;
    size_t at, len; // its sub-key, in `sub_keys`
} entry;

typedef struct {
    uint32_t cleared; // which clearing holds; 0 = none
} key_state;

typedef struct {
    uint32_t key;
    key_state old;
} undone;

typedef struct {
    tm_slots slots;
    tm_array entries;  // entry; number i has slot i
    tm_array sub_keys; // bytes
    tm_array keys;     // key_state
    tm_array undo;     // undone
    tm_index index;
    uint32_t clearings;
    tm_columns put_keys, put_subs, put_values;
    tm_array order; // uint32_t
} part;

typedef struct {
    const part *p;
    uint32_t key, since;
    tidemill_slice sub_key;
} wanted;

static entry *entry_of(const part *p, uint32_t id) { return (entry *)p->entries.data + id; }

static tidemill_slice sub_key_of(const part *p, uint32_t id) {
    const entry *e = entry_of(p, id);
    return tidemill_bytes((uint8_t *)p->sub_keys.data + e->at, e->len);
}

static uint32_t cleared(const part *p, uint32_t key) { return ((key_state *)p->keys.data)[key].cleared; }

static bool same_entry(const void *context, uint32_t id) {
    const wanted *w = context;
    const entry *e = entry_of(w->p, id);
    return e->key == w->key && e->since == w->since && tidemill_equal(sub_key_of(w->p, id), w->sub_key);
}

static tidemill_status key_of(tidemill_map *state, uint32_t *key) {
    TIDEMILL_TRY(tm_current_key(&state->handle, key));
    part *p = state->handle.part;
    size_t n = tm_key_count();
    if (p->keys.len < n) {
        size_t more = n - p->keys.len;
        memset(tm_push(&p->keys, more, sizeof(key_state)), 0, more * sizeof(key_state));
    }
    return TIDEMILL_OK;
}

// The slot of an entry, made if need be.
static tidemill_status slot(tidemill_map *state, tidemill_slice sub_key, uint32_t *id) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    part *p = state->handle.part;
    wanted w = {p, key, cleared(p, key), sub_key};
    uint32_t next = (uint32_t)p->entries.len;
    *id = tm_index_find(&p->index, tm_hash(sub_key, (uint64_t)key << 32 | w.since), next, same_entry, &w);
    if (*id != UINT32_MAX)
        return TIDEMILL_OK;
    *id = next;
    *(entry *)tm_push(&p->entries, 1, sizeof(entry)) = (entry){key, w.since, p->sub_keys.len, sub_key.len};
    tm_push_bytes(&p->sub_keys, sub_key);
    tm_slots_resize(&p->slots, next + 1);
    if (w.since)
        tm_slots_fill(&p->slots, next, tidemill_absent());
    return TIDEMILL_OK;
}

tidemill_status tidemill_map_get(tidemill_map *state, tidemill_slice sub_key, tidemill_slice *value) {
    uint32_t id;
    TIDEMILL_TRY(slot(state, sub_key, &id));
    part *p = state->handle.part;
    if (!tm_slot_of(&p->slots, id)->known) {
        tm_columns_clear(&p->put_keys);
        tm_columns_clear(&p->put_subs);
        tm_columns_push(&p->put_keys, tm_key(entry_of(p, id)->key));
        tm_columns_push(&p->put_subs, sub_key);
        tm_view keys = tm_columns_view(&p->put_keys), subs = tm_columns_view(&p->put_subs);
        tm_view values = tm_host_get(state->handle.index, &keys, &subs);
        tm_slots_fill(&p->slots, id, tm_at(&values, 0));
    }
    *value = tm_slots_get(&p->slots, id);
    return TIDEMILL_OK;
}

tidemill_status tidemill_map_put(tidemill_map *state, tidemill_slice sub_key, tidemill_slice value) {
    uint32_t id;
    TIDEMILL_TRY(slot(state, sub_key, &id));
    tm_touch(&state->handle);
    part *p = state->handle.part;
    tm_slots_set(&p->slots, id, value);
    return TIDEMILL_OK;
}

tidemill_status tidemill_map_delete(tidemill_map *state, tidemill_slice sub_key) { return tidemill_map_put(state, sub_key, tidemill_absent()); }

tidemill_status tidemill_map_clear(tidemill_map *state) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    tm_touch(&state->handle);
    part *p = state->handle.part;
    key_state *of = (key_state *)p->keys.data + key;
    *(undone *)tm_push(&p->undo, 1, sizeof(undone)) = (undone){key, *of};
    of->cleared = ++p->clearings;
    return TIDEMILL_OK;
}

// qsort has no context: what is sorted, for the time of the call.
static const part *sorted;

static int by_key(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t kx = entry_of(sorted, x)->key, ky = entry_of(sorted, y)->key;
    return kx != ky ? (kx > ky) - (kx < ky) : tidemill_compare(sub_key_of(sorted, x), sub_key_of(sorted, y));
}

// The entries that the call wrote, of one key (UINT32_MAX = all), in order of keys and sub-keys.
static void written(part *p, uint32_t key) {
    p->order.len = 0;
    for (size_t i = 0; i < p->entries.len; i++) {
        const entry *e = entry_of(p, (uint32_t)i);
        if ((key == UINT32_MAX || e->key == key) && e->since == cleared(p, e->key) && tm_slot_of(&p->slots, (uint32_t)i)->dirty)
            *(uint32_t *)tm_push(&p->order, 1, sizeof(uint32_t)) = (uint32_t)i;
    }
    sorted = p;
    if (p->order.len)
        qsort(p->order.data, p->order.len, sizeof(uint32_t), by_key);
}

static tidemill_slice copy(tidemill_slice bytes) {
    if (!bytes.data)
        return bytes;
    tidemill_buffer b = {0};
    tidemill_append(&b, bytes);
    return tidemill_bytes_of(&b);
}

typedef struct {
    tidemill_slice sub_key, value;
} seen;

tidemill_status tidemill_map_each(tidemill_map *state, tidemill_slice from, tidemill_slice to, tidemill_each_entry each, void *context) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    part *p = state->handle.part;
    written(p, key);
    // What the call wrote, copied into the call's memory: `each` may write, which moves the cache.
    size_t n = 0, w = 0;
    seen *own = tidemill_alloc(p->order.len * sizeof *own);
    for (size_t i = 0; i < p->order.len; i++) {
        uint32_t id = ((uint32_t *)p->order.data)[i];
        tidemill_slice sub = sub_key_of(p, id);
        if ((from.data && tidemill_compare(sub, from) < 0) || (to.data && tidemill_compare(sub, to) >= 0))
            continue;
        own[n++] = (seen){copy(sub), copy(tm_slots_get(&p->slots, id))};
    }
    bool stop = false;
    tidemill_slice cursor = tidemill_absent(), of = copy(tm_key(key));
    for (bool more = !cleared(p, key); more && !stop; more = cursor.data != NULL) {
        tm_page page = tm_host_scan(state->handle.index, of, from, to, cursor);
        cursor = page.cursor;
        for (size_t i = 0; i < page.sub_keys.len && !stop; i++) {
            seen there = {tm_at(&page.sub_keys, i), tm_at(&page.values, i)};
            for (; w < n && !stop && tidemill_compare(own[w].sub_key, there.sub_key) < 0; w++)
                if (own[w].value.data)
                    TIDEMILL_TRY(each(context, own[w].sub_key, own[w].value, &stop));
            if (w < n && tidemill_equal(own[w].sub_key, there.sub_key))
                there.value = own[w++].value;
            if (!stop && there.value.data)
                TIDEMILL_TRY(each(context, there.sub_key, there.value, &stop));
        }
    }
    for (; w < n && !stop; w++)
        if (own[w].value.data)
            TIDEMILL_TRY(each(context, own[w].sub_key, own[w].value, &stop));
    return TIDEMILL_OK;
}

tidemill_slice tidemill_sub_key_i64(int64_t number) {
    uint64_t n = (uint64_t)number ^ (uint64_t)1 << 63; // negative numbers before the others
    uint8_t *bytes = tidemill_alloc(8);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(n >> (8 * (7 - i)));
    return tidemill_bytes(bytes, 8);
}

int64_t tidemill_sub_key_to_i64(tidemill_slice sub_key) {
    uint64_t n = 0;
    for (size_t i = 0; i < 8 && i < sub_key.len; i++)
        n = n << 8 | sub_key.data[i];
    return (int64_t)(n ^ (uint64_t)1 << 63);
}

static void undo(tidemill_handle *h) {
    part *p = h->part;
    for (; p->undo.len; p->undo.len--) {
        undone *u = (undone *)p->undo.data + p->undo.len - 1;
        ((key_state *)p->keys.data)[u->key] = u->old;
    }
    tm_slots_undo(&p->slots);
}

static void keep(tidemill_handle *h) {
    part *p = h->part;
    p->undo.len = 0;
    tm_slots_keep(&p->slots);
}

static void drop(tidemill_handle *h) {
    part *p = h->part;
    p->entries.len = p->sub_keys.len = p->keys.len = p->undo.len = 0;
    p->clearings = 0;
    tm_index_clear(&p->index);
    tm_slots_clear(&p->slots);
}

static void write(tidemill_handle *h) {
    part *p = h->part;
    if (p->keys.len == 0)
        return;
    tm_columns_clear(&p->put_keys);
    for (size_t key = 0; key < p->keys.len; key++)
        if (cleared(p, (uint32_t)key))
            tm_columns_push(&p->put_keys, tm_key((uint32_t)key));
    tm_view keys = tm_columns_view(&p->put_keys);
    if (keys.len)
        tm_host_clear(h->index, &keys);
    tm_columns_clear(&p->put_keys);
    tm_columns_clear(&p->put_subs);
    tm_columns_clear(&p->put_values);
    written(p, UINT32_MAX);
    for (size_t i = 0; i < p->order.len; i++) {
        uint32_t id = ((uint32_t *)p->order.data)[i];
        tm_columns_push(&p->put_keys, tm_key(entry_of(p, id)->key));
        tm_columns_push(&p->put_subs, sub_key_of(p, id));
        tm_columns_push(&p->put_values, tm_slots_get(&p->slots, id));
    }
    if (p->order.len) {
        keys = tm_columns_view(&p->put_keys);
        tm_view subs = tm_columns_view(&p->put_subs), values = tm_columns_view(&p->put_values);
        tm_host_put(h->index, &keys, &subs, &values);
    }
    drop(h);
}

const struct tidemill_operations tidemill_map_operations = {undo, keep, write, drop, sizeof(part)};
