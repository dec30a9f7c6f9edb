#include "crypto/am_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const own_names[] = {
    "malformed data",      "authentication failed", "remote error",       "reverted",
    "sponsorship refused", "configuration error",   "contradicting data",
};

static void make_printable(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || (unsigned char)*text == 0x7f)
            *text = '?';
    }
}

int am_fail(struct am_err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
        make_printable(err->text);
    }
    return code;
}

int am_fail_context(struct am_err *err, const char *format, ...)
{
    if (!err)
        return 0;
    char context[AM_ERR_TEXT_MAX / 2], joined[2 * AM_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    snprintf(joined, sizeof(joined), "%s: %s", context, err->text);
    make_printable(joined);
    memcpy(err->text, joined, sizeof(err->text) - 1);
    err->text[sizeof(err->text) - 1] = '\0';
    return err->code;
}

const char *am_error_name(int code)
{
    const int own = AM_EFORMAT - code;
    if (own >= 0 && own < (int)(sizeof(own_names) / sizeof(own_names[0])))
        return own_names[own];
    return code == 0 ? "success" : strerror(-code);
}
