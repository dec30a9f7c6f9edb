#include "netlink/wg_genl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include "netlink/nlerr.h"

#define ATTRS_MAX 16
_Static_assert(WGDEVICE_A_MAX < ATTRS_MAX && WGPEER_A_MAX < ATTRS_MAX && CTRL_ATTR_MAX < ATTRS_MAX,
               "every attribute in use has a place in struct attrs");

/* ---- building ---- */

static struct nlmsghdr *begin(void *buf, uint16_t type, uint16_t flags, uint32_t sequence, uint8_t command,
                              uint8_t version)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = sequence;
    struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->cmd = command;
    header->version = version;
    return message;
}

size_t wg_genl_build_get_family(void *buf, uint32_t sequence)
{
    struct nlmsghdr *message = begin(buf, GENL_ID_CTRL, NLM_F_ACK, sequence, CTRL_CMD_GETFAMILY, 1);
    mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME);
    return message->nlmsg_len;
}

size_t wg_genl_build_get_device(void *buf, uint16_t family, uint32_t sequence, const char *ifname)
{
    struct nlmsghdr *message =
        begin(buf, family, NLM_F_ACK | NLM_F_DUMP, sequence, WG_CMD_GET_DEVICE, WG_GENL_VERSION);
    mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, ifname);
    return message->nlmsg_len;
}

static bool put_endpoint(struct nlmsghdr *message, size_t capacity, const struct wg_endpoint *endpoint)
{
    if (endpoint->family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
        memcpy(&in.sin_addr, endpoint->address, sizeof(in.sin_addr));
        return mnl_attr_put_check(message, capacity, WGPEER_A_ENDPOINT, sizeof(in), &in);
    }
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    memcpy(&in6.sin6_addr, endpoint->address, sizeof(in6.sin6_addr));
    return mnl_attr_put_check(message, capacity, WGPEER_A_ENDPOINT, sizeof(in6), &in6);
}

static bool put_prefix(struct nlmsghdr *message, size_t capacity, const struct wg_prefix *prefix)
{
    struct nlattr *nest = mnl_attr_nest_start_check(message, capacity, 0);
    if (!nest || !mnl_attr_put_u16_check(message, capacity, WGALLOWEDIP_A_FAMILY, prefix->family) ||
        !mnl_attr_put_check(message, capacity, WGALLOWEDIP_A_IPADDR, prefix->family == AF_INET ? 4 : 16,
                            prefix->address) ||
        !mnl_attr_put_u8_check(message, capacity, WGALLOWEDIP_A_CIDR_MASK, prefix->bits))
        return false;
    mnl_attr_nest_end(message, nest);
    return true;
}

static bool put_prefixes(struct nlmsghdr *message, size_t capacity, const struct wg_peer *peer)
{
    struct nlattr *nest = mnl_attr_nest_start_check(message, capacity, WGPEER_A_ALLOWEDIPS);
    if (!nest)
        return false;
    for (size_t i = 0; i < peer->prefixes_len; i++) {
        if (!put_prefix(message, capacity, &peer->prefixes[i]))
            return false;
    }
    mnl_attr_nest_end(message, nest);
    return true;
}

static bool put_peer_settings(struct nlmsghdr *message, size_t capacity, const struct wg_edit *edit)
{
    static const uint8_t no_key[WG_KEY_LEN];
    const struct wg_peer *peer = edit->peer;
    const unsigned fields = edit->peer_fields;
    const uint32_t flags = fields & WG_PEER_PREFIXES ? WGPEER_F_REPLACE_ALLOWEDIPS : 0;
    if (!mnl_attr_put_check(message, capacity, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, peer->pubkey.b) ||
        !mnl_attr_put_u32_check(message, capacity, WGPEER_A_FLAGS, flags))
        return false;
    if ((fields & WG_PEER_NO_PRESHARED) &&
        !mnl_attr_put_check(message, capacity, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, no_key))
        return false;
    if ((fields & WG_PEER_ENDPOINT) && !put_endpoint(message, capacity, &peer->endpoint))
        return false;
    if ((fields & WG_PEER_KEEPALIVE) &&
        !mnl_attr_put_u16_check(message, capacity, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer->keepalive_s))
        return false;
    return !(fields & WG_PEER_PREFIXES) || put_prefixes(message, capacity, peer);
}

