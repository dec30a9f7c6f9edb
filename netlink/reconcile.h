/* Keeps one WireGuard device as it should be: observe, plan, apply the difference.
 *
 * The device outlives its reconciler: a new one adopts what the last one left. All calls run on one thread
 * and take a few local round trips; only the start of wireguard-go may take longer (bounded, seconds).
 */
#ifndef NETLINK_RECONCILE_H
#define NETLINK_RECONCILE_H

#include "netlink/device.h"
#include "netlink/plan.h"

enum wg_backend_kind {
    WG_BACKEND_KERNEL,    /* the kernel's WireGuard */
    WG_BACKEND_USERSPACE, /* wireguard-go, driven over its socket */
    WG_BACKEND_AUTO,      /* what already drives the interface, else the kernel's, else wireguard-go */
};

struct reconciler;

struct reconcile_result {
    size_t planned; /* edits between observed and desired; 0 means that nothing was sent */
    size_t applied;
    size_t failed;
    struct am_err failure; /* the first failed edit, when failed > 0 */
    bool without_ipv6; /* this host has no IPv6 for the link: its IPv6 addresses and routes were left out */
    uint64_t retry_at_ms; /* when to call again although nothing else changed; 0: no need */
};

/* "kernel", "userspace" or "auto", as WG_BACKEND has it. */
bool wg_backend_parse(const char *name, enum wg_backend_kind *out);
const char *wg_backend_name(enum wg_backend_kind kind);

/* Opens the backend; touches no device. Returns NULL with `err` set; its code is AM_ECONFIG where only the
 * operator can help: a kernel without WireGuard, no CAP_NET_ADMIN, no wireguard-go, a bad interface name. */
struct reconciler *reconciler_new(enum wg_backend_kind kind, const char *ifname, struct am_err *err);

/* Frees the reconciler and leaves the device in place; NULL is allowed. */
void reconciler_free(struct reconciler *r);

/* The backend in use, for messages: never WG_BACKEND_AUTO. */
enum wg_backend_kind reconciler_backend(const struct reconciler *r);

/* One pass. A failed edit is counted and does not stop the others. `now_ms` is any clock that does not step
 * back; it only serves retry_at_ms, which backs off from 1 s to 60 s while passes fail. Returns 0 when every
 * edit was tried (look at result->failed), or a negative code when the device could not be observed, planned
 * or created. `result` is filled in every case. */
int reconciler_apply(struct reconciler *r, const struct wg_device_desired *desired, uint64_t now_ms,
                     struct reconcile_result *result, struct am_err *err);

/* Does the edits for these peers only, without looking at the device: for one changed peer that is one
 * message. Call it between passes of reconciler_apply, the last of which went well; `own` is the device's
 * public key. Returns 0 when every edit was tried (look at result->failed), or a negative code; after any
 * failure a whole pass is due. `result` is filled in every case. */
int reconciler_apply_peers(struct reconciler *r, const struct bytes32 *own,
                           const struct wg_peer_change *changes, size_t len, struct reconcile_result *result,
                           struct am_err *err);

/* Reads the device into `observed` (cleared first, peers sorted); the caller clears it. Without a device it
 * returns 0 and observed->exists is false. */
int reconciler_observe(struct reconciler *r, struct wg_device_observed *observed, struct am_err *err);

/* Counts the edits that a pass would make on a device observed as this. No message. */
int reconciler_compare(const struct reconciler *r, const struct wg_device_desired *desired,
                       const struct wg_device_observed *observed, size_t *edits, struct am_err *err);

/* Readable when rtnetlink told of some change of links, addresses or routes; for poll only. */
int reconciler_watch_fd(const struct reconciler *r);

/* Takes what has come, without waiting. True when another hand may have changed what the last pass left, or
 * when notifications were lost: then a pass is due. What passes themselves do is no news, so they do not
 * follow each other without end. Of WireGuard's own settings there are no notifications; only a dump shows
 * those. */
bool reconciler_watch_read(struct reconciler *r);

/* Takes the device down; 0 also when there is none. It keeps its name and keys, and carries nothing until the
 * next reconciler_apply brings it up. */
int reconciler_silence(struct reconciler *r, struct am_err *err);

/* Removes the device; 0 also when there is none. Only for `meshctl down`. */
int reconciler_remove(struct reconciler *r, struct am_err *err);

#endif
