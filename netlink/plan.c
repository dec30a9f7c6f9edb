#include "netlink/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Edits that are about neither single peers nor routes: create, key, port, fwmark, mtu, up, and addresses
 * twice (remove, add). */
#define DEVICE_EDITS_MAX (6 + 2 * WG_DEVICE_PREFIXES_MAX)

struct builder {
    const struct wg_device_desired *desired;
    const struct wg_device_observed *observed;
    struct wg_plan *plan;
    size_t routes_len; /* desired, in plan->routes */
};

static struct wg_edit *add_edit(struct wg_plan *plan, enum wg_edit_kind kind)
{
    struct wg_edit *edit = &plan->edits[plan->len++];
    *edit = (struct wg_edit){.kind = kind};
    return edit;
}

static bool peer_valid(const struct wg_peer *peer)
{
    if (peer->prefixes_len > WG_PEER_PREFIXES_MAX)
        return false;
    for (size_t i = 0; i < peer->prefixes_len; i++) {
        if (!wg_prefix_valid(&peer->prefixes[i]))
            return false;
    }
    const uint8_t family = peer->endpoint.family;
    return family == AF_UNSPEC || family == AF_INET || family == AF_INET6;
}

static int check_peer(const struct wg_peer *peer, struct am_err *err)
{
    char key[WG_KEY_TEXT_SIZE];
    if (peer_valid(peer))
        return 0;
    return am_fail(err, -EINVAL, "desired peer %s is malformed", wg_key_text(&peer->pubkey, key));
}

