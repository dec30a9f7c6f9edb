/* A WireGuard device as values: what it should be and what it is. No system call behind any function here.
 *
 * PROTOCOL section 5. Ports and lengths are in host byte order, addresses in network byte order.
 */
#ifndef NETLINK_DEVICE_H
#define NETLINK_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

#define WG_IFNAME_SIZE 16        /* IFNAMSIZ: 15 characters and the NUL */
#define WG_PEERS_MAX 16384       /* peers of one device */
#define WG_PEER_PREFIXES_MAX 4   /* allowed IPs of one peer */
#define WG_DEVICE_PREFIXES_MAX 8 /* addresses, and routes besides those of peers, of one device */
#define WG_ROUTES_MAX (WG_DEVICE_PREFIXES_MAX + 2 * WG_PEERS_MAX)

/* An address with its prefix length. An IPv4 address stands in the first four bytes, the others are zero. */
struct wg_prefix {
    uint8_t family; /* AF_INET or AF_INET6 */
    uint8_t bits;
    uint8_t address[16];
};

struct wg_route {
    struct wg_prefix prefix; /* host bits zero */
    uint32_t mtu;            /* 0: as the device */
};

struct wg_endpoint {
    uint8_t family; /* AF_INET, AF_INET6, or AF_UNSPEC for none */
    uint16_t port;
    uint8_t address[16];
};

struct wg_peer {
    struct bytes32 pubkey;
    struct wg_endpoint endpoint;
    struct wg_prefix prefixes[WG_PEER_PREFIXES_MAX];
    uint8_t prefixes_len;
    uint16_t keepalive_s; /* 0: off */
    uint32_t route_mtu; /* its prefixes have routes of their own with this MTU; 0: no such routes. Not part of
                           WireGuard, so an observed peer has 0. */
};

struct wg_peer_observed {
    struct wg_peer config;
    bool more_prefixes;       /* it has allowed IPs beyond those in config */
    bool preshared;           /* somebody gave it a preshared key; the mesh uses none */
    int64_t last_handshake_s; /* seconds since the epoch, 0 for never */
    uint64_t rx_bytes;
    uint64_t tx_bytes;
};

/* What the device should be. Everything it points to belongs to the caller and is only read. */
struct wg_device_desired {
    const struct secret *private_key;
    struct bytes32 public_key; /* of private_key */
    uint16_t listen_port;
    uint32_t mtu;
    bool ipv4_only; /* IPv6 addresses and routes are left out */
    struct wg_prefix addresses[WG_DEVICE_PREFIXES_MAX];
    size_t addresses_len;
    struct wg_route routes[WG_DEVICE_PREFIXES_MAX]; /* besides those of peers */
    size_t routes_len;
    const struct wg_peer *peers; /* strictly ascending by public key */
    size_t peers_len;
};

/* What the device is. Holds no secret. */
struct wg_device_observed {
    bool exists;
    bool up;
    uint32_t mtu;
    struct bytes32 public_key; /* zero while it has no private key */
    uint16_t listen_port;
    uint32_t fwmark;
    struct wg_prefix
        addresses[WG_DEVICE_PREFIXES_MAX]; /* without link-local ones; the first ones if there are more */
    size_t addresses_len;
    struct wg_route *routes; /* of the main table, without those the kernel made by itself; in the order of
                                wg_prefix_compare after wg_device_sort */
    size_t routes_len;
    size_t routes_capacity;
    struct wg_peer_observed *peers; /* strictly ascending by public key after wg_device_sort */
    size_t peers_len;
    size_t peers_capacity;
};

/* True for 1 to 15 characters of A-Z a-z 0-9 _ - . which are not "." or "..". */
bool wg_ifname_valid(const char *ifname);

/* From an IPv4 address in host byte order, such as 0x0a0d0000 for 10.13.0.0. */
struct wg_prefix wg_prefix_v4(uint32_t address, uint8_t bits);
struct wg_prefix wg_prefix_v6(const uint8_t address[16], uint8_t bits);
struct wg_endpoint wg_endpoint_v4(uint32_t address, uint16_t port);

/* An order of prefixes: negative, 0 or positive, as memcmp. */
int wg_prefix_compare(const struct wg_prefix *a, const struct wg_prefix *b);

/* The same of routes by their prefix, for qsort. */
int wg_route_compare(const void *a, const void *b);

bool wg_prefix_equal(const struct wg_prefix *a, const struct wg_prefix *b);
bool wg_endpoint_equal(const struct wg_endpoint *a, const struct wg_endpoint *b);

/* True for a known family, a length within it, and zeros behind an IPv4 address. */
bool wg_prefix_valid(const struct wg_prefix *prefix);

/* Text such as "10.13.0.7/32"; returns `out`. */
#define WG_PREFIX_TEXT_SIZE 64
const char *wg_prefix_text(const struct wg_prefix *prefix, char out[WG_PREFIX_TEXT_SIZE]);

/* A public key in base64, as `wg` prints it; returns `out`. */
#define WG_KEY_TEXT_SIZE 45
const char *wg_key_text(const struct bytes32 *key, char out[WG_KEY_TEXT_SIZE]);

/* Appends a peer with this key and no other property and returns it, valid until the next append. Returns
 * NULL when there are WG_PEERS_MAX already or memory is short. */
struct wg_peer_observed *wg_device_add_peer(struct wg_device_observed *device, const struct bytes32 *pubkey);

/* Notes one allowed IP, or sets more_prefixes when there is no room for it. */
void wg_peer_add_prefix(struct wg_peer_observed *peer, const struct wg_prefix *prefix);

/* Appends a route. False when there are WG_ROUTES_MAX already or memory is short. */
bool wg_device_add_route(struct wg_device_observed *device, const struct wg_route *route);

/* Puts peers and routes in order. */
void wg_device_sort(struct wg_device_observed *device);

/* The peer with this key of a sorted device, or NULL. */
const struct wg_peer_observed *wg_device_find_peer(const struct wg_device_observed *device,
                                                   const struct bytes32 *pubkey);

/* Frees peers and routes and zeroes the device, so that it can be filled again. */
void wg_device_clear(struct wg_device_observed *device);

#endif
