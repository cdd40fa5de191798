// List state: values appended per key. Appends of a call are sent in one request; reading puts them after what the host
// has.

#include "internal.h"

typedef struct page {
    tm_view values;
    struct page *next;
} page;

typedef struct {
    uint32_t cleared; // which clearing holds; 0 = none
    bool read;
    page *stored; // the host's values, once read; in the call's memory
} key_list;

// A value appended to a key since a clearing of it.
typedef struct {
    uint32_t key, since, at, len;
} item;

typedef struct {
    uint32_t key, cleared;
} undone;

typedef struct {
    tm_array keys;  // key_list
    tm_array items; // item
    tm_array bytes;
    tm_array undo;  // undone: clearings of the event in progress
    size_t items_before, bytes_before;
    uint32_t clearings;
    tm_columns column_keys, column_values;
} part;

static tidemill_status key_of(tidemill_list *state, uint32_t *key) {
    TIDEMILL_TRY(tm_current_key(&state->handle, key));
    part *p = state->handle.part;
    size_t n = tm_key_count();
    if (p->keys.len < n) {
        size_t more = n - p->keys.len;
        memset(tm_push(&p->keys, more, sizeof(key_list)), 0, more * sizeof(key_list));
    }
    return TIDEMILL_OK;
}

static key_list *list_of(const part *p, uint32_t key) { return (key_list *)p->keys.data + key; }

static void touch(tidemill_list *state) {
    part *p = state->handle.part;
    if (!state->handle.touched) {
        p->items_before = p->items.len;
        p->bytes_before = p->bytes.len;
    }
    tm_touch(&state->handle);
}

tidemill_status tidemill_list_push(tidemill_list *state, tidemill_slice value) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    touch(state);
    part *p = state->handle.part;
    *(item *)tm_push(&p->items, 1, sizeof(item)) = (item){key, list_of(p, key)->cleared, (uint32_t)p->bytes.len, (uint32_t)value.len};
    tm_push_bytes(&p->bytes, value);
    return TIDEMILL_OK;
}

tidemill_status tidemill_list_clear(tidemill_list *state) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    touch(state);
    part *p = state->handle.part;
    *(undone *)tm_push(&p->undo, 1, sizeof(undone)) = (undone){key, list_of(p, key)->cleared};
    list_of(p, key)->cleared = ++p->clearings;
    return TIDEMILL_OK;
}

static void fetch(const tidemill_handle *handle, key_list *list, uint32_t key) {
    list->read = true;
    tidemill_slice cursor = tidemill_absent();
    page **last = &list->stored;
    do {
        tm_page got = tm_host_scan(handle->index, tm_key(key), tidemill_absent(), tidemill_absent(), cursor);
        *last = tidemill_alloc(sizeof(page));
        **last = (page){got.values, NULL};
        last = &(*last)->next;
        cursor = got.cursor;
    } while (cursor.data);
}

tidemill_status tidemill_list_each(tidemill_list *state, tidemill_each_value each, void *context) {
    uint32_t key;
    TIDEMILL_TRY(key_of(state, &key));
    part *p = state->handle.part;
    bool stop = false;
    uint32_t since = list_of(p, key)->cleared;
    if (!since) {
        if (!list_of(p, key)->read)
            fetch(&state->handle, list_of(p, key), key);
        for (page *at = list_of(p, key)->stored; at; at = at->next)
            for (size_t i = 0; i < at->values.len && !stop; i++)
                TIDEMILL_TRY(each(context, tm_at(&at->values, i), &stop));
    }
    size_t n = p->items.len; // `each` may push: what it pushes is not visited
    for (size_t i = 0; i < n && !stop; i++) {
        item one = ((item *)p->items.data)[i];
        if (one.key == key && one.since == since) {
            tidemill_buffer copy = {0}; // pushing moves the bytes
            tidemill_append(&copy, tidemill_bytes((uint8_t *)p->bytes.data + one.at, one.len));
            TIDEMILL_TRY(each(context, tidemill_bytes_of(&copy), &stop));
        }
    }
    return TIDEMILL_OK;
}

static void undo(tidemill_handle *h) {
    part *p = h->part;
    p->items.len = p->items_before;
    p->bytes.len = p->bytes_before;
    for (; p->undo.len; p->undo.len--) {
        undone *u = (undone *)p->undo.data + p->undo.len - 1;
        list_of(p, u->key)->cleared = u->cleared;
    }
}

static void keep(tidemill_handle *h) { ((part *)h->part)->undo.len = 0; }

static void drop(tidemill_handle *h) {
    part *p = h->part;
    p->keys.len = p->items.len = p->bytes.len = p->undo.len = 0;
    p->clearings = 0;
}

static void write(tidemill_handle *h) {
    part *p = h->part;
    tm_columns_clear(&p->column_keys);
    tm_columns_clear(&p->column_values);
    for (size_t key = 0; key < p->keys.len; key++)
        if (list_of(p, (uint32_t)key)->cleared)
            tm_columns_push(&p->column_keys, tm_key((uint32_t)key));
    tm_view keys = tm_columns_view(&p->column_keys);
    if (keys.len)
        tm_host_clear(h->index, &keys);
    tm_columns_clear(&p->column_keys);
    for (size_t i = 0; i < p->items.len; i++) {
        item one = ((item *)p->items.data)[i];
        if (one.since != list_of(p, one.key)->cleared)
            continue;
        tm_columns_push(&p->column_keys, tm_key(one.key));
        tm_columns_push(&p->column_values, tidemill_bytes((uint8_t *)p->bytes.data + one.at, one.len));
    }
    keys = tm_columns_view(&p->column_keys);
    tm_view values = tm_columns_view(&p->column_values);
    if (keys.len)
        tm_host_append(h->index, &keys, &values);
    drop(h);
}

const struct tidemill_operations tidemill_list_operations = {undo, keep, write, drop, sizeof(part)};
