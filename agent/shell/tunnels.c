#include "agent/shell/tunnels.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/shell/peer_list.h"

struct tunnels {
    struct reconciler *reconciler;
    uint16_t listen_port;
    uint16_t loopback_port;
    struct peer_list peers; /* as applied last */
    struct core_observed_peer *observed;
    size_t observed_capacity;
};

struct tunnels *tunnels_new(const struct tunnels_config *config, struct am_err *err)
{
    struct tunnels *tunnels = calloc(1, sizeof(*tunnels));
    if (!tunnels) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    tunnels->listen_port = config->listen_port;
    tunnels->loopback_port = config->loopback_port;
    tunnels->reconciler = reconciler_new(config->backend, config->ifname, err);
    if (!tunnels->reconciler) {
        free(tunnels);
        return NULL;
    }
    return tunnels;
}

void tunnels_free(struct tunnels *tunnels)
{
    if (!tunnels)
        return;
    reconciler_free(tunnels->reconciler);
    peer_list_release(&tunnels->peers);
    free(tunnels->observed);
    free(tunnels);
}

enum wg_backend_kind tunnels_backend(const struct tunnels *tunnels)
{
    return reconciler_backend(tunnels->reconciler);
}

/* WireGuard sends its first handshake when keepalives are switched on, and the next one after 5 s. */
static struct wg_peer describe_peer(const struct tunnels *tunnels, const struct core_desired_peer *from)
{
    return (struct wg_peer){
        .pubkey = from->wg_pubkey,
        .endpoint = wg_endpoint_v4(from->loopback_ip, tunnels->loopback_port),
        .prefixes = {wg_prefix_v4(from->mesh_ip, 32), wg_prefix_v6(from->mesh_ip6, 128)},
        .prefixes_len = 2,
        .keepalive_s = from->begun ? TUNNELS_KEEPALIVE_S : 0,
        .route_mtu = from->streamed ? TUNNELS_STREAM_MTU : 0,
    };
}

static int list_peers(struct tunnels *tunnels, const struct core *core)
{
    struct core_desired_peer peer;
    peer_list_empty(&tunnels->peers);
    for (uint32_t cursor = 0; core_next_desired_peer(core, &cursor, &peer);) {
        const struct wg_peer described = describe_peer(tunnels, &peer);
        const int code = peer_list_reserve(&tunnels->peers, 1, peer.index + 1);
        if (code != 0)
            return code;
        peer_list_append(&tunnels->peers, peer.index, &described);
    }
    peer_list_sort(&tunnels->peers);
    return 0;
}

static struct wg_device_desired describe_device(const struct tunnels *tunnels,
                                                const struct core_device *wanted,
                                                const struct secret *private_key)
{
    const uint32_t mask = UINT32_MAX << (32 - wanted->cidr_prefix);
    return (struct wg_device_desired){
        .private_key = private_key,
        .public_key = wanted->wg_pubkey,
        .listen_port = tunnels->listen_port,
        .mtu = TUNNELS_STREAM_MTU,
        .addresses = {wg_prefix_v4(wanted->mesh_ip, 32), wg_prefix_v6(wanted->mesh_ip6, 128)},
        .addresses_len = 2,
        .routes = {{wg_prefix_v4(wanted->cidr_ip & mask, wanted->cidr_prefix), TUNNELS_MTU},
                   {wg_prefix_v6(wanted->cidr6, 48), TUNNELS_MTU}},
        .routes_len = 2,
        .peers = tunnels->peers.peers,
        .peers_len = tunnels->peers.len,
    };
}

int tunnels_apply(struct tunnels *tunnels, const struct core *core, const struct secret *private_key,
                  uint64_t now_ms, struct reconcile_result *result, struct am_err *err)
{
    struct core_device wanted;
    if (!core_device(core, &wanted))
        return am_fail(err, -EINVAL, "the mesh address of this node is not known yet");
    if (list_peers(tunnels, core) != 0)
        return am_fail(err, -ENOMEM, "out of memory for the device's peers");
    const struct wg_device_desired desired = describe_device(tunnels, &wanted, private_key);
    return reconciler_apply(tunnels->reconciler, &desired, now_ms, result, err);
}

/* Changes of the list and, with them, of the device. All that go leave before the first comes: a key or an
 * address may move from one member to another. */
struct batch {
    uint32_t index[CORE_CHANGES_MAX];
    struct wg_peer before[CORE_CHANGES_MAX];
    struct wg_peer after[CORE_CHANGES_MAX];
    struct wg_peer_change changes[CORE_CHANGES_MAX];
    size_t len;
};