static bool put_peer_removal(struct nlmsghdr *message, size_t capacity, const struct bytes32 *pubkey)
{
    return mnl_attr_put_check(message, capacity, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, pubkey->b) &&
           mnl_attr_put_u32_check(message, capacity, WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME);
}

/* One peer in a nest of its own; a peer that does not fit whole leaves nothing behind. */
static bool put_peer(struct nlmsghdr *message, size_t capacity, const struct wg_edit *edit)
{
    struct nlattr *nest = mnl_attr_nest_start_check(message, capacity, 0);
    if (!nest)
        return false;
    const bool fits = edit->kind == WG_EDIT_SET_PEER ? put_peer_settings(message, capacity, edit)
                                                     : put_peer_removal(message, capacity, edit->pubkey);
    if (fits)
        mnl_attr_nest_end(message, nest);
    else
        mnl_attr_nest_cancel(message, nest);
    return fits;
}

static bool is_peer_edit(const struct wg_edit *edit)
{
    return edit->kind == WG_EDIT_SET_PEER || edit->kind == WG_EDIT_REMOVE_PEER;
}

static bool put_device_edit(struct nlmsghdr *message, size_t capacity, const struct wg_edit *edit)
{
    switch (edit->kind) {
    case WG_EDIT_SET_PRIVATE_KEY:
        return mnl_attr_put_check(message, capacity, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN,
                                  edit->private_key->b);
    case WG_EDIT_SET_LISTEN_PORT:
        return mnl_attr_put_u16_check(message, capacity, WGDEVICE_A_LISTEN_PORT, (uint16_t)edit->number);
    case WG_EDIT_CLEAR_FWMARK: return mnl_attr_put_u32_check(message, capacity, WGDEVICE_A_FWMARK, 0);
    case WG_EDIT_CREATE_DEVICE:
    case WG_EDIT_REMOVE_PEER:
    case WG_EDIT_SET_PEER:
    case WG_EDIT_SET_MTU:
    case WG_EDIT_REMOVE_ADDRESS:
    case WG_EDIT_ADD_ADDRESS:
    case WG_EDIT_SET_UP:
    case WG_EDIT_REMOVE_ROUTE:
    case WG_EDIT_ADD_ROUTE:
    case WG_EDIT_SET_ROUTE_MTU: break;
    }
    return false;
}

size_t wg_genl_build_set(void *buf, size_t capacity, uint16_t family, uint32_t sequence, const char *ifname,
                         const struct wg_edit *edits, size_t len, size_t *out_len)
{
    struct nlmsghdr *message = begin(buf, family, NLM_F_ACK, sequence, WG_CMD_SET_DEVICE, WG_GENL_VERSION);
    mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, ifname);
    size_t taken = 0;
    while (taken < len && !is_peer_edit(&edits[taken]) && put_device_edit(message, capacity, &edits[taken]))
        taken++;
    if (taken < len && is_peer_edit(&edits[taken])) {
        struct nlattr *peers = mnl_attr_nest_start_check(message, capacity, WGDEVICE_A_PEERS);
        if (peers) {
            while (taken < len && is_peer_edit(&edits[taken]) && put_peer(message, capacity, &edits[taken]))
                taken++;
            mnl_attr_nest_end(message, peers);
        }
    }
    *out_len = message->nlmsg_len;
    return taken;
}

/* ---- parsing ---- */

/* The attributes of one level by their type, each at most once. */
struct attrs {
    const struct nlattr *by_type[ATTRS_MAX];
};

static int collect_attr(struct attrs *attrs, const struct nlattr *attr, struct am_err *err)
{
    const uint16_t type = mnl_attr_get_type(attr);
    if (type >= ATTRS_MAX)
        return 0;
    if (attrs->by_type[type])
        return am_fail(err, AM_EFORMAT, "netlink reply repeats attribute %u", type);
    attrs->by_type[type] = attr;
    return 0;
}

/* Walks a chain of attributes that fills [first, end) exactly. */
static int collect_attrs(const void *first, const void *end, struct attrs *attrs, struct am_err *err)
{
    const struct nlattr *attr = first;
    *attrs = (struct attrs){0};
    while (mnl_attr_ok(attr, (int)((const char *)end - (const char *)attr))) {
        const int rc = collect_attr(attrs, attr, err);
        if (rc < 0)
            return rc;
        attr = mnl_attr_next(attr);
    }
    return (const void *)attr < end ? am_fail(err, AM_EFORMAT, "netlink reply with a broken attribute") : 0;
}

