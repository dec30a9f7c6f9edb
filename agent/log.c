#include "agent/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/utf8.h"
#include "crypto/bytes.h"

#define BYTES_TAKEN_MAX 64
#define CLOSING_ROOM 64 /* for the marks at the end of a line */
#define STAMP_SIZE 25   /* 2026-01-01T00:00:00.000Z and its NUL */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static enum log_level max_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_JSON;

/* Appends until `limit`; what does not fit sets `full` and is undone by the caller. */
struct line {
    char *text;
    size_t len;
    size_t limit;
    bool full;
};

static void line_add(struct line *line, const char *text, size_t len)
{
    if (line->full || len > line->limit - line->len) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void line_print(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line_print(struct line *line, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    line_add(line, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

/* A JSON string; also used by the text format for values that are not one plain word. */
static void line_add_quoted(struct line *line, const char *text)
{
    line_add(line, "\"", 1);
    for (const char *at = text; *at;) {
        const size_t len = utf8_sequence_len(at);
        if ((size_t)(at - text) + len > LOG_TEXT_MAX) {
            line_add(line, "...", 3);
            break;
        }
        if (len == 0)
            line_add(line, "?", 1);
        else if (*at == '"' || *at == '\\')
            line_print(line, "\\%c", *at);
        else if (*at == '\n')
            line_add(line, "\\n", 2);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            line_print(line, "\\u%04x", (unsigned)*at);
        else
            line_add(line, at, len);
        at += len ? len : 1;
    }
    line_add(line, "\"", 1);
}

static bool is_plain_word(const char *text)
{
    const size_t len = strlen(text);
    if (len == 0 || len > LOG_TEXT_MAX)
        return false;
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || strchr("\"=\\", *text))
            return false;
    }
    return true;
}

static void line_add_text(struct line *line, enum log_format format, const char *text)
{
    const char *const value = text ? text : "";
    if (format == LOG_FORMAT_TEXT && is_plain_word(value))
        line_add(line, value, strlen(value));
    else
        line_add_quoted(line, value);
}

static void line_add_value(struct line *line, enum log_format format, const struct log_field *field)
{
    char digits[2 * BYTES_TAKEN_MAX + 3] = "0x";
    switch (field->kind) {
    case LOG_KIND_TEXT: line_add_text(line, format, field->text); break;
    case LOG_KIND_INT: line_print(line, "%" PRId64, field->number); break;
    case LOG_KIND_UINT: line_print(line, "%" PRIu64, field->count); break;
    case LOG_KIND_BOOL: line_print(line, "%s", field->flag ? "true" : "false"); break;
    case LOG_KIND_BYTES:
        hex_encode(field->bytes, field->bytes_len < BYTES_TAKEN_MAX ? field->bytes_len : BYTES_TAKEN_MAX,
                   digits + 2);
        line_add_text(line, format, digits);
        break;
    }
}

static void line_add_key(struct line *line, enum log_format format, const char *key)
{
    line_print(line, format == LOG_FORMAT_JSON ? ",\"%s\":" : " %s=", key);
}

static void line_add_head(struct line *line, enum log_format format, enum log_level level, const char *event,
                          uint64_t unix_ms)
{
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    char stamp[STAMP_SIZE];
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    const unsigned ms = (unsigned)(unix_ms % 1000);
    if (format == LOG_FORMAT_JSON)
        line_print(line, "{\"ts\":\"%s.%03uZ\",\"level\":\"%s\",\"event\":\"%s\"", stamp, ms,
                   level_names[level], event);
    else
        line_print(line, "%s.%03uZ %-5s %s", stamp, ms, level_names[level], event);
}

size_t log_build_line(enum log_format format, enum log_level level, const char *event,
                      const struct log_field *fields, uint64_t unix_ms, char out[LOG_LINE_MAX + 1])
{
    struct line line = {.text = out, .limit = LOG_LINE_MAX - CLOSING_ROOM};
    line_add_head(&line, format, level, event, unix_ms);
    bool cut = false;
    for (const struct log_field *field = fields; field->key; field++) {
        const size_t before = line.len;
        line_add_key(&line, format, field->key);
        line_add_value(&line, format, field);
        if (line.full) {
            line.len = before;
            line.full = false;
            cut = true;
        }
    }
    line.limit = LOG_LINE_MAX;
    if (cut) {
        line_add_key(&line, format, "truncated");
        line_add(&line, "true", 4);
    }
    line_add(&line, format == LOG_FORMAT_JSON ? "}\n" : "\n", format == LOG_FORMAT_JSON ? 2 : 1);
    out[line.len] = '\0';
    return line.len;
}

static void write_line(const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(STDERR_FILENO, text, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return;
        text += written;
        len -= (size_t)written;
    }
}

static uint64_t unix_ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether the line, but for its time, is the last one again and too early; counts it then. */
static bool hold_back(const char *line, uint64_t unix_ms, uint32_t *held_before)
{
    static char last[LOG_LINE_MAX + 1];
    static uint64_t last_ms;
    static uint32_t held;
    const char *const body =
        line + (line_format == LOG_FORMAT_JSON ? strlen("{\"ts\":\"") : 0) + STAMP_SIZE - 1;
    if (strcmp(body, last) == 0 && unix_ms - last_ms < LOG_REPEAT_MS) {
        held++;
        return true;
    }
    memcpy(last, body, strlen(body) + 1);
    last_ms = unix_ms;
    *held_before = held;
    held = 0;
    return false;
}

void log_configure(enum log_level level, enum log_format format)
{
    max_level = level;
    line_format = format;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    if (level > max_level)
        return;
    char line[LOG_LINE_MAX + 1], notice[LOG_LINE_MAX + 1];
    const uint64_t now_ms = unix_ms_now();
    const size_t len = log_build_line(line_format, level, event, fields, now_ms, line);
    uint32_t held = 0;
    if (hold_back(line, now_ms, &held))
        return;
    if (held) {
        const struct log_field count[] = {log_uint("count", held), {.key = NULL}};
        write_line(notice, log_build_line(line_format, level, "log.repeated", count, now_ms, notice));
    }
    write_line(line, len);
}
