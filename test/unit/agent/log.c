#include "agent/log.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AT_MS 1795330622123ull /* 2026-11-22T06:57:02.123Z */

static char line[LOG_LINE_MAX + 1];

static const char *build(enum log_format format, const struct log_field *fields)
{
    const size_t len = log_build_line(format, LOG_LEVEL_INFO, "peer.joined", fields, AT_MS, line);
    cr_assert_eq(len, strlen(line));
    cr_assert_leq(len, LOG_LINE_MAX);
    cr_assert_eq(line[len - 1], '\n');
    return line;
}

#define FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.key = NULL}})

Test(log, json_line_holds_every_kind)
{
    const uint8_t bytes[] = {0x00, 0xab};
    cr_assert_str_eq(build(LOG_FORMAT_JSON, FIELDS(log_text("text", "two words"), log_int("int", -5),
                                                   log_uint("uint", UINT64_MAX), log_bool("bool", true),
                                                   log_bytes("bytes", bytes, sizeof(bytes)))),
                     "{\"ts\":\"2026-11-22T06:57:02.123Z\",\"level\":\"info\",\"event\":\"peer.joined\","
                     "\"text\":\"two words\",\"int\":-5,\"uint\":18446744073709551615,\"bool\":true,"
                     "\"bytes\":\"0x00ab\"}\n");
}

Test(log, text_line_quotes_only_what_needs_it)
{
    cr_assert_str_eq(
        build(LOG_FORMAT_TEXT, FIELDS(log_text("plain", "healthy"), log_text("words", "a b"),
                                      log_text("empty", ""), log_text("null", NULL))),
        "2026-11-22T06:57:02.123Z info  peer.joined plain=healthy words=\"a b\" empty=\"\" null=\"\"\n");
}

Test(log, json_text_is_escaped)
{
    build(LOG_FORMAT_JSON,
          FIELDS(log_text("text", "quote \" slash \\ line\n bell\a wide \xc3\xa9 broken \xc3( \xff")));
    cr_assert(strstr(line, "\"quote \\\" slash \\\\ line\\n bell\\u0007 wide \xc3\xa9 broken ?( ?\""), "%s",
              line);
}

Test(log, long_text_is_cut_and_stays_json)
{
    char text[3 * LOG_TEXT_MAX];
    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    json_object *object = json_tokener_parse(build(LOG_FORMAT_JSON, FIELDS(log_text("text", text))));
    cr_assert_eq(json_object_get_string_len(json_object_object_get(object, "text")), LOG_TEXT_MAX + 3);
    json_object_put(object);
}

Test(log, fields_that_do_not_fit_are_left_out_and_marked)
{
    char text[LOG_TEXT_MAX + 1];
    memset(text, '\1', sizeof(text) - 1); /* six bytes each when escaped */
    text[sizeof(text) - 1] = '\0';
    json_object *object =
        json_tokener_parse(build(LOG_FORMAT_JSON, FIELDS(log_text("big", text), log_uint("small", 7))));
    cr_assert_not_null(object);
    cr_assert_null(json_object_object_get(object, "big"));
    cr_assert_eq(json_object_get_int(json_object_object_get(object, "small")), 7);
    cr_assert(json_object_get_boolean(json_object_object_get(object, "truncated")));
    json_object_put(object);
}

static size_t read_stderr(char *out, size_t size)
{
    fflush(stderr);
    size_t len = 0;
    FILE *file = cr_get_redirected_stderr();
    len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    return len;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

Test(log, equal_lines_are_held_back_and_counted, .init = cr_redirect_stderr)
{
    char text[4096];
    for (int i = 0; i < 5; i++)
        log_warn("rpc.failed", log_text("host", "a"));
    log_warn("rpc.failed", log_text("host", "b"));
    close(STDERR_FILENO);
    read_stderr(text, sizeof(text));
    cr_assert_eq(count_of(text, "\"host\":\"a\""), 1, "%s", text);
    cr_assert_eq(count_of(text, "\"host\":\"b\""), 1, "%s", text);
    cr_assert(strstr(text, "\"event\":\"log.repeated\",\"count\":4"), "%s", text);
}

Test(log, levels_beyond_the_configured_are_silent, .init = cr_redirect_stderr)
{
    char text[4096];
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    log_info("not.shown");
    log_warn("shown");
    close(STDERR_FILENO);
    read_stderr(text, sizeof(text));
    cr_assert_null(strstr(text, "not.shown"));
    cr_assert(strstr(text, "warn  shown\n"), "%s", text);
}