static int check_desired(const struct wg_device_desired *desired, struct am_err *err)
{
    char key[WG_KEY_TEXT_SIZE];
    if (!desired->private_key || desired->addresses_len > WG_DEVICE_PREFIXES_MAX ||
        desired->routes_len > WG_DEVICE_PREFIXES_MAX || desired->peers_len > WG_PEERS_MAX)
        return am_fail(err, -EINVAL, "desired device without a key, or with more than its limits allow");
    for (size_t i = 0; i < desired->addresses_len; i++) {
        if (!wg_prefix_valid(&desired->addresses[i]))
            return am_fail(err, -EINVAL, "desired address %zu is malformed", i);
    }
    for (size_t i = 0; i < desired->routes_len; i++) {
        if (!wg_prefix_valid(&desired->routes[i].prefix))
            return am_fail(err, -EINVAL, "desired route %zu is malformed", i);
    }
    for (size_t i = 0; i < desired->peers_len; i++) {
        const struct wg_peer *peer = &desired->peers[i];
        if (i > 0 && memcmp(peer[-1].pubkey.b, peer->pubkey.b, sizeof(peer->pubkey.b)) >= 0)
            return am_fail(err, -EINVAL, "desired peer %s is out of order", wg_key_text(&peer->pubkey, key));
        const int rc = check_peer(peer, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool has_prefix(const struct wg_prefix *list, size_t len, const struct wg_prefix *prefix)
{
    for (size_t i = 0; i < len; i++) {
        if (wg_prefix_equal(&list[i], prefix))
            return true;
    }
    return false;
}

/* One edit for each prefix of `list` that `others` lacks. */
static void plan_prefixes(struct builder *b, enum wg_edit_kind kind, const struct wg_prefix *list, size_t len,
                          const struct wg_prefix *others, size_t others_len)
{
    for (size_t i = 0; i < len; i++) {
        if (!has_prefix(others, others_len, &list[i]))
            add_edit(b->plan, kind)->prefix = &list[i];
    }
}

static void plan_device(struct builder *b)
{
    const struct wg_device_desired *desired = b->desired;
    const struct wg_device_observed *observed = b->observed;
    if (!observed->exists)
        add_edit(b->plan, WG_EDIT_CREATE_DEVICE);
    if (!bytes32_equal(&desired->public_key, &observed->public_key))
        add_edit(b->plan, WG_EDIT_SET_PRIVATE_KEY)->private_key = desired->private_key;
    if (desired->listen_port != observed->listen_port)
        add_edit(b->plan, WG_EDIT_SET_LISTEN_PORT)->number = desired->listen_port;
    if (observed->fwmark != 0)
        add_edit(b->plan, WG_EDIT_CLEAR_FWMARK);
}

/* Both walks below go once through both sorted lists. */
static int compare_at(const struct builder *b, size_t d, size_t o)
{
    if (d == b->desired->peers_len)
        return 1;
    if (o == b->observed->peers_len)
        return -1;
    return memcmp(b->desired->peers[d].pubkey.b, b->observed->peers[o].config.pubkey.b,
                  sizeof(struct bytes32));
}

static void plan_removed_peers(struct builder *b)
{
    for (size_t d = 0, o = 0; o < b->observed->peers_len;) {
        const int order = compare_at(b, d, o);
        if (order > 0)
            add_edit(b->plan, WG_EDIT_REMOVE_PEER)->pubkey = &b->observed->peers[o].config.pubkey;
        d += order <= 0;
        o += order >= 0;
    }
}

static bool prefixes_equal(const struct wg_peer *a, const struct wg_peer *b)
{
    if (a->prefixes_len != b->prefixes_len)
        return false;
    for (size_t i = 0; i < a->prefixes_len; i++) {
        if (!has_prefix(b->prefixes, b->prefixes_len, &a->prefixes[i]))
            return false;
    }
    return true;
}

/* What makes `present` the desired peer. */
static unsigned peer_difference(const struct wg_peer *desired, const struct wg_peer *present)
{
    unsigned fields = 0;
    /* A peer can not be told to forget its endpoint: without a desired one any will do. */
    if (desired->endpoint.family != AF_UNSPEC && !wg_endpoint_equal(&desired->endpoint, &present->endpoint))
        fields |= WG_PEER_ENDPOINT;
    if (!prefixes_equal(desired, present))
        fields |= WG_PEER_PREFIXES;
    if (desired->keepalive_s != present->keepalive_s)
        fields |= WG_PEER_KEEPALIVE;
    return fields;
}

/* What makes the desired peer where there is none. */
static unsigned new_peer_fields(const struct wg_peer *desired)
{
    const unsigned fields = WG_PEER_PREFIXES | WG_PEER_KEEPALIVE;
    return desired->endpoint.family != AF_UNSPEC ? fields | WG_PEER_ENDPOINT : fields;
}

static unsigned observed_difference(const struct wg_peer *desired, const struct wg_peer_observed *observed)
{
    unsigned fields = peer_difference(desired, &observed->config);
    if (observed->more_prefixes)
        fields |= WG_PEER_PREFIXES;
    if (observed->preshared)
        fields |= WG_PEER_NO_PRESHARED;
    return fields;
}

/* A peer with the device's own key is none, as for WireGuard itself. */
static void plan_set_peer(struct wg_plan *plan, const struct bytes32 *own, const struct wg_peer *peer,
                          unsigned fields)
{
    if (fields == 0 || bytes32_equal(&peer->pubkey, own))
        return;
    struct wg_edit *edit = add_edit(plan, WG_EDIT_SET_PEER);
    edit->peer = peer;
    edit->peer_fields = fields;
}

static void plan_set_peers(struct builder *b)
{
    for (size_t d = 0, o = 0; d < b->desired->peers_len;) {
        const int order = compare_at(b, d, o);
        if (order <= 0) {
            const struct wg_peer *peer = &b->desired->peers[d];
            plan_set_peer(b->plan, &b->desired->public_key, peer,
                          order == 0 ? observed_difference(peer, &b->observed->peers[o])
                                     : new_peer_fields(peer));
        }
        d += order <= 0;
        o += order >= 0;
    }
}

static int compare_routes_at(const struct builder *b, size_t d, size_t o)
{
    if (d == b->routes_len)
        return 1;
    if (o == b->observed->routes_len)
        return -1;
    return wg_route_compare(&b->plan->routes[d], &b->observed->routes[o]);
}

/* A new MTU of the link takes IPv6 routes along that had the old one. */
static bool same_mtu(const struct builder *b, const struct wg_route *desired, const struct wg_route *observed)
{
    return desired->mtu == observed->mtu &&
           (desired->prefix.family == AF_INET || b->desired->mtu == b->observed->mtu);
}

/* Who goes, then who comes or changes. More routes of one prefix, of other priorities, are not ours to judge.
 */
static void plan_routes(struct builder *b)
{
    const struct wg_device_observed *observed = b->observed;
    for (size_t d = 0, o = 0; o < observed->routes_len;) {
        const int order = compare_routes_at(b, d, o);
        if (order > 0)
            add_edit(b->plan, WG_EDIT_REMOVE_ROUTE)->route = &observed->routes[o];
        d += order < 0;
        o += order >= 0;
    }
    for (size_t d = 0, o = 0; d < b->routes_len;) {
        const int order = compare_routes_at(b, d, o);
        const struct wg_route *route = &b->plan->routes[d];
        if (order < 0)
            add_edit(b->plan, WG_EDIT_ADD_ROUTE)->route = route;
        else if (order == 0 && !same_mtu(b, route, &observed->routes[o]))
            add_edit(b->plan, WG_EDIT_SET_ROUTE_MTU)->route = route;
        d += order <= 0;
        o += order >= 0;
    }
}

static void plan_link(struct builder *b)
{
    const struct wg_device_desired *desired = b->desired;
    const struct wg_device_observed *observed = b->observed;
    if (desired->mtu != observed->mtu)
        add_edit(b->plan, WG_EDIT_SET_MTU)->number = desired->mtu;
    /* New ones first: with a link's last IPv4 address all its routes go. */
    plan_prefixes(b, WG_EDIT_ADD_ADDRESS, desired->addresses, desired->addresses_len, observed->addresses,
                  observed->addresses_len);
    plan_prefixes(b, WG_EDIT_REMOVE_ADDRESS, observed->addresses, observed->addresses_len, desired->addresses,
                  desired->addresses_len);
    if (!observed->up)
        add_edit(b->plan, WG_EDIT_SET_UP);
    plan_routes(b);
}

static size_t count_routes(const struct wg_device_desired *desired)
{
    size_t len = desired->routes_len;
    for (size_t i = 0; i < desired->peers_len; i++)
        len += desired->peers[i].route_mtu != 0 ? desired->peers[i].prefixes_len : 0;
    return len;
}

static void list_route(struct builder *b, const struct wg_prefix *prefix, uint32_t mtu)
{
    if (!b->desired->ipv4_only || prefix->family == AF_INET)
        b->plan->routes[b->routes_len++] = (struct wg_route){.prefix = *prefix, .mtu = mtu};
}

/* The device's own routes and those of peers, in order. */
static void list_routes(struct builder *b)
{
    const struct wg_device_desired *desired = b->desired;
    for (size_t i = 0; i < desired->routes_len; i++)
        list_route(b, &desired->routes[i].prefix, desired->routes[i].mtu);
    for (size_t i = 0; i < desired->peers_len; i++) {
        const struct wg_peer *peer = &desired->peers[i];
        for (size_t p = 0; peer->route_mtu != 0 && p < peer->prefixes_len; p++)
            list_route(b, &peer->prefixes[p], peer->route_mtu);
    }
    if (b->routes_len > 1)
        qsort(b->plan->routes, b->routes_len, sizeof(*b->plan->routes), wg_route_compare);
}

static int reserve_edits(struct wg_plan *plan, size_t edits_max, size_t routes_max, struct am_err *err)
{
    plan->edits = calloc(edits_max, sizeof(*plan->edits));
    plan->routes = calloc(routes_max + 1, sizeof(*plan->routes));
    if (plan->edits && plan->routes)
        return 0;
    wg_plan_clear(plan);
    return am_fail(err, -ENOMEM, "no memory for %zu edits", edits_max);
}

int wg_plan_build(const struct wg_device_desired *desired, const struct wg_device_observed *observed,
                  struct wg_plan *plan, struct am_err *err)
{
    *plan = (struct wg_plan){0};
    int rc = check_desired(desired, err);
    if (rc < 0)
        return rc;
    const size_t routes_max = count_routes(desired);
    rc = reserve_edits(
        plan, DEVICE_EDITS_MAX + desired->peers_len + observed->peers_len + routes_max + observed->routes_len,
        routes_max, err);
    if (rc < 0)
        return rc;
    struct builder b = {.desired = desired, .observed = observed, .plan = plan};
    list_routes(&b);
    plan_device(&b);
    plan_removed_peers(&b);
    plan_set_peers(&b);
    plan_link(&b);
    return 0;
}

/* The peer stays the same one for WireGuard. */
static bool keeps_key(const struct wg_peer_change *change)
{
    return change->before && change->after && bytes32_equal(&change->before->pubkey, &change->after->pubkey);
}

static bool has_route(const struct wg_peer *peer, const struct wg_prefix *prefix)
{
    return peer && peer->route_mtu != 0 && has_prefix(peer->prefixes, peer->prefixes_len, prefix);
}

/* One edit of this kind for each route of `peer`, in memory of the plan from *used on. */
static void plan_change_routes(struct wg_plan *plan, bool ipv4_only, const struct wg_peer_change *change,
                               size_t *used)
{
    const struct wg_peer *before = change->before, *after = change->after;
    for (size_t i = 0; before && before->route_mtu != 0 && i < before->prefixes_len; i++) {
        const struct wg_prefix *prefix = &before->prefixes[i];
        if ((ipv4_only && prefix->family != AF_INET) || has_route(after, prefix))
            continue;
        plan->routes[*used] = (struct wg_route){.prefix = *prefix, .mtu = before->route_mtu};
        add_edit(plan, WG_EDIT_REMOVE_ROUTE)->route = &plan->routes[(*used)++];
    }
    for (size_t i = 0; after && after->route_mtu != 0 && i < after->prefixes_len; i++) {
        const struct wg_prefix *prefix = &after->prefixes[i];
        const bool present = has_route(before, prefix);
        if ((ipv4_only && prefix->family != AF_INET) || (present && before->route_mtu == after->route_mtu))
            continue;
        plan->routes[*used] = (struct wg_route){.prefix = *prefix, .mtu = after->route_mtu};
        add_edit(plan, present ? WG_EDIT_SET_ROUTE_MTU : WG_EDIT_ADD_ROUTE)->route = &plan->routes[(*used)++];
    }
}

static void plan_changes(struct wg_plan *plan, const struct bytes32 *own, bool ipv4_only,
                         const struct wg_peer_change *changes, size_t len)
{
    size_t routes = 0;
    for (size_t i = 0; i < len; i++) {
        if (changes[i].before && !keeps_key(&changes[i]))
            add_edit(plan, WG_EDIT_REMOVE_PEER)->pubkey = &changes[i].before->pubkey;
    }
    for (size_t i = 0; i < len; i++) {
        const struct wg_peer *peer = changes[i].after;
        if (peer)
            plan_set_peer(plan, own, peer,
                          keeps_key(&changes[i]) ? peer_difference(peer, changes[i].before)
                                                 : new_peer_fields(peer));
    }
    for (size_t i = 0; i < len; i++)
        plan_change_routes(plan, ipv4_only, &changes[i], &routes);
}

int wg_plan_build_changes(const struct bytes32 *own, bool ipv4_only, const struct wg_peer_change *changes,
                          size_t len, struct wg_plan *plan, struct am_err *err)
{
    const size_t routes_max = 2 * WG_PEER_PREFIXES_MAX * len;
    *plan = (struct wg_plan){0};
    for (size_t i = 0; i < len; i++) {
        const int rc = changes[i].after ? check_peer(changes[i].after, err) : 0;
        if (rc < 0)
            return rc;
    }
    const int rc = reserve_edits(plan, 2 * len + routes_max + 1, routes_max, err);
    if (rc < 0)
        return rc;
    plan_changes(plan, own, ipv4_only, changes, len);
    return 0;
}

void wg_plan_clear(struct wg_plan *plan)
{
    free(plan->edits);
    free(plan->routes);
    *plan = (struct wg_plan){0};
}

bool wg_edit_is_wireguard(enum wg_edit_kind kind)
{
    return kind >= WG_EDIT_SET_PRIVATE_KEY && kind <= WG_EDIT_SET_PEER;
}

const char *wg_edit_text(const struct wg_edit *edit, char out[WG_EDIT_TEXT_SIZE])
{
    char key[WG_KEY_TEXT_SIZE], prefix[WG_PREFIX_TEXT_SIZE];
    const char *verb = "", *object = "";
    switch (edit->kind) {
    case WG_EDIT_CREATE_DEVICE: verb = "create the device"; break;
    case WG_EDIT_SET_PRIVATE_KEY: verb = "set the private key"; break;
    case WG_EDIT_SET_LISTEN_PORT:
        snprintf(out, WG_EDIT_TEXT_SIZE, "set listen port %u", edit->number);
        return out;
    case WG_EDIT_CLEAR_FWMARK: verb = "clear the firewall mark"; break;
    case WG_EDIT_REMOVE_PEER: verb = "remove peer ", object = wg_key_text(edit->pubkey, key); break;
    case WG_EDIT_SET_PEER: verb = "set peer ", object = wg_key_text(&edit->peer->pubkey, key); break;
    case WG_EDIT_SET_MTU: snprintf(out, WG_EDIT_TEXT_SIZE, "set mtu %u", edit->number); return out;
    case WG_EDIT_REMOVE_ADDRESS:
        verb = "remove address ", object = wg_prefix_text(edit->prefix, prefix);
        break;
    case WG_EDIT_ADD_ADDRESS: verb = "add address ", object = wg_prefix_text(edit->prefix, prefix); break;
    case WG_EDIT_SET_UP: verb = "bring the link up"; break;
    case WG_EDIT_REMOVE_ROUTE:
        verb = "remove route ", object = wg_prefix_text(&edit->route->prefix, prefix);
        break;
    case WG_EDIT_ADD_ROUTE: verb = "add route ", object = wg_prefix_text(&edit->route->prefix, prefix); break;
    case WG_EDIT_SET_ROUTE_MTU:
        snprintf(out, WG_EDIT_TEXT_SIZE, "set mtu %u of route %s", edit->route->mtu,
                 wg_prefix_text(&edit->route->prefix, prefix));
        return out;
    }
    snprintf(out, WG_EDIT_TEXT_SIZE, "%s%s", verb, object);
    return out;
}