static int collect_nested(const struct nlattr *nest, struct attrs *attrs, struct am_err *err)
{
    const char *first = mnl_attr_get_payload(nest);
    return collect_attrs(first, first + mnl_attr_get_payload_len(nest), attrs, err);
}

/* Calls `each` for every nested attribute of a list. */
typedef int (*list_callback)(const struct nlattr *item, void *user, struct am_err *err);

static int walk_list(const struct nlattr *list, list_callback each, void *user, struct am_err *err)
{
    const char *first = mnl_attr_get_payload(list), *end = first + mnl_attr_get_payload_len(list);
    const struct nlattr *item = (const struct nlattr *)first;
    while (mnl_attr_ok(item, (int)(end - (const char *)item))) {
        const int rc = each(item, user, err);
        if (rc < 0)
            return rc;
        item = mnl_attr_next(item);
    }
    return (const char *)item < end ? am_fail(err, AM_EFORMAT, "netlink reply with a broken list") : 0;
}

/* Copies an attribute of exactly `size` bytes. Returns 1; 0 when it is absent; AM_EFORMAT for another size.
 */
static int take(const struct attrs *attrs, uint16_t type, void *out, size_t size, struct am_err *err)
{
    const struct nlattr *attr = attrs->by_type[type];
    if (!attr)
        return 0;
    if (mnl_attr_get_payload_len(attr) != size)
        return am_fail(err, AM_EFORMAT, "netlink attribute %u has %u bytes instead of %zu", type,
                       mnl_attr_get_payload_len(attr), size);
    memcpy(out, mnl_attr_get_payload(attr), size);
    return 1;
}

static int take_endpoint(const struct attrs *attrs, struct wg_endpoint *out, struct am_err *err)
{
    const struct nlattr *attr = attrs->by_type[WGPEER_A_ENDPOINT];
    if (!attr)
        return 0;
    struct sockaddr_in in;
    struct sockaddr_in6 in6 = {0};
    const size_t len = mnl_attr_get_payload_len(attr);
    memcpy(&in6, mnl_attr_get_payload(attr), len < sizeof(in6) ? len : sizeof(in6));
    if (len == sizeof(in6) && in6.sin6_family == AF_INET6) {
        *out = (struct wg_endpoint){.family = AF_INET6, .port = ntohs(in6.sin6_port)};
        memcpy(out->address, &in6.sin6_addr, sizeof(in6.sin6_addr));
        return 0;
    }
    memcpy(&in, &in6, sizeof(in));
    if (len == sizeof(in) && in.sin_family == AF_INET) {
        *out = (struct wg_endpoint){.family = AF_INET, .port = ntohs(in.sin_port)};
        memcpy(out->address, &in.sin_addr, sizeof(in.sin_addr));
        return 0;
    }
    return am_fail(err, AM_EFORMAT, "netlink endpoint of %zu bytes is of no known family", len);
}

static int parse_prefix(const struct nlattr *item, void *user, struct am_err *err)
{
    struct attrs attrs;
    struct wg_prefix prefix = {0};
    uint16_t family;
    int rc = collect_nested(item, &attrs, err);
    if (rc < 0)
        return rc;
    rc = take(&attrs, WGALLOWEDIP_A_FAMILY, &family, sizeof(family), err);
    if (rc <= 0)
        return rc < 0 ? rc : am_fail(err, AM_EFORMAT, "netlink allowed IP without a family");
    prefix.family = (uint8_t)family;
    rc = take(&attrs, WGALLOWEDIP_A_IPADDR, prefix.address, family == AF_INET ? 4 : 16, err);
    if (rc <= 0)
        return rc < 0 ? rc : am_fail(err, AM_EFORMAT, "netlink allowed IP without an address");
    rc = take(&attrs, WGALLOWEDIP_A_CIDR_MASK, &prefix.bits, sizeof(prefix.bits), err);
    if (rc <= 0)
        return rc < 0 ? rc : am_fail(err, AM_EFORMAT, "netlink allowed IP without a mask");
    if (family != prefix.family || !wg_prefix_valid(&prefix))
        return am_fail(err, AM_EFORMAT, "netlink allowed IP of family %u with mask %u", family, prefix.bits);
    wg_peer_add_prefix(user, &prefix);
    return 0;
}

