#include "netlink/device.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_FIRST 16

bool wg_ifname_valid(const char *ifname)
{
    const size_t len = strnlen(ifname, WG_IFNAME_SIZE);
    if (len == 0 || len == WG_IFNAME_SIZE || strcmp(ifname, ".") == 0 || strcmp(ifname, "..") == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)ifname[i];
        if (c >= 0x80 || (!isalnum(c) && !strchr("_-.", c)))
            return false;
    }
    return true;
}

struct wg_prefix wg_prefix_v4(uint32_t address, uint8_t bits)
{
    struct wg_prefix prefix = {.family = AF_INET, .bits = bits};
    be32_write(prefix.address, address);
    return prefix;
}

struct wg_prefix wg_prefix_v6(const uint8_t address[16], uint8_t bits)
{
    struct wg_prefix prefix = {.family = AF_INET6, .bits = bits};
    memcpy(prefix.address, address, sizeof(prefix.address));
    return prefix;
}

struct wg_endpoint wg_endpoint_v4(uint32_t address, uint16_t port)
{
    struct wg_endpoint endpoint = {.family = AF_INET, .port = port};
    be32_write(endpoint.address, address);
    return endpoint;
}

int wg_prefix_compare(const struct wg_prefix *a, const struct wg_prefix *b)
{
    if (a->family != b->family)
        return a->family < b->family ? -1 : 1;
    const int order = memcmp(a->address, b->address, sizeof(a->address));
    return order != 0 ? order : (a->bits > b->bits) - (a->bits < b->bits);
}

int wg_route_compare(const void *a, const void *b)
{
    const struct wg_route *left = a, *right = b;
    return wg_prefix_compare(&left->prefix, &right->prefix);
}

bool wg_prefix_equal(const struct wg_prefix *a, const struct wg_prefix *b)
{
    return a->family == b->family && a->bits == b->bits &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool wg_endpoint_equal(const struct wg_endpoint *a, const struct wg_endpoint *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool wg_prefix_valid(const struct wg_prefix *prefix)
{
    static const uint8_t zeros[12];
    if (prefix->family == AF_INET6)
        return prefix->bits <= 128;
    return prefix->family == AF_INET && prefix->bits <= 32 &&
           memcmp(prefix->address + 4, zeros, sizeof(zeros)) == 0;
}

const char *wg_prefix_text(const struct wg_prefix *prefix, char out[WG_PREFIX_TEXT_SIZE])
{
    char address[INET6_ADDRSTRLEN];
    if (!inet_ntop(prefix->family, prefix->address, address, sizeof(address)))
        memcpy(address, "?", 2);
    snprintf(out, WG_PREFIX_TEXT_SIZE, "%s/%u", address, prefix->bits);
    return out;
}

const char *wg_key_text(const struct bytes32 *key, char out[WG_KEY_TEXT_SIZE])
{
    return sodium_bin2base64(out, WG_KEY_TEXT_SIZE, key->b, sizeof(key->b), sodium_base64_VARIANT_ORIGINAL);
}

static bool device_grow_peers(struct wg_device_observed *device)
{
    if (device->peers_len == WG_PEERS_MAX)
        return false;
    const size_t capacity = device->peers_capacity ? 2 * device->peers_capacity : CAPACITY_FIRST;
    struct wg_peer_observed *peers = reallocarray(device->peers, capacity, sizeof(*peers));
    if (!peers)
        return false;
    device->peers = peers;
    device->peers_capacity = capacity;
    return true;
}

struct wg_peer_observed *wg_device_add_peer(struct wg_device_observed *device, const struct bytes32 *pubkey)
{
    if (device->peers_len == device->peers_capacity && !device_grow_peers(device))
        return NULL;
    struct wg_peer_observed *peer = &device->peers[device->peers_len++];
    *peer = (struct wg_peer_observed){.config.pubkey = *pubkey};
    return peer;
}

void wg_peer_add_prefix(struct wg_peer_observed *peer, const struct wg_prefix *prefix)
{
    if (peer->config.prefixes_len < WG_PEER_PREFIXES_MAX)
        peer->config.prefixes[peer->config.prefixes_len++] = *prefix;
    else
        peer->more_prefixes = true;
}

static int peer_compare(const void *a, const void *b)
{
    const struct wg_peer_observed *left = a, *right = b;
    return memcmp(left->config.pubkey.b, right->config.pubkey.b, sizeof(left->config.pubkey.b));
}

bool wg_device_add_route(struct wg_device_observed *device, const struct wg_route *route)
{
    if (device->routes_len == WG_ROUTES_MAX)
        return false;
    if (device->routes_len == device->routes_capacity) {
        const size_t capacity = device->routes_capacity ? 2 * device->routes_capacity : CAPACITY_FIRST;
        struct wg_route *routes = reallocarray(device->routes, capacity, sizeof(*routes));
        if (!routes)
            return false;
        device->routes = routes;
        device->routes_capacity = capacity;
    }
    device->routes[device->routes_len++] = *route;
    return true;
}

static bool peers_sorted(const struct wg_device_observed *device)
{
    for (size_t i = 1; i < device->peers_len; i++) {
        if (peer_compare(&device->peers[i - 1], &device->peers[i]) > 0)
            return false;
    }
    return true;
}

void wg_device_sort(struct wg_device_observed *device)
{
    /* The kernel lists peers as they were added, which for a large set of ours is the order already. */
    if (!peers_sorted(device))
        qsort(device->peers, device->peers_len, sizeof(*device->peers), peer_compare);
    if (device->routes_len > 1)
        qsort(device->routes, device->routes_len, sizeof(*device->routes), wg_route_compare);
}

const struct wg_peer_observed *wg_device_find_peer(const struct wg_device_observed *device,
                                                   const struct bytes32 *pubkey)
{
    const struct wg_peer_observed wanted = {.config.pubkey = *pubkey};
    if (device->peers_len == 0)
        return NULL;
    return bsearch(&wanted, device->peers, device->peers_len, sizeof(*device->peers), peer_compare);
}

void wg_device_clear(struct wg_device_observed *device)
{
    free(device->peers);
    free(device->routes);
    *device = (struct wg_device_observed){0};
}
