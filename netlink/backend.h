/* What drives the WireGuard part of a device: keys, port and peers. One table for each kind. */
#ifndef NETLINK_BACKEND_H
#define NETLINK_BACKEND_H

#include "netlink/device.h"
#include "netlink/link.h"
#include "netlink/plan.h"

struct wg_backend;

struct wg_backend_ops {
    const char *link_kind; /* what rtnetlink calls a link of this backend */

    /* Touches no device. NULL with `err` set when this machine can not have it (AM_ECONFIG) or resources are
     * short. */
    struct wg_backend *(*open)(const char *ifname, struct am_err *err);
    void (*close)(struct wg_backend *b);

    /* Makes the device, which does not exist. */
    int (*create)(struct wg_backend *b, struct link_socket *links, struct am_err *err);

    /* Fills key, port, mark and peers (unsorted) of a device that exists. */
    int (*dump)(struct wg_backend *b, struct wg_device_observed *device, struct am_err *err);

    /* Does edits for which wg_edit_is_wireguard holds, in order, in as few messages as possible. Returns 0;
     * AM_EREMOTE when the device refused one, and then neither it nor those behind it are done for certain;
     * another code when the device could not be asked, which one edit alone would meet as well. */
    int (*apply)(struct wg_backend *b, const struct wg_edit *edits, size_t len, struct am_err *err);
};

extern const struct wg_backend_ops wg_kernel_ops;
extern const struct wg_backend_ops wg_uapi_ops;

/* True when a userspace WireGuard answers for this interface. */
bool wg_uapi_answers(const char *ifname);

#endif
