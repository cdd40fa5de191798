// What an operator says of itself, from its struct and handles (wit/descriptor.schema.json).

#include "internal.h"

enum { OUTPUTS, STATES, TIMERS, METRICS, LISTS };

static const struct {
    int list;
    const char *kind; // as the descriptor writes it, where it does
} words[] = {
    [TIDEMILL_KIND_VALUE] = {STATES, "value"},
    [TIDEMILL_KIND_MAP] = {STATES, "map"},
    [TIDEMILL_KIND_LIST] = {STATES, "list"},
    [TIDEMILL_KIND_OUTPUT] = {OUTPUTS, NULL},
    [TIDEMILL_KIND_EVENT_TIMER] = {TIMERS, NULL},
    [TIDEMILL_KIND_PROCESSING_TIMER] = {TIMERS, NULL},
    [TIDEMILL_KIND_COUNTER] = {METRICS, "counter"},
    [TIDEMILL_KIND_GAUGE] = {METRICS, "gauge"},
    [TIDEMILL_KIND_HISTOGRAM] = {METRICS, "histogram"},
};

const char *tm_declare(tidemill_handle *const *handles, bool aggregator) {
    uint32_t next[LISTS] = {0};
    for (tidemill_handle *const *h = handles; h && *h; h++) {
        int list = words[(*h)->kind].list;
        if (aggregator && list != METRICS)
            return "a window aggregate has metrics; it has no state, timers or outputs";
        (*h)->index = next[list]++;
    }
    return NULL;
}

static void named(tidemill_buffer *b, bool *first, const char *name, const char *kind, const tidemill_ttl *ttl) {
    tidemill_append(b, tidemill_text(*first ? "{\"name\":" : ",{\"name\":"));
    *first = false;
    tidemill_append_json(b, tidemill_text(name));
    if (kind)
        tidemill_append_format(b, ",\"kind\":\"%s\"", kind);
    if (ttl && ttl->ms)
        tidemill_append_format(b, ",\"ttl\":{\"ms\":%" PRId64 ",\"clock\":\"%s\",\"refresh\":\"%s\"}", ttl->ms,
                               ttl->clock == TIDEMILL_CLOCK_EVENT ? "event-time" : "processing-time",
                               ttl->refresh == TIDEMILL_REFRESH_READ_AND_WRITE ? "read-and-write" : "write");
    tidemill_append(b, tidemill_text("}"));
}

tidemill_slice tm_describe(const char *name, const char *version, const char *const *inputs, tidemill_handle *const *handles,
                           bool watermarks, const char *config_schema) {
    static const char *const lists[] = {[OUTPUTS] = "outputs", [STATES] = "states", [TIMERS] = "timers", [METRICS] = "metrics"};
    static const char *const one_input[] = {"events", NULL};
    tidemill_buffer b = {0};
    tidemill_append(&b, tidemill_text("{\"descriptor\":1,\"name\":"));
    tidemill_append_json(&b, tidemill_text(name ? name : ""));
    tidemill_append(&b, tidemill_text(",\"version\":"));
    tidemill_append_json(&b, tidemill_text(version ? version : ""));
    tidemill_append(&b, tidemill_text(",\"inputs\":["));
    bool first = true;
    for (const char *const *input = inputs ? inputs : one_input; *input; input++)
        named(&b, &first, *input, NULL, NULL);
    for (int list = 0; list < LISTS; list++) {
        tidemill_append_format(&b, "],\"%s\":[", lists[list]);
        first = true;
        for (tidemill_handle *const *h = handles; h && *h; h++)
            if (words[(*h)->kind].list == list)
                named(&b, &first, (*h)->name, words[(*h)->kind].kind, &(*h)->ttl);
    }
    tidemill_append_format(&b, "],\"wants\":{\"watermarks\":%s}", watermarks ? "true" : "false");
    if (config_schema)
        tidemill_append_format(&b, ",\"config\":%s", config_schema);
    tidemill_append(&b, tidemill_text("}"));
    return tidemill_bytes_of(&b);
}
