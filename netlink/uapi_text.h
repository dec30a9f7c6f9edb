/* The text of WireGuard's cross-platform configuration protocol (wireguard.com/xplatform): building and
 * parsing.
 *
 * Requests and answers may hold the device's private key: keep them in secret memory.
 */
#ifndef NETLINK_UAPI_TEXT_H
#define NETLINK_UAPI_TEXT_H

#include "netlink/device.h"
#include "netlink/plan.h"

#define UAPI_GET "get=1\n\n"

/* Writes one "set" request with as many of the edits, in order, as fit into `capacity`. Returns how many it
 * took (at least one when capacity is at least 1024 and len > 0) and the length of the text in `out_len`. */
size_t uapi_build_set(char *buf, size_t capacity, const struct wg_edit *edits, size_t len, size_t *out_len);

/* Reads an answer piece by piece; lives in secret memory of its own. */
struct uapi_reader;

/* What uapi_reader_feed answers while the answer goes on. */
#define UAPI_MORE 1

/* `device` receives key, port, mark and peers (unsorted) of a "get"; it must outlive the reader. NULL without
 * memory. */
struct uapi_reader *uapi_reader_new(struct wg_device_observed *device);

/* Wipes and frees; NULL is allowed. */
void uapi_reader_free(struct uapi_reader *reader);

/* Takes the next bytes, cut anywhere. Returns UAPI_MORE; 0 at the end of an answer with errno=0; AM_EREMOTE
 * when the device reports an errno; AM_EFORMAT or -ENOMEM. After anything but UAPI_MORE the reader takes no
 * more. */
int uapi_reader_feed(struct uapi_reader *reader, const char *bytes, size_t len, struct am_err *err);

#endif
