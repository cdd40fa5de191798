// Columns that are built, and the headers column (wit/README.md: count, then length, name, length, value each; numbers are
// u32, little-endian).

#include "internal.h"

static const uint32_t no_ends[1];

void tm_columns_push(tm_columns *c, tidemill_slice value) {
    if (!value.data && c->present.len == 0 && c->ends.len > 0)
        memset(tm_push(&c->present, c->ends.len, 1), 1, c->ends.len);
    if (!value.data || c->present.len > 0)
        *(uint8_t *)tm_push(&c->present, 1, 1) = value.data != NULL;
    tm_push_bytes(&c->data, value);
    *(uint32_t *)tm_push(&c->ends, 1, 4) = (uint32_t)c->data.len;
}

void tm_columns_clear(tm_columns *c) { c->data.len = c->ends.len = c->present.len = 0; }

tm_view tm_columns_view(const tm_columns *c) {
    return (tm_view){
        .data = c->data.data ? c->data.data : (const uint8_t *)"",
        .ends = c->ends.data ? c->ends.data : no_ends,
        .present = c->present.len ? c->present.data : NULL,
        .data_len = c->data.len,
        .len = c->ends.len,
    };
}

static bool take_u32(tidemill_slice *rest, uint32_t *n) {
    if (rest->len < 4)
        return false;
    memcpy(n, rest->data, 4);
    rest->data += 4;
    rest->len -= 4;
    return true;
}

static bool take_bytes(tidemill_slice *rest, tidemill_slice *taken) {
    uint32_t n;
    if (!take_u32(rest, &n) || n > rest->len)
        return false;
    *taken = tidemill_bytes(rest->data, n);
    rest->data += n;
    rest->len -= n;
    return true;
}

// The host has checked the column; an entry that is cut short takes all.
size_t tm_header_entry_len(tidemill_slice column) {
    uint32_t count;
    tidemill_slice rest = column, taken;
    if (!take_u32(&rest, &count))
        return column.len;
    for (uint64_t n = (uint64_t)count * 2; n; n--)
        if (!take_bytes(&rest, &taken))
            return column.len;
    return column.len - rest.len;
}

bool tidemill_next_header(const tidemill_event *event, size_t *at, tidemill_header *header) {
    if (event->headers.len <= 4)
        return false;
    size_t start = *at ? *at : 4; // after the count
    tidemill_slice rest = {event->headers.data + start, event->headers.len - start};
    if (!take_bytes(&rest, &header->name) || !take_bytes(&rest, &header->value))
        return false;
    *at = event->headers.len - rest.len;
    return true;
}

tidemill_slice tidemill_get_header(const tidemill_event *event, const char *name) {
    tidemill_header header;
    for (size_t at = 0; tidemill_next_header(event, &at, &header);)
        if (tidemill_equal(header.name, tidemill_text(name)))
            return header.value;
    return tidemill_absent();
}

static void push_u32(tm_array *column, size_t n) {
    uint32_t number = (uint32_t)n;
    tm_push_bytes(column, tidemill_bytes(&number, 4));
}

void tm_push_headers(tm_array *column, const tidemill_header *headers, size_t count) {
    push_u32(column, count);
    for (size_t i = 0; i < count; i++) {
        push_u32(column, headers[i].name.len);
        tm_push_bytes(column, headers[i].name);
        push_u32(column, headers[i].value.len);
        tm_push_bytes(column, headers[i].value);
    }
}
