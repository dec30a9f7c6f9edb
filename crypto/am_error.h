/* Errors of the whole project.
 *
 * Functions that can fail return 0 or a negative code: an errno value (-EINVAL, -ENOMEM, ...) or one of
 * enum am_error. Those whose failure needs a sentence also take a `struct am_err *err` (may be NULL) as their
 * last argument and leave it untouched on success. The text is one line for the operator, says what failed
 * and where (which peer, call, field), and never holds key material.
 *
 * Argument order everywhere: context, inputs (each length right after its array), outputs, err; a callback
 * and its user pointer come last.
 */
#ifndef CRYPTO_AM_ERROR_H
#define CRYPTO_AM_ERROR_H

enum am_error {
    AM_EFORMAT = -1001,  /* bytes from outside do not have the form they must have */
    AM_EAUTH = -1002,    /* a signature, a MAC or a sender is wrong */
    AM_EREMOTE = -1003,  /* the other side answered with an error of its own */
    AM_EREVERT = -1004,  /* an EVM call or UserOperation reverted */
    AM_EDENIED = -1005,  /* a sponsor refuses to pay, finally */
    AM_ECONFIG = -1006,  /* the operator must change something; retrying can not help */
    AM_EMISMATCH = -1007 /* the answer contradicts what is known: chain id, keys, cluster */
};

#define AM_ERR_TEXT_MAX 320

struct am_err {
    int code;
    char text[AM_ERR_TEXT_MAX];
};

/* Sets `err` (if not NULL) to `code` and the formatted text, cut at AM_ERR_TEXT_MAX - 1; control characters
 * in the text become '?'. Returns `code`, so that `return am_fail(err, -EINVAL, ...)` reads in one line. */
int am_fail(struct am_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of err's text. Returns `err->code`, or 0 when err is NULL. */
int am_fail_context(struct am_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A short static English name of a code of either kind. */
const char *am_error_name(int code);

#endif
