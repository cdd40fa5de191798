// Value state: one value per key. The first read in a call fetches it for every key of the batch at once, and what changed
// is written in one request when the call ends.

#include "internal.h"

typedef struct {
    tm_slots slots;
    tm_columns keys, values;
} part;

static tidemill_status slot(tidemill_value *state, uint32_t *id) {
    TIDEMILL_TRY(tm_current_key(&state->handle, id));
    part *p = state->handle.part;
    tm_slots_resize(&p->slots, tm_key_count());
    return TIDEMILL_OK;
}

// Reads every key of the call that is not known yet.
static void fetch(const tidemill_handle *handle, part *p) {
    tm_columns_clear(&p->keys);
    for (size_t id = 0; id < p->slots.slots.len; id++)
        if (!tm_slot_of(&p->slots, (uint32_t)id)->known)
            tm_columns_push(&p->keys, tm_key((uint32_t)id));
    tm_view keys = tm_columns_view(&p->keys);
    tm_view values = tm_host_get(handle->index, &keys, NULL);
    for (size_t id = 0, i = 0; id < p->slots.slots.len; id++)
        if (!tm_slot_of(&p->slots, (uint32_t)id)->known)
            tm_slots_fill(&p->slots, (uint32_t)id, tm_at(&values, i++));
}

tidemill_status tidemill_value_get(tidemill_value *state, tidemill_slice *value) {
    uint32_t id;
    TIDEMILL_TRY(slot(state, &id));
    part *p = state->handle.part;
    if (!tm_slot_of(&p->slots, id)->known)
        fetch(&state->handle, p);
    *value = tm_slots_get(&p->slots, id);
    return TIDEMILL_OK;
}

tidemill_status tidemill_value_set(tidemill_value *state, tidemill_slice value) {
    uint32_t id;
    TIDEMILL_TRY(slot(state, &id));
    tm_touch(&state->handle);
    part *p = state->handle.part;
    tm_slots_set(&p->slots, id, value);
    return TIDEMILL_OK;
}

tidemill_status tidemill_value_clear(tidemill_value *state) { return tidemill_value_set(state, tidemill_absent()); }

tidemill_status tidemill_value_get_struct(tidemill_value *state, void *value, size_t size, bool *there) {
    tidemill_slice bytes;
    TIDEMILL_TRY(tidemill_value_get(state, &bytes));
    if (there)
        *there = bytes.data != NULL;
    if (bytes.data && bytes.len != size)
        return tidemill_fatal("state `%s`: what is stored has %zu bytes, not %zu; rename the state to start it empty, or go back to the "
                              "version of the operator that wrote it", state->handle.name, bytes.len, size);
    memset(value, 0, size);
    if (bytes.data)
        memcpy(value, bytes.data, size);
    return TIDEMILL_OK;
}

tidemill_status tidemill_value_get_u64(tidemill_value *state, uint64_t *value, bool *there) {
    return tidemill_value_get_struct(state, value, sizeof *value, there);
}

tidemill_status tidemill_value_set_u64(tidemill_value *state, uint64_t value) {
    return tidemill_value_set(state, tidemill_bytes(&value, sizeof value));
}

static void undo(tidemill_handle *h) { tm_slots_undo(&((part *)h->part)->slots); }

static void keep(tidemill_handle *h) { tm_slots_keep(&((part *)h->part)->slots); }

static void drop(tidemill_handle *h) { tm_slots_clear(&((part *)h->part)->slots); }

static void write(tidemill_handle *h) {
    part *p = h->part;
    if (p->slots.slots.len == 0)
        return;
    tm_columns_clear(&p->keys);
    tm_columns_clear(&p->values);
    for (size_t id = 0; id < p->slots.slots.len; id++)
        if (tm_slot_of(&p->slots, (uint32_t)id)->dirty) {
            tm_columns_push(&p->keys, tm_key((uint32_t)id));
            tm_columns_push(&p->values, tm_slots_get(&p->slots, (uint32_t)id));
        }
    if (p->keys.ends.len) {
        tm_view keys = tm_columns_view(&p->keys), values = tm_columns_view(&p->values);
        tm_host_put(h->index, &keys, NULL, &values);
    }
    drop(h);
}

const struct tidemill_operations tidemill_value_operations = {undo, keep, write, drop, sizeof(part)};
