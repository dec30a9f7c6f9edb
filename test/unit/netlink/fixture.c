#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct secret test_key = {{0x42}};

struct wg_peer fixture_peer(uint32_t index)
{
    uint8_t v6[16] = {0xfd, 1, 2, 3, 4, 5};
    struct wg_peer peer = {.keepalive_s = 25, .prefixes_len = 2};
    be32_write(peer.pubkey.b, index + 1);
    memset(peer.pubkey.b + 4, 0x5a, sizeof(peer.pubkey.b) - 4);
    peer.endpoint = wg_endpoint_v4(0x7f400001 + index, 51901);
    peer.prefixes[0] = wg_prefix_v4(0x0a0d0100 + index, 32);
    be32_write(v6 + 12, index + 1);
    peer.prefixes[1] = wg_prefix_v6(v6, 128);
    return peer;
}

struct wg_device_desired fixture_desired(const struct wg_peer *peers, size_t peers_len)
{
    const uint8_t mesh[16] = {0xfd, 1, 2, 3, 4, 5};
    return (struct wg_device_desired){
        .private_key = &test_key,
        .public_key = {{0xee, 0xee}},
        .listen_port = 51821,
        .mtu = 1420,
        .addresses = {wg_prefix_v4(0x0a0d0001, 32)},
        .addresses_len = 1,
        .routes = {{wg_prefix_v4(0x0a0d0000, 16), 1420}, {wg_prefix_v6(mesh, 48), 1420}},
        .routes_len = 2,
        .peers = peers,
        .peers_len = peers_len};
}

struct wg_device_observed fixture_observed(const struct wg_device_desired *desired)
{
    struct wg_device_observed observed = {.exists = true,
                                          .up = true,
                                          .mtu = desired->mtu,
                                          .public_key = desired->public_key,
                                          .listen_port = desired->listen_port,
                                          .addresses_len = desired->addresses_len};
    memcpy(observed.addresses, desired->addresses, sizeof(observed.addresses));
    for (size_t i = 0; i < desired->routes_len; i++)
        cr_assert(wg_device_add_route(&observed, &desired->routes[i]));
    for (size_t i = 0; i < desired->peers_len; i++) {
        struct wg_peer_observed *peer = wg_device_add_peer(&observed, &desired->peers[i].pubkey);
        cr_assert_not_null(peer);
        peer->config = desired->peers[i];
        peer->config.route_mtu = 0;
        for (size_t p = 0; desired->peers[i].route_mtu != 0 && p < peer->config.prefixes_len; p++)
            cr_assert(wg_device_add_route(
                &observed, &(struct wg_route){peer->config.prefixes[p], desired->peers[i].route_mtu}));
    }
    wg_device_sort(&observed);
    return observed;
}

const uint8_t *fixture_corpus(const char *name, size_t *len)
{
    static _Alignas(8) uint8_t data[8192];
    char path[512];
    snprintf(path, sizeof(path), CORPUS_DIR "/%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s is missing", path);
    *len = fread(data, 1, sizeof(data), file);
    fclose(file);
    cr_assert_gt(*len, 0);
    return data;
}
