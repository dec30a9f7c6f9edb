/* Messages of the kernel's generic netlink family "wireguard" (linux/wireguard.h): building and parsing, no
 * I/O.
 *
 * A buffer with a request or a reply may hold the device's private key: keep it in secret memory. Buffers are
 * aligned to 4 bytes.
 */
#ifndef NETLINK_WG_GENL_H
#define NETLINK_WG_GENL_H

#include "netlink/device.h"
#include "netlink/plan.h"

/* Which replies belong to a request; others are skipped. */
struct wg_genl_expect {
    uint32_t sequence;
    uint32_t portid;
    uint16_t family;
};

/* What a parser answers while the reply goes on in the next datagram. */
#define WG_GENL_MORE 1

/* Each returns the length of the message in `buf`. WG_GENL_REQUEST_MAX is room enough for these two. */
#define WG_GENL_REQUEST_MAX 128
size_t wg_genl_build_get_family(void *buf, uint32_t sequence);
size_t wg_genl_build_get_device(void *buf, uint16_t family, uint32_t sequence, const char *ifname);

/* Writes as many of the edits, in order, as fit into `capacity` and are allowed in one message. Returns how
 * many it took (at least one when capacity is at least 1024 and len > 0) and the message's length in
 * `out_len`. */
size_t wg_genl_build_set(void *buf, size_t capacity, uint16_t family, uint32_t sequence, const char *ifname,
                         const struct wg_edit *edits, size_t len, size_t *out_len);

/* Each takes one datagram and returns 0 at the end of the reply, WG_GENL_MORE before it, or a negative code:
 * a negative errno with the kernel's sentence when the kernel refuses, -EINTR for an interrupted dump (throw
 * away what was read and ask again), AM_EFORMAT for a malformed reply. */
int wg_genl_parse_family(const void *buf, size_t len, const struct wg_genl_expect *expect, uint16_t *family,
                         struct am_err *err);
int wg_genl_parse_device(const void *buf, size_t len, const struct wg_genl_expect *expect,
                         struct wg_device_observed *device, struct am_err *err);
int wg_genl_parse_ack(const void *buf, size_t len, const struct wg_genl_expect *expect, struct am_err *err);

/* True when this datagram holds the end of the reply, whatever else it holds, or can not be read. */
bool wg_genl_ends(const void *buf, size_t len, const struct wg_genl_expect *expect);

#endif
