#include "netlink/device.h"

#include <criterion/criterion.h>

#include "fixture.h"

Test(netlink_device, interface_names)
{
    cr_assert(wg_ifname_valid("attestmesh0"));
    cr_assert(wg_ifname_valid("a-b_c.d"));
    cr_assert(wg_ifname_valid("123456789012345"));
    cr_assert_not(wg_ifname_valid("1234567890123456"));
    cr_assert_not(wg_ifname_valid(""));
    cr_assert_not(wg_ifname_valid("."));
    cr_assert_not(wg_ifname_valid(".."));
    cr_assert_not(wg_ifname_valid("a/b"));
    cr_assert_not(wg_ifname_valid("a b"));
    cr_assert_not(wg_ifname_valid("wg\xc3\xa4"));
}

Test(netlink_device, prefix_validity)
{
    struct wg_prefix prefix = wg_prefix_v4(0x0a0d0000, 32);
    cr_assert(wg_prefix_valid(&prefix));
    prefix.bits = 33;
    cr_assert_not(wg_prefix_valid(&prefix));
    prefix = wg_prefix_v4(0x0a0d0000, 16);
    prefix.address[4] = 1;
    cr_assert_not(wg_prefix_valid(&prefix), "an IPv4 address has four bytes");
    prefix = wg_prefix_v6((const uint8_t[16]){0xfd}, 128);
    cr_assert(wg_prefix_valid(&prefix));
    prefix.bits = 129;
    cr_assert_not(wg_prefix_valid(&prefix));
    prefix.family = AF_UNIX;
    cr_assert_not(wg_prefix_valid(&prefix));
}

Test(netlink_device, prefix_text)
{
    char text[WG_PREFIX_TEXT_SIZE];
    const struct wg_prefix v4 = wg_prefix_v4(0x0a0d0007, 32),
                           v6 = wg_prefix_v6((const uint8_t[16]){0xfd, 1}, 48);
    cr_assert_str_eq(wg_prefix_text(&v4, text), "10.13.0.7/32");
    cr_assert_str_eq(wg_prefix_text(&v6, text), "fd01::/48");
}

Test(netlink_device, key_text_is_what_wg_prints)
{
    char text[WG_KEY_TEXT_SIZE];
    const struct wg_peer peer = fixture_peer(0);
    cr_assert_str_eq(wg_key_text(&peer.pubkey, text), "AAAAAVpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=");
}

Test(netlink_device, peers_are_sorted_and_found)
{
    struct wg_device_observed device = {0};
    for (uint32_t i = 0; i < 100; i++) {
        const struct wg_peer peer = fixture_peer((i * 37) % 100);
        cr_assert_not_null(wg_device_add_peer(&device, &peer.pubkey));
    }
    wg_device_sort(&device);
    for (uint32_t i = 0; i < 100; i++) {
        const struct wg_peer peer = fixture_peer(i);
        cr_assert_eq(wg_device_find_peer(&device, &peer.pubkey), &device.peers[i]);
    }
    const struct wg_peer stranger = fixture_peer(100);
    cr_assert_null(wg_device_find_peer(&device, &stranger.pubkey));
    wg_device_clear(&device);
    cr_assert_null(wg_device_find_peer(&device, &stranger.pubkey), "an empty device has no peer");
}

Test(netlink_device, peers_are_capped)
{
    struct wg_device_observed device = {0};
    for (uint32_t i = 0; i < WG_PEERS_MAX; i++) {
        const struct wg_peer peer = fixture_peer(i);
        cr_assert_not_null(wg_device_add_peer(&device, &peer.pubkey));
    }
    const struct wg_peer extra = fixture_peer(WG_PEERS_MAX);
    cr_assert_null(wg_device_add_peer(&device, &extra.pubkey));
    wg_device_clear(&device);
}

Test(netlink_device, surplus_prefixes_are_noted)
{
    struct wg_peer_observed peer = {0};
    for (uint32_t i = 0; i < WG_PEER_PREFIXES_MAX; i++) {
        const struct wg_prefix prefix = wg_prefix_v4(i, 32);
        wg_peer_add_prefix(&peer, &prefix);
    }
    cr_assert_not(peer.more_prefixes);
    const struct wg_prefix extra = wg_prefix_v4(99, 32);
    wg_peer_add_prefix(&peer, &extra);
    cr_assert(peer.more_prefixes);
    cr_assert_eq(peer.config.prefixes_len, WG_PEER_PREFIXES_MAX);
}

Test(netlink_device, routes_are_sorted_by_family_address_and_length)
{
    static const uint8_t v6[16] = {0xfd};
    struct wg_device_observed device = {0};
    const struct wg_route routes[] = {{wg_prefix_v6(v6, 48), 1},
                                      {wg_prefix_v4(0x0a0d0000, 32), 2},
                                      {wg_prefix_v4(0x0a0d0000, 16), 3},
                                      {wg_prefix_v4(0x0a0c0001, 32), 4}};
    for (size_t i = 0; i < 4; i++)
        cr_assert(wg_device_add_route(&device, &routes[i]));
    wg_device_sort(&device);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(device.routes[i].mtu, 4 - i);
    wg_device_clear(&device);
    cr_assert_eq(device.routes_len, 0);
}

Test(netlink_device, routes_are_capped)
{
    struct wg_device_observed device = {0};
    const struct wg_route route = {wg_prefix_v4(0, 0), 0};
    for (size_t i = 0; i < WG_ROUTES_MAX; i++)
        cr_assert(wg_device_add_route(&device, &route));
    cr_assert_not(wg_device_add_route(&device, &route));
    wg_device_clear(&device);
}
