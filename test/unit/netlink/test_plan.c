#include "netlink/plan.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "fixture.h"

#define PEERS 5

static struct wg_peer peers[PEERS];
static struct wg_device_desired desired;
static struct wg_device_observed observed;
static struct wg_plan plan;

static void set_up(void)
{
    for (uint32_t i = 0; i < PEERS; i++)
        peers[i] = fixture_peer(i);
    desired = fixture_desired(peers, PEERS);
    observed = fixture_observed(&desired);
}

static void tear_down(void)
{
    wg_plan_clear(&plan);
    wg_device_clear(&observed);
}

TestSuite(netlink_plan, .init = set_up, .fini = tear_down);

static void build(void)
{
    struct am_err err = {0};
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), 0, "%s", err.text);
}

/* Builds the plan and asserts that it is this one edit. */
static const struct wg_edit *build_single(enum wg_edit_kind kind)
{
    build();
    cr_assert_eq(plan.len, 1, "%zu edits", plan.len);
    cr_assert_eq(plan.edits[0].kind, kind);
    return &plan.edits[0];
}

static void remove_observed(size_t index)
{
    observed.peers_len--;
    memmove(&observed.peers[index], &observed.peers[index + 1],
            (observed.peers_len - index) * sizeof(*observed.peers));
}

Test(netlink_plan, equal_devices_need_nothing)
{
    build();
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, counters_and_handshakes_are_no_difference)
{
    observed.peers[0].last_handshake_s = 1;
    observed.peers[1].rx_bytes = 1;
    build();
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, absent_device_is_built_in_order)
{
    static const enum wg_edit_kind expected[] = {
        WG_EDIT_CREATE_DEVICE, WG_EDIT_SET_PRIVATE_KEY, WG_EDIT_SET_LISTEN_PORT, WG_EDIT_SET_PEER,
        WG_EDIT_SET_PEER,      WG_EDIT_SET_PEER,        WG_EDIT_SET_PEER,        WG_EDIT_SET_PEER,
        WG_EDIT_SET_MTU,       WG_EDIT_ADD_ADDRESS,     WG_EDIT_SET_UP,          WG_EDIT_ADD_ROUTE,
        WG_EDIT_ADD_ROUTE};
    wg_device_clear(&observed);
    build();
    cr_assert_eq(plan.len, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < plan.len; i++)
        cr_assert_eq(plan.edits[i].kind, expected[i], "edit %zu", i);
    cr_assert_eq(plan.edits[1].private_key, desired.private_key);
    cr_assert_eq(plan.edits[2].number, 51821);
    cr_assert_eq(plan.edits[3].peer, &peers[0]);
    cr_assert_eq(plan.edits[3].peer_fields, WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE);
}

Test(netlink_plan, new_peer_in_the_middle)
{
    remove_observed(2);
    cr_assert_eq(build_single(WG_EDIT_SET_PEER)->peer, &peers[2]);
}

Test(netlink_plan, new_peer_at_either_end)
{
    remove_observed(PEERS - 1);
    remove_observed(0);
    build();
    cr_assert_eq(plan.len, 2);
    cr_assert_eq(plan.edits[0].peer, &peers[0]);
    cr_assert_eq(plan.edits[1].peer, &peers[PEERS - 1]);
}

Test(netlink_plan, foreign_peers_go_before_others_come)
{
    remove_observed(0);
    const struct wg_peer foreign = fixture_peer(PEERS);
    cr_assert_not_null(wg_device_add_peer(&observed, &foreign.pubkey));
    build();
    cr_assert_eq(plan.len, 2);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_REMOVE_PEER);
    cr_assert(bytes32_equal(plan.edits[0].pubkey, &foreign.pubkey));
    cr_assert_eq(plan.edits[1].peer, &peers[0]);
}

Test(netlink_plan, no_desired_peers_removes_all)
{
    desired.peers_len = 0;
    build();
    cr_assert_eq(plan.len, PEERS);
    for (size_t i = 0; i < PEERS; i++)
        cr_assert_eq(plan.edits[i].kind, WG_EDIT_REMOVE_PEER);
}

