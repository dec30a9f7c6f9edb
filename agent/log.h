/* The agent's log: one line per event on standard error, as JSON or text.
 *
 *     log_info("peer.joined", log_text("member", id), log_uint("index", index));
 *
 * Event names are stable, lower case, "subject.what"; operators filter on them. Lines are bounded: long texts
 * are cut, fields that do not fit are left out and the line says so. Lines equal to the one before are held
 * back for LOG_REPEAT_MS and counted in a "log.repeated" event. For the control thread only. Key material is
 * never logged.
 */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 2048  /* bytes of a line with its newline */
#define LOG_TEXT_MAX 512   /* bytes taken of one text value */
#define LOG_REPEAT_MS 5000 /* an unchanged line comes at most this often */

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT,
};

enum log_kind {
    LOG_KIND_TEXT,
    LOG_KIND_INT,
    LOG_KIND_UINT,
    LOG_KIND_BOOL,
    LOG_KIND_BYTES,
};

/* One key and value; what it points to is read during the call only. A NULL text is written as empty. */
struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        const char *text;
        int64_t number;
        uint64_t count;
        bool flag;
        const uint8_t *bytes;
    };
    size_t bytes_len;
};

static inline struct log_field log_text(const char *key, const char *value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_TEXT, .text = value};
}

static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_INT, .number = value};
}

static inline struct log_field log_uint(const char *key, uint64_t value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_UINT, .count = value};
}

static inline struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .flag = value};
}

/* Written as "0x" and lower-case digits; at most 64 bytes are taken. */
static inline struct log_field log_bytes(const char *key, const void *bytes, size_t len)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BYTES, .bytes = bytes, .bytes_len = len};
}

/* What is written from now on. Before the first call: everything up to info, as JSON. */
void log_configure(enum log_level level, enum log_format format);

/* Writes one event with the fields up to the one whose key is NULL. Use the macros below. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define log_event(level, event, ...)                                                                         \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})
#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The line that log_write writes at `unix_ms`, with its newline and a NUL; returns its length without the
 * NUL. Pure. */
size_t log_build_line(enum log_format format, enum log_level level, const char *event,
                      const struct log_field *fields, uint64_t unix_ms, char out[LOG_LINE_MAX + 1]);

#endif
