/* What rtnetlink tells about changes by other hands: a socket of its own for notifications, and what of them
 * matters.
 *
 * WireGuard itself tells nothing: a changed peer shows in the next dump only.
 */
#ifndef NETLINK_WATCH_H
#define NETLINK_WATCH_H

#include "netlink/device.h"

/* The device as it was left. Zero-initialised it is a device that is not there yet. */
struct link_interest {
    char ifname[WG_IFNAME_SIZE];
    int ifindex;     /* 0: none */
    uint32_t portid; /* of the socket that changes the device: the echo of its own requests is no news */
    uint32_t mtu;
    struct wg_prefix addresses[WG_DEVICE_PREFIXES_MAX];
    size_t addresses_len;
};

/* True when this datagram of notifications tells of a difference from what was left: our link gone, renamed,
 * down or with another MTU; an address of ours gone or a foreign one there; a route through our link come or
 * gone by another hand. Also for a malformed datagram: then only a look at the device can tell. Pure; `buf`
 * is aligned to 4 bytes. */
bool link_news(const void *buf, size_t len, const struct link_interest *interest);

struct link_watch;

struct link_watch *link_watch_new(struct am_err *err);
void link_watch_free(struct link_watch *watch);

/* Readable when there is something for link_watch_read; for poll only. */
int link_watch_fd(const struct link_watch *watch);

/* Takes what has come and tells whether it is news, or whether notifications were lost (ENOBUFS), which is to
 * be taken for news. Never waits; what exceeds LINK_WATCH_BATCH datagrams stays for the next call. */
#define LINK_WATCH_BATCH 256
bool link_watch_read(struct link_watch *watch, const struct link_interest *interest);

#endif
