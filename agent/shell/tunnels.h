/* Makes the WireGuard device what the core says it should be, and tells the core what it is (PROTOCOL 5). */
#ifndef AGENT_SHELL_TUNNELS_H
#define AGENT_SHELL_TUNNELS_H

#include "agent/core/view.h"
#include "crypto/secret.h"
#include "netlink/reconcile.h"

/* The largest packet to a peer. 1420 fits WireGuard over any wire of 1500 bytes, and is what the routes of
 * the mesh carry. Inside a stream there is no wire to fit: a peer has routes of its own with the large MTU
 * once a stream to it has worked, and the device has that MTU too. Losing the stream takes nothing back, so a
 * reconnect changes no route; TCP flows take up either size as they go. Why 16336: netlink/README.md. */
#define TUNNELS_MTU 1420
#define TUNNELS_STREAM_MTU 16336
#define TUNNELS_KEEPALIVE_S 25

struct tunnels;

struct tunnels_config {
    enum wg_backend_kind backend;
    const char *ifname;
    uint16_t listen_port;
    uint16_t loopback_port; /* of the transport: where every peer's endpoint points to */
};

/* Opens the backend; touches no device. Returns NULL with `err` set; see reconciler_new. */
struct tunnels *tunnels_new(const struct tunnels_config *config, struct am_err *err);

/* Leaves the interface in place; NULL is allowed. */
void tunnels_free(struct tunnels *tunnels);

enum wg_backend_kind tunnels_backend(const struct tunnels *tunnels);

/* One pass of the reconciler towards the core's desired device with this private key. Returns 0 with `result`
 * set, or a negative code when nothing could be done. */
int tunnels_apply(struct tunnels *tunnels, const struct core *core, const struct secret *private_key,
                  uint64_t now_ms, struct reconcile_result *result, struct am_err *err);

/* The same for the peers that core_next_changed_peer names, without looking at the device: for one peer that
 * is one netlink message. Only after a tunnels_apply that went well. */
int tunnels_apply_peers(struct tunnels *tunnels, const struct core *core, struct reconcile_result *result,
                        struct am_err *err);

/* Reads handshakes and counters, and whether the device is still as it was applied last. `out` points to
 * memory of `tunnels`, valid until the next call. */
int tunnels_observe(struct tunnels *tunnels, const struct core *core, const struct secret *private_key,
                    struct core_observation *out, struct am_err *err);

/* Takes the device down, if there is one: it stays and carries nothing. Returns 0 or a negative code. */
int tunnels_silence(struct tunnels *tunnels, struct am_err *err);

/* For the loop: readable when there may be news of the device, and what tells whether there are; see
 * reconciler_watch_read. */
int tunnels_watch_fd(const struct tunnels *tunnels);
bool tunnels_watch_read(struct tunnels *tunnels);

#endif