Test(netlink_plan, changed_endpoint_writes_only_the_endpoint)
{
    observed.peers[3].config.endpoint.port = 1;
    const struct wg_edit *edit = build_single(WG_EDIT_SET_PEER);
    cr_assert_eq(edit->peer, &peers[3]);
    cr_assert_eq(edit->peer_fields, WG_PEER_ENDPOINT);
}

Test(netlink_plan, missing_endpoint_is_written)
{
    observed.peers[0].config.endpoint = (struct wg_endpoint){0};
    cr_assert_eq(build_single(WG_EDIT_SET_PEER)->peer_fields, WG_PEER_ENDPOINT);
}

Test(netlink_plan, any_endpoint_will_do_where_none_is_desired)
{
    peers[0].endpoint = (struct wg_endpoint){0};
    build();
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, order_of_allowed_ips_does_not_matter)
{
    struct wg_prefix *prefixes = observed.peers[0].config.prefixes;
    const struct wg_prefix first = prefixes[0];
    prefixes[0] = prefixes[1];
    prefixes[1] = first;
    build();
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, allowed_ips_missing_surplus_or_other_are_replaced)
{
    observed.peers[0].config.prefixes_len = 1;
    observed.peers[1].more_prefixes = true;
    observed.peers[2].config.prefixes[1].bits = 64;
    build();
    cr_assert_eq(plan.len, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(plan.edits[i].peer, &peers[i]);
        cr_assert_eq(plan.edits[i].peer_fields, WG_PEER_PREFIXES);
    }
}

Test(netlink_plan, keepalive_and_preshared_key_are_restored)
{
    observed.peers[0].config.keepalive_s = 0;
    observed.peers[0].preshared = true;
    cr_assert_eq(build_single(WG_EDIT_SET_PEER)->peer_fields, WG_PEER_KEEPALIVE | WG_PEER_NO_PRESHARED);
}

Test(netlink_plan, device_with_another_key)
{
    observed.public_key.b[0] ^= 1;
    cr_assert_eq(build_single(WG_EDIT_SET_PRIVATE_KEY)->private_key, desired.private_key);
}

Test(netlink_plan, port_mark_mtu_and_state_of_the_link)
{
    observed.listen_port = 1;
    observed.fwmark = 2;
    observed.mtu = 3;
    observed.up = false;
    build();
    cr_assert_eq(plan.len, 5);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_SET_LISTEN_PORT);
    cr_assert_eq(plan.edits[1].kind, WG_EDIT_CLEAR_FWMARK);
    cr_assert_eq(plan.edits[2].kind, WG_EDIT_SET_MTU);
    cr_assert_eq(plan.edits[2].number, 1420);
    cr_assert_eq(plan.edits[3].kind, WG_EDIT_SET_UP);
    cr_assert_eq(plan.edits[4].kind, WG_EDIT_SET_ROUTE_MTU, "an IPv6 route may change with its link");
    cr_assert_eq(plan.edits[4].route->prefix.family, AF_INET6);
}

Test(netlink_plan, new_address_comes_before_the_old_one_goes)
{
    observed.addresses[0] = wg_prefix_v4(0x0a0d0002, 32);
    build();
    cr_assert_eq(plan.len, 2);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_ADD_ADDRESS);
    cr_assert_eq(plan.edits[0].prefix, &desired.addresses[0]);
    cr_assert_eq(plan.edits[1].kind, WG_EDIT_REMOVE_ADDRESS);
    cr_assert_eq(plan.edits[1].prefix, &observed.addresses[0]);
}

Test(netlink_plan, routes_follow)
{
    observed.routes[0].prefix = wg_prefix_v4(0x0a0e0000, 16);
    build();
    cr_assert_eq(plan.len, 2);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_REMOVE_ROUTE);
    cr_assert_eq(plan.edits[1].kind, WG_EDIT_ADD_ROUTE);
    cr_assert(wg_prefix_equal(&plan.edits[1].route->prefix, &desired.routes[0].prefix));
    cr_assert_eq(plan.edits[1].route->mtu, 1420);
}

Test(netlink_plan, another_mtu_of_a_route_is_set)
{
    observed.routes[0].mtu = 0;
    cr_assert(
        wg_prefix_equal(&build_single(WG_EDIT_SET_ROUTE_MTU)->route->prefix, &desired.routes[0].prefix));
}

