#include "agent/shell/tunnels.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct tunnels {
    struct reconciler *reconciler;
    uint16_t listen_port;
    uint16_t loopback_port;
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
    free(tunnels->observed);
    free(tunnels);
}

enum wg_backend_kind tunnels_backend(const struct tunnels *tunnels)
{
    return reconciler_backend(tunnels->reconciler);
}

static int compare_peers(const void *a, const void *b)
{
    const struct wg_peer *left = a, *right = b;
    return memcmp(left->pubkey.b, right->pubkey.b, sizeof(left->pubkey.b));
}

static void describe_peer(const struct tunnels *tunnels, const struct core_desired_peer *from,
                          struct wg_peer *to)
{
    *to = (struct wg_peer){
        .pubkey = from->wg_pubkey,
        .endpoint = wg_endpoint_v4(from->loopback_ip, tunnels->loopback_port),
        .prefixes = {wg_prefix_v4(from->mesh_ip, 32), wg_prefix_v6(from->mesh_ip6, 128)},
        .prefixes_len = 2,
        .keepalive_s = TUNNELS_KEEPALIVE_S,
    };
}

/* The peers in the order of their keys, or NULL when memory is short. */
static struct wg_peer *desired_peers(const struct tunnels *tunnels, const struct core *core, size_t *len)
{
    const uint32_t count = core_desired_peers(core);
    struct wg_peer *peers = calloc((size_t)count + 1, sizeof(*peers));
    if (!peers)
        return NULL;
    struct core_desired_peer peer;
    size_t filled = 0;
    for (uint32_t cursor = 0; filled < count && core_next_desired_peer(core, &cursor, &peer); filled++)
        describe_peer(tunnels, &peer, &peers[filled]);
    qsort(peers, filled, sizeof(*peers), compare_peers);
    *len = filled;
    return peers;
}

int tunnels_apply(struct tunnels *tunnels, const struct core *core, const struct secret *private_key,
                  uint64_t now_ms, struct reconcile_result *result, struct am_err *err)
{
    struct core_device wanted;
    if (!core_device(core, &wanted))
        return am_fail(err, -EINVAL, "the mesh address of this node is not known yet");

    const uint32_t mask = UINT32_MAX << (32 - wanted.cidr_prefix);
    struct wg_device_desired desired = {
        .private_key = private_key,
        .public_key = wanted.wg_pubkey,
        .listen_port = tunnels->listen_port,
        .mtu = TUNNELS_MTU,
        .addresses = {wg_prefix_v4(wanted.mesh_ip, 32), wg_prefix_v6(wanted.mesh_ip6, 128)},
        .addresses_len = 2,
        .routes = {wg_prefix_v4(wanted.cidr_ip & mask, wanted.cidr_prefix), wg_prefix_v6(wanted.cidr6, 48)},
        .routes_len = 2,
    };
    struct wg_peer *peers = desired_peers(tunnels, core, &desired.peers_len);
    if (!peers)
        return am_fail(err, -ENOMEM, "out of memory for the device's peers");
    desired.peers = peers;
    const int code = reconciler_apply(tunnels->reconciler, &desired, now_ms, result, err);
    free(peers);
    return code;
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

int tunnels_observe(struct tunnels *tunnels, struct core_observation *out, struct am_err *err)
{
    struct wg_device_observed observed = {0};
    int code = reconciler_observe(tunnels->reconciler, &observed, err);
    if (code != 0)
        goto done;
    if (!observed.exists) {
        code = am_fail(err, -ENODEV, "the WireGuard interface is gone");
        goto done;
    }
    if (!reserve_observed(tunnels, observed.peers_len)) {
        code = am_fail(err, -ENOMEM, "out of memory for the device's peers");
        goto done;
    }
    const int64_t now_s = time(NULL);
    for (size_t i = 0; i < observed.peers_len; i++) {
        const struct wg_peer_observed *peer = &observed.peers[i];
        tunnels->observed[i] = (struct core_observed_peer){
            .wg_pubkey = peer->config.pubkey,
            .handshake_age_s = handshake_age_s(peer->last_handshake_s, now_s),
            .rx_bytes = peer->rx_bytes,
            .tx_bytes = peer->tx_bytes,
        };
    }
    *out = (struct core_observation){.peers = tunnels->observed, .peers_len = observed.peers_len};
done:
    wg_device_clear(&observed);
    return code;
}
