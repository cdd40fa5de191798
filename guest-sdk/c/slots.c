// The cache under value and map state: numbered slots whose bytes lie in one arena. Old bytes stay where they are until the
// event that overwrote them has succeeded, so undoing costs a copy of a few numbers.

#include "internal.h"

// How large the arena is before it is tidied between events, once half of it is waste.
enum { TIDY_BYTES = 256 << 10 };

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
    return slot->present ? tidemill_bytes((uint8_t *)s->arena.data + slot->at, slot->len) : tidemill_absent();
}

static tm_slot put(tm_slots *s, tidemill_slice bytes, bool dirty) {
    tm_slot slot = {(uint32_t)s->arena.len, (uint32_t)bytes.len, true, bytes.data != NULL, dirty};
    // The bytes may be a value of this very arena, which may move.
    const uint8_t *arena = s->arena.data;
    bool own = arena && bytes.data >= arena && bytes.data < arena + s->arena.len;
    size_t at = own ? (size_t)(bytes.data - arena) : 0;
    uint8_t *to = tm_push(&s->arena, bytes.len, 1);
    if (bytes.len)
        memcpy(to, own ? (uint8_t *)s->arena.data + at : bytes.data, bytes.len);
    return slot;
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

void tm_slots_keep(tm_slots *s) {
    s->undo.len = 0;
    if (s->arena.len <= TIDY_BYTES || s->arena.len <= s->tidy_at)
        return;
    tm_array arena = {0};
    for (size_t i = 0; i < s->slots.len; i++) {
        tm_slot *slot = tm_slot_of(s, (uint32_t)i);
        tidemill_slice bytes = {(uint8_t *)s->arena.data + slot->at, slot->len};
        slot->at = (uint32_t)arena.len;
        tm_push_bytes(&arena, bytes);
    }
    free(s->arena.data);
    s->arena = arena;
    s->tidy_at = 2 * arena.len;
}

void tm_slots_clear(tm_slots *s) { s->arena.len = s->slots.len = s->undo.len = 0; }