Test(netlink_plan, a_second_route_of_one_prefix_is_left_alone)
{
    cr_assert(wg_device_add_route(&observed, &observed.routes[0]));
    wg_device_sort(&observed);
    build();
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, peers_have_routes_of_their_own)
{
    peers[1].route_mtu = peers[3].route_mtu = 8000;
    build();
    cr_assert_eq(plan.len, 4);
    for (size_t i = 0; i < plan.len; i++) {
        cr_assert_eq(plan.edits[i].kind, WG_EDIT_ADD_ROUTE);
        cr_assert_eq(plan.edits[i].route->mtu, 8000);
    }
    cr_assert(wg_prefix_equal(&plan.edits[0].route->prefix, &peers[1].prefixes[0]));
    cr_assert(wg_prefix_equal(&plan.edits[3].route->prefix, &peers[3].prefixes[1]));
}

Test(netlink_plan, routes_of_peers_that_are_there_need_nothing_and_go_with_them)
{
    wg_device_clear(&observed);
    peers[1].route_mtu = peers[3].route_mtu = 8000;
    observed = fixture_observed(&desired);
    build();
    cr_assert_eq(plan.len, 0);
    wg_plan_clear(&plan);
    peers[3].route_mtu = 0;
    peers[1].route_mtu = 4000;
    build();
    cr_assert_eq(plan.len, 4);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_REMOVE_ROUTE);
    cr_assert_eq(plan.edits[1].kind, WG_EDIT_REMOVE_ROUTE);
    cr_assert_eq(plan.edits[2].kind, WG_EDIT_SET_ROUTE_MTU);
    cr_assert_eq(plan.edits[3].kind, WG_EDIT_SET_ROUTE_MTU);
}

Test(netlink_plan, a_host_without_ipv6_gets_no_ipv6_routes)
{
    desired.ipv4_only = true;
    peers[1].route_mtu = 8000;
    wg_device_clear(&observed);
    build();
    for (size_t i = 0; i < plan.len; i++)
        cr_assert(plan.edits[i].kind != WG_EDIT_ADD_ROUTE || plan.edits[i].route->prefix.family == AF_INET);
}

Test(netlink_plan, own_key_among_the_peers_is_left_out)
{
    desired.public_key = peers[2].pubkey;
    observed.public_key = desired.public_key;
    remove_observed(2);
    build();
    cr_assert_eq(plan.len, 0, "WireGuard never keeps such a peer");
}

Test(netlink_plan, bad_desired_values_are_refused)
{
    struct am_err err = {0};
    peers[1] = peers[0];
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "out of order"), "%s", err.text);
    cr_assert_eq(plan.len, 0);
    peers[1] = fixture_peer(1);

    peers[4].prefixes[0].bits = 33;
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), -EINVAL);
    peers[4] = fixture_peer(4);

    peers[4].prefixes_len = WG_PEER_PREFIXES_MAX + 1;
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), -EINVAL);
    peers[4] = fixture_peer(4);

    desired.addresses[0].family = 0;
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), -EINVAL);
    desired.addresses[0] = wg_prefix_v4(1, 32);

    desired.private_key = NULL;
    cr_assert_eq(wg_plan_build(&desired, &observed, &plan, &err), -EINVAL);
}

Test(netlink_plan, edits_have_words)
{
    char text[WG_EDIT_TEXT_SIZE];
    const struct wg_edit peer = {.kind = WG_EDIT_SET_PEER, .peer = &peers[0]};
    const struct wg_edit route = {.kind = WG_EDIT_ADD_ROUTE, .route = &desired.routes[0]};
    const struct wg_edit mtu = {.kind = WG_EDIT_SET_MTU, .number = 1420};
    cr_assert_str_eq(wg_edit_text(&peer, text), "set peer AAAAAVpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=");
    cr_assert_str_eq(wg_edit_text(&route, text), "add route 10.13.0.0/16");
    cr_assert_str_eq(wg_edit_text(&mtu, text), "set mtu 1420");
    const struct wg_edit route_mtu = {.kind = WG_EDIT_SET_ROUTE_MTU, .route = &desired.routes[0]};
    cr_assert_str_eq(wg_edit_text(&route_mtu, text), "set mtu 1420 of route 10.13.0.0/16");
}