/* A peer whose allowed IPs did not fit one message goes on in the next, under the same key. */
static struct wg_peer_observed *peer_of_key(struct wg_device_observed *device, const struct bytes32 *pubkey)
{
    struct wg_peer_observed *last = device->peers_len ? &device->peers[device->peers_len - 1] : NULL;
    return last && bytes32_equal(&last->config.pubkey, pubkey) ? last : wg_device_add_peer(device, pubkey);
}

static int take_peer_settings(const struct attrs *attrs, struct wg_peer_observed *peer, struct am_err *err)
{
    struct bytes32 preshared;
    int64_t handshake[2] = {0}; /* struct __kernel_timespec: seconds, nanoseconds */
    int rc = take(attrs, WGPEER_A_PRESHARED_KEY, &preshared, sizeof(preshared), err);
    if (rc > 0)
        peer->preshared = !bytes32_is_zero(&preshared);
    secret_wipe(&preshared, sizeof(preshared));
    if (rc >= 0)
        rc = take_endpoint(attrs, &peer->config.endpoint, err);
    if (rc >= 0)
        rc = take(attrs, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, &peer->config.keepalive_s,
                  sizeof(peer->config.keepalive_s), err);
    if (rc >= 0) {
        rc = take(attrs, WGPEER_A_LAST_HANDSHAKE_TIME, handshake, sizeof(handshake), err);
        if (rc > 0)
            peer->last_handshake_s = handshake[0];
    }
    if (rc >= 0)
        rc = take(attrs, WGPEER_A_RX_BYTES, &peer->rx_bytes, sizeof(peer->rx_bytes), err);
    if (rc >= 0)
        rc = take(attrs, WGPEER_A_TX_BYTES, &peer->tx_bytes, sizeof(peer->tx_bytes), err);
    return rc;
}

static int parse_peer(const struct nlattr *item, void *user, struct am_err *err)
{
    struct attrs attrs;
    struct bytes32 pubkey;
    int rc = collect_nested(item, &attrs, err);
    if (rc < 0)
        return rc;
    rc = take(&attrs, WGPEER_A_PUBLIC_KEY, &pubkey, sizeof(pubkey), err);
    if (rc <= 0)
        return rc < 0 ? rc : am_fail(err, AM_EFORMAT, "netlink peer without a public key");
    struct wg_peer_observed *peer = peer_of_key(user, &pubkey);
    if (!peer)
        return am_fail(err, -ENOMEM, "the device has more than %d peers, or memory is short", WG_PEERS_MAX);
    rc = take_peer_settings(&attrs, peer, err);
    const struct nlattr *prefixes = attrs.by_type[WGPEER_A_ALLOWEDIPS];
    return rc >= 0 && prefixes ? walk_list(prefixes, parse_prefix, peer, err) : rc;
}

static int parse_device_message(const struct attrs *attrs, void *user, struct am_err *err)
{
    struct wg_device_observed *device = user;
    int rc = take(attrs, WGDEVICE_A_PUBLIC_KEY, &device->public_key, sizeof(device->public_key), err);
    if (rc >= 0)
        rc = take(attrs, WGDEVICE_A_LISTEN_PORT, &device->listen_port, sizeof(device->listen_port), err);
    if (rc >= 0)
        rc = take(attrs, WGDEVICE_A_FWMARK, &device->fwmark, sizeof(device->fwmark), err);
    const struct nlattr *peers = attrs->by_type[WGDEVICE_A_PEERS];
    return rc >= 0 && peers ? walk_list(peers, parse_peer, device, err) : rc;
}

static int parse_family_message(const struct attrs *attrs, void *user, struct am_err *err)
{
    const int rc = take(attrs, CTRL_ATTR_FAMILY_ID, user, sizeof(uint16_t), err);
    return rc == 0 ? am_fail(err, AM_EFORMAT, "netlink family without an id") : rc;
}

static int parse_no_message(const struct attrs *attrs, void *user, struct am_err *err)
{
    (void)attrs, (void)user;
    return am_fail(err, AM_EFORMAT, "netlink answered data where an ack was due");
}

