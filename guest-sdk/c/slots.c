// The cache under value and map state: numbered slots whose bytes lie in blocks that do not move. Old bytes stay where they
// are until the event that overwrote them has succeeded, so undoing costs a copy of a few numbers.

#include "internal.h"

enum {
    BLOCK_BYTES = 64 << 10,
    // How much there is before it is tidied between events, once half of it is waste.
    TIDY_BYTES = 256 << 10,
};

typedef struct {
    size_t len, capacity;
    uint8_t data[];
} block;

static block **blocks(const tm_slots *s) { return s->blocks.data; }

typedef struct {
    uint32_t id;
    tm_slot old;
} undone;

void tm_slots_resize(tm_slots *s, size_t n) {
    if (n > s->slots.len) {
        size_t more = n - s->slots.len;
        memset(tm_push(&s->slots, more, sizeof(tm_slot)), 0, more * sizeof(tm_slot));
    }
}

tidemill_slice tm_slots_get(const tm_slots *s, uint32_t id) {
    const tm_slot *slot = tm_slot_of(s, id);
    return slot->present ? tidemill_bytes(slot->data, slot->len) : tidemill_absent();
}

static tm_slot put(tm_slots *s, tidemill_slice bytes, bool dirty) {
    block *last = s->blocks.len ? blocks(s)[s->blocks.len - 1] : NULL;
    if (!last || last->capacity - last->len < bytes.len) {
        size_t capacity = bytes.len > BLOCK_BYTES ? bytes.len : BLOCK_BYTES;
        if (!(last = malloc(sizeof(block) + capacity)))
            tm_trap("out of memory");
        *last = (block){.capacity = capacity};
        *(block **)tm_push(&s->blocks, 1, sizeof last) = last;
    }
    uint8_t *to = last->data + last->len;
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
    last->len += bytes.len;
    s->bytes += bytes.len;
    return (tm_slot){to, (uint32_t)bytes.len, true, bytes.data != NULL, dirty};
}

void tm_slots_fill(tm_slots *s, uint32_t id, tidemill_slice bytes) {
    tm_slot slot = put(s, bytes, false);
    *tm_slot_of(s, id) = slot;
}

void tm_slots_set(tm_slots *s, uint32_t id, tidemill_slice bytes) {
    *(undone *)tm_push(&s->undo, 1, sizeof(undone)) = (undone){id, *tm_slot_of(s, id)};
    tm_slot slot = put(s, bytes, true);
    *tm_slot_of(s, id) = slot;
}

void tm_slots_undo(tm_slots *s) {
    for (undone *u = (undone *)s->undo.data + s->undo.len; s->undo.len; s->undo.len--) {
        u--;
        *tm_slot_of(s, u->id) = u->old;
    }
}

// Frees the blocks from one on.
static void shrink(tm_array *all, size_t from) {
    for (; all->len > from; all->len--)
        free(((block **)all->data)[all->len - 1]);
}

void tm_slots_keep(tm_slots *s) {
    s->undo.len = 0;
    if (s->bytes <= TIDY_BYTES || s->bytes <= s->tidy_at)
        return;
    tm_array old = s->blocks;
    s->blocks = (tm_array){0};
    s->bytes = 0;
    for (size_t i = 0; i < s->slots.len; i++) {
        tm_slot *slot = tm_slot_of(s, (uint32_t)i);
        if (slot->present)
            slot->data = put(s, (tidemill_slice){slot->data, slot->len}, slot->dirty).data;
    }
    shrink(&old, 0);
    free(old.data);
    s->tidy_at = 2 * s->bytes;
}

void tm_slots_clear(tm_slots *s) {
    s->slots.len = s->undo.len = s->bytes = s->tidy_at = 0;
    shrink(&s->blocks, 1);
    if (s->blocks.len) {
        block *first = blocks(s)[0];
        first->len = 0;
        if (first->capacity > BLOCK_BYTES)
            shrink(&s->blocks, 0);
    }
}