static void build_changes(const struct wg_peer_change *changes, size_t len)
{
    struct am_err err = {0};
    cr_assert_eq(wg_plan_build_changes(&desired.public_key, false, changes, len, &plan, &err), 0, "%s",
                 err.text);
}

Test(netlink_plan, a_change_of_one_peer_is_one_edit)
{
    struct wg_peer moved = peers[1];
    moved.endpoint.port++;
    build_changes(&(struct wg_peer_change){.before = &peers[1], .after = &moved}, 1);
    cr_assert_eq(plan.len, 1);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_SET_PEER);
    cr_assert_eq(plan.edits[0].peer, &moved);
    cr_assert_eq(plan.edits[0].peer_fields, WG_PEER_ENDPOINT);
}

Test(netlink_plan, changes_that_are_none_need_nothing)
{
    const struct wg_peer_change changes[] = {{.before = &peers[0], .after = &peers[0]}, {.before = NULL}};
    build_changes(changes, 2);
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, peers_go_before_others_come_in_changes_too)
{
    struct wg_peer rekeyed = peers[2];
    memset(rekeyed.pubkey.b, 0x77, sizeof(rekeyed.pubkey.b));
    const struct wg_peer_change changes[] = {
        {.after = &peers[0]}, {.before = &peers[2], .after = &rekeyed}, {.before = &peers[1]}};
    build_changes(changes, 3);
    cr_assert_eq(plan.len, 4);
    cr_assert_eq(plan.edits[0].pubkey, &peers[2].pubkey);
    cr_assert_eq(plan.edits[1].pubkey, &peers[1].pubkey);
    cr_assert_eq(plan.edits[2].peer, &peers[0]);
    cr_assert_eq(plan.edits[3].peer, &rekeyed);
    cr_assert_eq(plan.edits[3].peer_fields, WG_PEER_ENDPOINT | WG_PEER_PREFIXES | WG_PEER_KEEPALIVE);
}

Test(netlink_plan, a_stream_that_came_up_is_two_routes)
{
    struct wg_peer streamed = peers[1];
    streamed.route_mtu = 8000;
    build_changes(&(struct wg_peer_change){.before = &peers[1], .after = &streamed}, 1);
    cr_assert_eq(plan.len, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(plan.edits[i].kind, WG_EDIT_ADD_ROUTE);
        cr_assert(wg_prefix_equal(&plan.edits[i].route->prefix, &peers[1].prefixes[i]));
        cr_assert_eq(plan.edits[i].route->mtu, 8000);
    }
}

Test(netlink_plan, routes_go_with_a_changed_peer)
{
    struct wg_peer streamed = peers[1], larger = peers[1];
    streamed.route_mtu = 8000;
    larger.route_mtu = 9000;
    build_changes(&(struct wg_peer_change){.before = &streamed}, 1);
    cr_assert_eq(plan.len, 3);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_REMOVE_PEER);
    cr_assert_eq(plan.edits[1].kind, WG_EDIT_REMOVE_ROUTE);
    cr_assert_eq(plan.edits[2].kind, WG_EDIT_REMOVE_ROUTE);
    wg_plan_clear(&plan);
    build_changes(&(struct wg_peer_change){.before = &streamed, .after = &larger}, 1);
    cr_assert_eq(plan.len, 2);
    cr_assert_eq(plan.edits[0].kind, WG_EDIT_SET_ROUTE_MTU);
    cr_assert_eq(plan.edits[0].route->mtu, 9000);
}

Test(netlink_plan, the_own_key_is_no_peer_in_changes_either)
{
    struct wg_peer self = peers[0];
    self.pubkey = desired.public_key;
    build_changes(&(struct wg_peer_change){.after = &self}, 1);
    cr_assert_eq(plan.len, 0);
}

Test(netlink_plan, a_malformed_change_is_refused)
{
    struct am_err err = {0};
    struct wg_peer bad = peers[0];
    bad.prefixes[0].bits = 33;
    const struct wg_peer_change change = {.after = &bad};
    cr_assert_eq(wg_plan_build_changes(&desired.public_key, false, &change, 1, &plan, &err), -EINVAL);
    cr_assert_not_null(strstr(err.text, "malformed"));
    cr_assert_eq(plan.len, 0);
}