/* NLMSG_ERROR (an ack when its number is 0) and NLMSG_DONE both begin with a negative errno. */
static int parse_end(const struct nlmsghdr *message, struct am_err *err)
{
    int code;
    char sentence[NLERR_SENTENCE_SIZE];
    const size_t least = message->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof(code);
    if (mnl_nlmsg_get_payload_len(message) < least)
        return am_fail(err, AM_EFORMAT, "netlink end message is too short");
    memcpy(&code, mnl_nlmsg_get_payload(message), sizeof(code));
    if (code == 0)
        return 0;
    if (code > 0 || code < -4095)
        return am_fail(err, AM_EFORMAT, "netlink error number %d is out of range", code);
    nlerr_read_sentence(message, sentence);
    return nlerr_fail(err, code, sentence);
}

typedef int (*message_callback)(const struct attrs *attrs, void *user, struct am_err *err);

static int parse_one(const struct nlmsghdr *message, uint16_t type, message_callback each, void *user,
                     struct am_err *err)
{
    if (message->nlmsg_flags & NLM_F_DUMP_INTR)
        return am_fail(err, -EINTR, "the device changed while it was read");
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE)
        return parse_end(message, err);
    if (message->nlmsg_type == NLMSG_OVERRUN)
        return am_fail(err, -ENOBUFS, "netlink reply was cut");
    if (message->nlmsg_type != type)
        return WG_GENL_MORE;
    struct attrs attrs;
    if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
        return am_fail(err, AM_EFORMAT, "netlink message without its header");
    int rc = collect_attrs(mnl_nlmsg_get_payload_offset(message, sizeof(struct genlmsghdr)),
                           mnl_nlmsg_get_payload_tail(message), &attrs, err);
    if (rc >= 0)
        rc = each(&attrs, user, err);
    return rc < 0 ? rc : WG_GENL_MORE;
}

/* libmnl's own test takes lengths of 2 GiB and more for negative, and lets them pass. */
static bool message_fits(const struct nlmsghdr *message, size_t left)
{
    return left >= sizeof(*message) && message->nlmsg_len >= sizeof(*message) && message->nlmsg_len <= left;
}

static int parse_datagram(const void *buf, size_t len, const struct wg_genl_expect *expect, uint16_t type,
                          message_callback each, void *user, struct am_err *err)
{
    const char *at = buf;
    size_t left = len;
    while (message_fits((const struct nlmsghdr *)at, left)) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)at;
        const size_t step = NLMSG_ALIGN((size_t)message->nlmsg_len);
        if (message->nlmsg_seq == expect->sequence && message->nlmsg_pid == expect->portid) {
            const int rc = parse_one(message, type, each, user, err);
            if (rc != WG_GENL_MORE)
                return rc;
        }
        at += step < left ? step : left;
        left -= step < left ? step : left;
    }
    return left > 0 ? am_fail(err, AM_EFORMAT, "netlink reply with %zu stray bytes", left) : WG_GENL_MORE;
}

int wg_genl_parse_family(const void *buf, size_t len, const struct wg_genl_expect *expect, uint16_t *family,
                         struct am_err *err)
{
    return parse_datagram(buf, len, expect, GENL_ID_CTRL, parse_family_message, family, err);
}

int wg_genl_parse_device(const void *buf, size_t len, const struct wg_genl_expect *expect,
                         struct wg_device_observed *device, struct am_err *err)
{
    return parse_datagram(buf, len, expect, expect->family, parse_device_message, device, err);
}

int wg_genl_parse_ack(const void *buf, size_t len, const struct wg_genl_expect *expect, struct am_err *err)
{
    return parse_datagram(buf, len, expect, expect->family, parse_no_message, NULL, err);
}

bool wg_genl_ends(const void *buf, size_t len, const struct wg_genl_expect *expect)
{
    const char *at = buf;
    size_t left = len;
    while (message_fits((const struct nlmsghdr *)at, left)) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)at;
        const size_t step = NLMSG_ALIGN((size_t)message->nlmsg_len);
        if (message->nlmsg_seq == expect->sequence && message->nlmsg_pid == expect->portid &&
            (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR))
            return true;
        at += step < left ? step : left;
        left -= step < left ? step : left;
    }
    return left > 0;
}
