// Memory: the arena of a call, arrays that are used again, indexes, slices. Running out is a trap: the host gives the
// call to a fresh instance or stops, and nothing half done is kept.

#include "internal.h"

void tm_trap(const char *why) {
    tm_host_log(TIDEMILL_ERROR, tidemill_text(why));
#ifdef __wasm__
    __builtin_trap();
#else
    abort();
#endif
}

typedef struct chunk {
    struct chunk *next;
    size_t size, used;
    uint64_t words[];
} chunk;

enum { CHUNK = 256 << 10 };

static chunk *first, *now;

void *tidemill_alloc(size_t size) {
    size = (size + 7) & ~(size_t)7;
    while (now && now->used + size > now->size && now->next)
        now = now->next;
    if (!now || now->used + size > now->size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk *made = room > SIZE_MAX - sizeof(chunk) - 8 ? NULL : malloc(sizeof(chunk) + room);
        if (!made)
            tm_trap("out of memory");
        *made = (chunk){.size = room};
        if (now)
            now->next = made;
        else
            first = made;
        now = made;
    }
    void *p = (uint8_t *)now->words + now->used;
    now->used += size;
    return p;
}

// Chunks of the usual size stay; what one large call needed beyond goes back.
void tm_arena_reset(void) {
    size_t kept = 0;
    for (chunk **at = &first; *at;) {
        chunk *c = *at;
        c->used = 0;
        if (c->size > CHUNK || ++kept > 32) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    }
    now = first;
}

void *tm_push(tm_array *a, size_t more, size_t width) {
    if (a->len + more > a->capacity) {
        size_t capacity = a->capacity * 2 + more + 64 / width + 1;
        void *data = capacity < a->len || capacity > SIZE_MAX / width ? NULL : realloc(a->data, capacity * width);
        if (!data)
            tm_trap("out of memory");
        a->data = data;
        a->capacity = capacity;
    }
    void *p = (uint8_t *)a->data + a->len * width;
    a->len += more;
    return p;
}

void tm_push_bytes(tm_array *a, tidemill_slice bytes) {
    void *to = tm_push(a, bytes.len, 1);
    if (bytes.len)
        memcpy(to, bytes.data, bytes.len);
}

void tidemill_append(tidemill_buffer *b, tidemill_slice bytes) {
    if (b->len + bytes.len > b->capacity) {
        size_t capacity = 2 * b->capacity + bytes.len + 32;
        uint8_t *data = tidemill_alloc(capacity);
        if (b->len)
            memcpy(data, b->data, b->len);
        b->data = data;
        b->capacity = capacity;
    }
    if (bytes.len)
        memcpy(b->data + b->len, bytes.data, bytes.len);
    b->len += bytes.len;
}

bool tidemill_equal(tidemill_slice a, tidemill_slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

int tidemill_compare(tidemill_slice a, tidemill_slice b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool tidemill_next_char(tidemill_slice text, size_t *at, uint32_t *c) {
    if (*at >= text.len)
        return false;
    const uint8_t *p = text.data + *at;
    size_t more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0x80 ? 1 : 0;
    if (more && (p[0] < 0xc2 || p[0] > 0xf4 || text.len - *at <= more))
        return false;
    *c = more ? p[0] & (0x3f >> more) : p[0];
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
        *c = *c << 6 | (p[i] & 0x3f);
    }
    // Longer than need be, a surrogate, or past the last character.
    if ((more == 2 && *c < 0x800) || (more == 3 && *c < 0x10000) || (*c >= 0xd800 && *c <= 0xdfff) || *c > 0x10ffff)
        return false;
    *at += more + 1;
    return true;
}

bool tidemill_is_utf8(tidemill_slice text) {
    size_t at = 0;
    for (uint32_t c; tidemill_next_char(text, &at, &c);)
        continue;
    return at == text.len;
}

void tidemill_append_char(tidemill_buffer *b, uint32_t c) {
    uint8_t u[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        u[i] = (uint8_t)(0x80 | (c & 0x3f));
    u[0] = (uint8_t)(first[n] | c);
    tidemill_append(b, tidemill_bytes(u, n));
}

// No seed of its own: the guest has no randomness, and replay must be exact.
uint64_t tm_hash(tidemill_slice bytes, uint64_t seed) {
    const uint64_t m = 0x9e3779b97f4a7c15;
    uint64_t h = (bytes.len ^ seed) * m, word;
    const uint8_t *p = bytes.data;
    size_t left = bytes.len;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * m;
        h ^= h >> 29;
    }
    word = 0;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    h = (h ^ word) * m;
    h ^= h >> 32;
    h *= m;
    return h ^ h >> 29;
}

static void put(tm_index *index, uint64_t entry, uint64_t hash) {
    size_t mask = index->size - 1, at = hash & mask;
    while (index->table[at])
        at = (at + 1) & mask;
    index->table[at] = entry;
}

uint32_t tm_index_find(tm_index *index, uint64_t hash, uint32_t next, bool (*same)(const void *, uint32_t), const void *context) {
    // The place in the table comes from the upper half too, which is all that is kept when it grows.
    hash >>= 32;
    if (index->len * 2 >= index->size) {
        tm_index grown = {.size = index->size ? index->size * 2 : 64, .len = index->len};
        if (!(grown.table = calloc(grown.size, sizeof *grown.table)))
            tm_trap("out of memory");
        for (size_t i = 0; i < index->size; i++)
            if (index->table[i])
                put(&grown, index->table[i], index->table[i] >> 32);
        free(index->table);
        *index = grown;
    }
    size_t mask = index->size - 1, at = hash & mask;
    for (uint64_t entry; (entry = index->table[at]); at = (at + 1) & mask)
        if (entry >> 32 == hash && same(context, (uint32_t)entry - 1))
            return (uint32_t)entry - 1;
    index->table[at] = hash << 32 | (next + 1);
    index->len++;
    return UINT32_MAX;
}

void tm_index_clear(tm_index *index) {
    if (index->size > 1 << 16) { // of one large call
        free(index->table);
        index->table = NULL;
        index->size = 0;
    } else if (index->len) {
        memset(index->table, 0, index->size * sizeof *index->table);
    }
    index->len = 0;
}
