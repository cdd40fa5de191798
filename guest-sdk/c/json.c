// JSON as far as rows and configuration need it: finding members, numbers, strings. A value is checked as it is walked.

#include "internal.h"

// The deepest nesting that is walked.
enum { DEPTH = 64 };

typedef struct {
    const uint8_t *at, *end;
} cursor;

static void space(cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(cursor *c, uint8_t byte) {
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    return true;
}

static bool word(cursor *c, const char *text) {
    size_t len = strlen(text);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

static bool digits(cursor *c) {
    const uint8_t *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > start;
}

static bool hex(cursor *c, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        if (c->at == c->end)
            return false;
        uint8_t d = *c->at++;
        uint32_t n = d >= '0' && d <= '9' ? d - 48u : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10u : 16;
        if (n > 15)
            return false;
        *code = *code * 16 + n;
    }
    return true;
}

// Walks a string; its text goes to `into` unless that is NULL.
static bool string(cursor *c, tidemill_buffer *into) {
    if (!take(c, '"'))
        return false;
    while (c->at < c->end) {
        const uint8_t *start = c->at;
        while (c->at < c->end && *c->at != '"' && *c->at != '\\' && *c->at >= 0x20)
            c->at++;
        if (into)
            tidemill_append(into, tidemill_bytes(start, (size_t)(c->at - start)));
        if (take(c, '"'))
            return true;
        if (!take(c, '\\') || c->at == c->end)
            return false;
        uint8_t e = *c->at++;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = e ? strchr(from, e) : NULL;
        if (known) {
            if (into)
                tidemill_append(into, tidemill_bytes(to + (known - from), 1));
            continue;
        }
        uint32_t code, low;
        if (e != 'u' || !hex(c, &code) || (code >= 0xdc00 && code <= 0xdfff))
            return false;
        if (code >= 0xd800 && code <= 0xdbff) {
            if (!word(c, "\\u") || !hex(c, &low) || low < 0xdc00 || low > 0xdfff)
                return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        if (into)
            tidemill_append_char(into, code);
    }
    return false;
}

static bool value(cursor *c, int depth);

static bool items(cursor *c, int depth, uint8_t close, bool members) {
    space(c);
    if (take(c, close))
        return true;
    do {
        space(c);
        if (members) {
            if (!string(c, NULL))
                return false;
            space(c);
            if (!take(c, ':'))
                return false;
        }
        if (!value(c, depth + 1))
            return false;
        space(c);
    } while (take(c, ','));
    return take(c, close);
}

static bool value(cursor *c, int depth) {
    space(c);
    if (c->at == c->end || depth > DEPTH)
        return false;
    switch (*c->at) {
    case '{':
        c->at++;
        return items(c, depth, '}', true);
    case '[':
        c->at++;
        return items(c, depth, ']', false);
    case '"':
        return string(c, NULL);
    case 't':
        return word(c, "true");
    case 'f':
        return word(c, "false");
    case 'n':
        return word(c, "null");
    }
    take(c, '-');
    if (!take(c, '0') && !digits(c))
        return false;
    if (take(c, '.') && !digits(c))
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            take(c, '-');
        return digits(c);
    }
    return true;
}

bool tidemill_json_valid(tidemill_slice json) {
    cursor c = {json.data, json.data + json.len};
    if (!json.data || !value(&c, 0))
        return false;
    space(&c);
    return c.at == c.end;
}

bool tidemill_json_next(tidemill_slice object, size_t *at, tidemill_slice *name, tidemill_slice *found) {
    if (!object.data)
        return false;
    cursor c = {object.data + *at, object.data + object.len};
    space(&c);
    if (!take(&c, *at ? ',' : '{'))
        return false;
    space(&c);
    tidemill_buffer text = {0};
    if (!string(&c, &text))
        return false;
    space(&c);
    if (!take(&c, ':'))
        return false;
    space(&c);
    const uint8_t *start = c.at;
    if (!value(&c, 1))
        return false;
    *name = tidemill_bytes_of(&text);
    *found = tidemill_bytes(start, (size_t)(c.at - start));
    *at = (size_t)(c.at - object.data);
    return true;
}

tidemill_slice tidemill_json_member(tidemill_slice object, const char *name) {
    tidemill_slice member, found;
    for (size_t at = 0; tidemill_json_next(object, &at, &member, &found);)
        if (tidemill_equal(member, tidemill_text(name)))
            return found;
    return tidemill_absent();
}

bool tidemill_json_i64(tidemill_slice number, int64_t *into) {
    size_t i = number.len && number.data[0] == '-', start = i;
    uint64_t n = 0, limit = (uint64_t)INT64_MAX + i;
    for (; i < number.len; i++) {
        uint64_t d = (uint64_t)number.data[i] - '0';
        if (d > 9 || n > (limit - d) / 10)
            return false;
        n = n * 10 + d;
    }
    if (i == start || (number.data[start] == '0' && i > start + 1))
        return false;
    *into = start ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

bool tidemill_json_string(tidemill_slice json, tidemill_buffer *into) {
    cursor c = {json.data, json.data + json.len};
    return json.data && string(&c, into) && c.at == c.end;
}

void tidemill_append_json(tidemill_buffer *b, tidemill_slice text) {
    tidemill_append(b, tidemill_text("\""));
    for (size_t i = 0, start = 0; i <= text.len; i++) {
        uint8_t c = i < text.len ? text.data[i] : 0;
        if (i < text.len && c >= 0x20 && c != '"' && c != '\\')
            continue;
        tidemill_append(b, tidemill_bytes(text.data + start, i - start));
        start = i + 1;
        if (i == text.len)
            break;
        if (c < 0x20)
            tidemill_append_format(b, "\\u00%s%x", c < 16 ? "0" : "", c);
        else
            tidemill_append_format(b, "\\%c", c);
    }
    tidemill_append(b, tidemill_text("\""));
}