static int change_list(struct tunnels *tunnels, const struct core *core, struct batch *batch)
{
    struct core_desired_peer peer;
    for (uint32_t cursor = 0; core_next_changed_peer(core, &cursor, &batch->index[batch->len]);) {
        const size_t at = batch->len++;
        if (peer_list_take(&tunnels->peers, batch->index[at], &batch->before[at]))
            batch->changes[at].before = &batch->before[at];
    }
    for (size_t i = 0; i < batch->len; i++) {
        if (!core_desired_peer_at(core, batch->index[i], &peer))
            continue;
        if (peer_list_reserve(&tunnels->peers, 1, peer.index + 1) != 0)
            return -ENOMEM;
        batch->after[i] = describe_peer(tunnels, &peer);
        batch->changes[i].after = &batch->after[i];
        peer_list_insert(&tunnels->peers, peer.index, &batch->after[i]);
    }
    return 0;
}

int tunnels_apply_peers(struct tunnels *tunnels, const struct core *core, struct reconcile_result *result,
                        struct am_err *err)
{
    struct core_device wanted;
    struct batch batch = {.len = 0};
    *result = (struct reconcile_result){0};
    if (!core_device(core, &wanted))
        return am_fail(err, -EINVAL, "the mesh address of this node is not known yet");
    if (change_list(tunnels, core, &batch) != 0)
        return am_fail(err, -ENOMEM, "out of memory for the device's peers");
    return reconciler_apply_peers(tunnels->reconciler, &wanted.wg_pubkey, batch.changes, batch.len, result,
                                  err);
}

int tunnels_silence(struct tunnels *tunnels, struct am_err *err)
{
    return reconciler_silence(tunnels->reconciler, err);
}

int tunnels_watch_fd(const struct tunnels *tunnels)
{
    return reconciler_watch_fd(tunnels->reconciler);
}

bool tunnels_watch_read(struct tunnels *tunnels)
{
    return reconciler_watch_read(tunnels->reconciler);
}

static uint64_t handshake_age_s(int64_t last_handshake_s, int64_t now_s)
{
    if (last_handshake_s <= 0)
        return CORE_NEVER;
    return last_handshake_s >= now_s ? 0 : (uint64_t)(now_s - last_handshake_s);
}

static bool reserve_observed(struct tunnels *tunnels, size_t count)
{
    if (count <= tunnels->observed_capacity)
        return true;
    struct core_observed_peer *grown = reallocarray(tunnels->observed, count, sizeof(*grown));
    if (!grown)
        return false;
    tunnels->observed = grown;
    tunnels->observed_capacity = count;
    return true;
}

static void take_peers(struct tunnels *tunnels, const struct wg_device_observed *observed)
{
    const int64_t now_s = time(NULL);
    for (size_t i = 0; i < observed->peers_len; i++) {
        const struct wg_peer_observed *peer = &observed->peers[i];
        tunnels->observed[i] = (struct core_observed_peer){
            .wg_pubkey = peer->config.pubkey,
            .handshake_age_s = handshake_age_s(peer->last_handshake_s, now_s),
            .rx_bytes = peer->rx_bytes,
            .tx_bytes = peer->tx_bytes,
        };
    }
}

static int look(struct tunnels *tunnels, const struct wg_device_desired *desired,
                struct wg_device_observed *observed, struct core_observation *out, struct am_err *err)
{
    size_t edits;
    int code = reconciler_observe(tunnels->reconciler, observed, err);
    if (code != 0)
        return code;
    if (!observed->exists)
        return am_fail(err, -ENODEV, "the WireGuard interface is gone");
    if (!reserve_observed(tunnels, observed->peers_len))
        return am_fail(err, -ENOMEM, "out of memory for the device's peers");
    code = reconciler_compare(tunnels->reconciler, desired, observed, &edits, err);
    if (code != 0)
        return code;
    take_peers(tunnels, observed);
    *out = (struct core_observation){
        .peers = tunnels->observed, .peers_len = observed->peers_len, .drifted = edits > 0};
    return 0;
}

int tunnels_observe(struct tunnels *tunnels, const struct core *core, const struct secret *private_key,
                    struct core_observation *out, struct am_err *err)
{
    struct core_device wanted;
    struct wg_device_observed observed = {0};
    if (!core_device(core, &wanted))
        return am_fail(err, -EINVAL, "the mesh address of this node is not known yet");
    const struct wg_device_desired desired = describe_device(tunnels, &wanted, private_key);
    const int code = look(tunnels, &desired, &observed, out, err);
    wg_device_clear(&observed);
    return code;
}
