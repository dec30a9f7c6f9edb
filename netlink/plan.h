/* The difference between a desired and an observed device, as a list of edits. Pure.
 *
 * The list is empty when the device is as desired. Otherwise its order is the order to work in: the device
 * first, then who must go, then who must come, then addresses, link and routes. Peers, addresses and routes
 * on the device which are not desired are removed. An endpoint is written only where the observed one
 * differs.
 */
#ifndef NETLINK_PLAN_H
#define NETLINK_PLAN_H

#include "netlink/device.h"

enum wg_edit_kind {
    WG_EDIT_CREATE_DEVICE,
    WG_EDIT_SET_PRIVATE_KEY,
    WG_EDIT_SET_LISTEN_PORT,
    WG_EDIT_CLEAR_FWMARK,
    WG_EDIT_REMOVE_PEER,
    WG_EDIT_SET_PEER,
    WG_EDIT_SET_MTU,
    WG_EDIT_ADD_ADDRESS,
    WG_EDIT_REMOVE_ADDRESS,
    WG_EDIT_SET_UP,
    WG_EDIT_REMOVE_ROUTE,
    WG_EDIT_ADD_ROUTE,
    WG_EDIT_SET_ROUTE_MTU,
};

/* What WG_EDIT_SET_PEER writes. */
enum wg_peer_field {
    WG_PEER_ENDPOINT = 1 << 0,
    WG_PEER_PREFIXES = 1 << 1, /* replaces all allowed IPs of the peer */
    WG_PEER_KEEPALIVE = 1 << 2,
    WG_PEER_NO_PRESHARED = 1 << 3,
};

struct wg_edit {
    enum wg_edit_kind kind;
    unsigned peer_fields; /* of SET_PEER: enum wg_peer_field, combined */
    union {
        const struct secret *private_key; /* SET_PRIVATE_KEY */
        uint32_t number;                  /* SET_LISTEN_PORT, SET_MTU */
        const struct wg_peer *peer;       /* SET_PEER */
        const struct bytes32 *pubkey;     /* REMOVE_PEER */
        const struct wg_prefix *prefix;   /* of addresses */
        const struct wg_route *route;     /* of routes */
    };
};

/* Its edits point into the desired and the observed device it was built from, and into its own memory; they
 * live no longer than these. */
struct wg_plan {
    struct wg_edit *edits;
    size_t len;
    struct wg_route *routes;
};

/* Builds the plan. A desired peer with the device's own key is left out, as WireGuard itself does.
 * Returns 0; -EINVAL when a desired value is out of range or peers are not in order, -ENOMEM; then `plan` is
 * empty. */
int wg_plan_build(const struct wg_device_desired *desired, const struct wg_device_observed *observed,
                  struct wg_plan *plan, struct am_err *err);

/* One peer as it was put on the device, and as it should be now. */
struct wg_peer_change {
    const struct wg_peer *before; /* NULL: the device has no such peer */
    const struct wg_peer *after;  /* NULL: it goes; its key may differ from the one before */
};

/* The same for single peers of a device that is otherwise as it was left: the edits come from the changes
 * alone, so they cost nothing for the peers that stay. `own` is the device's public key. The edits point into
 * the peers of the changes. */
int wg_plan_build_changes(const struct bytes32 *own, bool ipv4_only, const struct wg_peer_change *changes,
                          size_t len, struct wg_plan *plan, struct am_err *err);

void wg_plan_clear(struct wg_plan *plan);

/* True for edits of the WireGuard device itself (keys, port, peers), which a backend applies; false for those
 * of the link, which rtnetlink applies. */
bool wg_edit_is_wireguard(enum wg_edit_kind kind);

/* A few words for messages, such as "set peer <base64 key>"; returns `out`. Never a secret. */
#define WG_EDIT_TEXT_SIZE 96
const char *wg_edit_text(const struct wg_edit *edit, char out[WG_EDIT_TEXT_SIZE]);

#endif
