#include "netlink/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "netlink/nlerr.h"

#define DUMP_TRIES_MAX 5

/* libnl folds errno values into its own coarser ones, so the first error message is kept here as it came. */
struct link_socket {
    struct nl_sock *nl;
    int kernel_errno;
    char sentence[NLERR_SENTENCE_SIZE];
};

struct dump_context {
    struct wg_device_observed *device;
    int ifindex;
    uint8_t family;
};

static void nl_sock_release(struct nl_sock **sock)
{
    nl_socket_free(*sock);
}

static void link_release(struct rtnl_link **link)
{
    rtnl_link_put(*link);
}

static void addr_release(struct rtnl_addr **addr)
{
    rtnl_addr_put(*addr);
}

static void nl_addr_release(struct nl_addr **addr)
{
    nl_addr_put(*addr);
}

static void route_release(struct rtnl_route **route)
{
    rtnl_route_put(*route);
}

static void msg_release(struct nl_msg **msg)
{
    nlmsg_free(*msg);
}

#define CLEANUP(function) __attribute__((cleanup(function)))

static int keep_error(struct sockaddr_nl *sender, struct nlmsgerr *error, void *user)
{
    struct link_socket *s = user;
    (void)sender;
    s->kernel_errno = -error->error;
    nlerr_read_sentence((const struct nlmsghdr *)((const char *)error - NLMSG_HDRLEN), s->sentence);
    return NL_STOP;
}

static void forget_error(struct link_socket *s)
{
    s->kernel_errno = 0;
    s->sentence[0] = '\0';
}

/* 0, or the negative errno of what the kernel or libnl said. */
static int check(struct link_socket *s, int nl_code, struct am_err *err)
{
    if (nl_code >= 0)
        return 0;
    if (s->kernel_errno != 0)
        return nlerr_fail(err, -s->kernel_errno, s->sentence);
    if (nl_code == -NLE_NOMEM)
        return am_fail(err, -ENOMEM, "rtnetlink: no memory");
    return am_fail(err, -EIO, "rtnetlink: %s", nl_geterror(nl_code));
}

struct link_socket *link_socket_new(struct am_err *err)
{
    struct nl_sock *nl CLEANUP(nl_sock_release) = nl_socket_alloc();
    struct link_socket *s = calloc(1, sizeof(*s));
    if (!nl || !s) {
        am_fail(err, -ENOMEM, "rtnetlink: no memory");
        free(s);
        return NULL;
    }
    const int rc = nl_connect(nl, NETLINK_ROUTE);
    if (rc < 0) {
        am_fail(err, -EIO, "rtnetlink: %s", nl_geterror(rc));
        free(s);
        return NULL;
    }
    nlerr_enable(nl_socket_get_fd(nl));
    nl_socket_modify_err_cb(nl, NL_CB_CUSTOM, keep_error, s);
    s->nl = nl;
    nl = NULL;
    return s;
}

void link_socket_free(struct link_socket *s)
{
    if (!s)
        return;
    nl_socket_free(s->nl);
    free(s);
}

uint32_t link_socket_portid(const struct link_socket *s)
{
    return nl_socket_get_local_port(s->nl);
}

/* The link, or NULL with *rc 0 when there is none and negative when it can not be read. */
static struct rtnl_link *get_link(struct link_socket *s, const char *ifname, int *rc, struct am_err *err)
{
    struct rtnl_link *link;
    forget_error(s);
    const int code = rtnl_link_get_kernel(s->nl, 0, ifname, &link);
    *rc = 0;
    if (code >= 0)
        return link;
    if (code != -NLE_NODEV && code != -NLE_OBJ_NOTFOUND) {
        *rc = check(s, code, err);
        am_fail_context(err, "read link %s", ifname);
    }
    return NULL;
}

static void fill_identity(struct rtnl_link *link, struct link_identity *identity)
{
    const char *kind = rtnl_link_get_type(link);
    identity->ifindex = rtnl_link_get_ifindex(link);
    snprintf(identity->kind, sizeof(identity->kind), "%s", kind ? kind : "");
}

int link_identify(struct link_socket *s, const char *ifname, struct link_identity *identity,
                  struct am_err *err)
{
    int rc;
    struct rtnl_link *link CLEANUP(link_release) = get_link(s, ifname, &rc, err);
    *identity = (struct link_identity){0};
    if (link)
        fill_identity(link, identity);
    return rc;
}

/* Without an address it is the prefix of length 0, as of a default route. False for a malformed one. */
static bool read_prefix(uint8_t family, uint8_t bits, const struct nlattr *address, struct wg_prefix *out)
{
    const int address_len = family == AF_INET ? 4 : 16;
    *out = (struct wg_prefix){.family = family, .bits = bits};
    if (address && nla_len(address) != address_len)
        return false;
    if (address)
        memcpy(out->address, nla_data(address), (size_t)address_len);
    return true;
}

static int read_address(struct nl_msg *msg, void *user)
{
    struct dump_context *context = user;
    const struct ifaddrmsg *header = nlmsg_data(nlmsg_hdr(msg));
    struct nlattr *attrs[IFA_MAX + 1];
    if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*header), attrs, IFA_MAX, NULL) < 0 ||
        header->ifa_index != (unsigned)context->ifindex)
        return NL_OK;
    /* Every IPv6 link has an address of its own making. */
    if ((header->ifa_family != AF_INET && header->ifa_family != AF_INET6) ||
        header->ifa_scope == RT_SCOPE_LINK)
        return NL_OK;
    const struct nlattr *address = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
    struct wg_device_observed *device = context->device;
    if (address && device->addresses_len < WG_DEVICE_PREFIXES_MAX &&
        read_prefix(header->ifa_family, header->ifa_prefixlen, address,
                    &device->addresses[device->addresses_len]))
        device->addresses_len++;
    return NL_OK;
}

static uint32_t read_mtu(struct nlattr *metrics)
{
    struct nlattr *by_type[RTAX_MAX + 1];
    if (!metrics || nla_parse_nested(by_type, RTAX_MAX, metrics, NULL) < 0 || !by_type[RTAX_MTU] ||
        nla_len(by_type[RTAX_MTU]) != sizeof(uint32_t))
        return 0;
    return nla_get_u32(by_type[RTAX_MTU]);
}

static int read_route(struct nl_msg *msg, void *user)
{
    struct dump_context *context = user;
    const struct rtmsg *header = nlmsg_data(nlmsg_hdr(msg));
    struct nlattr *attrs[RTA_MAX + 1];
    if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*header), attrs, RTA_MAX, NULL) < 0 ||
        header->rtm_family != context->family || header->rtm_type != RTN_UNICAST ||
        header->rtm_protocol == RTPROT_KERNEL || (header->rtm_flags & RTM_F_CLONED))
        return NL_OK;
    const uint32_t table = attrs[RTA_TABLE] && nla_len(attrs[RTA_TABLE]) == 4 ? nla_get_u32(attrs[RTA_TABLE])
                                                                              : header->rtm_table;
    if (table != RT_TABLE_MAIN || !attrs[RTA_OIF] || nla_len(attrs[RTA_OIF]) != 4 ||
        nla_get_u32(attrs[RTA_OIF]) != (uint32_t)context->ifindex)
        return NL_OK;
    struct wg_route route = {.mtu = read_mtu(attrs[RTA_METRICS])};
    if (read_prefix(header->rtm_family, header->rtm_dst_len, attrs[RTA_DST], &route.prefix) &&
        !wg_device_add_route(context->device, &route))
        return -NLE_NOMEM;
    return NL_OK;
}

/* Sends one dump request and hands every answer to `reader`. */
static int dump_once(struct link_socket *s, struct nl_msg *request, nl_recvmsg_msg_cb_t reader,
                     struct dump_context *context)
{
    forget_error(s);
    nl_socket_modify_cb(s->nl, NL_CB_VALID, NL_CB_CUSTOM, reader, context);
    /* A second try is a message of its own to the kernel. */
    nlmsg_hdr(request)->nlmsg_seq = NL_AUTO_SEQ;
    const int rc = nl_send_auto(s->nl, request);
    return rc < 0 ? rc : nl_recvmsgs_default(s->nl);
}

/* A dump that the kernel marks as interrupted is thrown away and asked again. `len` counts what the reader
 * notes. */
static int dump(struct link_socket *s, struct nl_msg *request, nl_recvmsg_msg_cb_t reader,
                struct dump_context *context, size_t *len)
{
    const size_t before = *len;
    int rc = -NLE_DUMP_INTR;
    for (int i = 0; i < DUMP_TRIES_MAX && rc == -NLE_DUMP_INTR; i++) {
        *len = before;
        rc = dump_once(s, request, reader, context);
    }
    nl_socket_modify_cb(s->nl, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
    return rc;
}

static int dump_addresses(struct link_socket *s, struct dump_context *context)
{
    const struct ifaddrmsg header = {.ifa_family = AF_UNSPEC, .ifa_index = (unsigned)context->ifindex};
    struct nl_msg *msg CLEANUP(msg_release) = nlmsg_alloc_simple(RTM_GETADDR, NLM_F_DUMP);
    if (!msg || nlmsg_append(msg, (void *)&header, sizeof(header), NLMSG_ALIGNTO) < 0)
        return -NLE_NOMEM;
    return dump(s, msg, read_address, context, &context->device->addresses_len);
}

static int dump_routes(struct link_socket *s, struct dump_context *context, uint8_t family)
{
    const struct rtmsg header = {.rtm_family = family};
    struct nl_msg *msg CLEANUP(msg_release) = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP);
    context->family = family;
    if (!msg || nlmsg_append(msg, (void *)&header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(msg, RTA_TABLE, RT_TABLE_MAIN) < 0 ||
        nla_put_u32(msg, RTA_OIF, (uint32_t)context->ifindex) < 0)
        return -NLE_NOMEM;
    const int rc = dump(s, msg, read_route, context, &context->device->routes_len);
    /* With strict checking the kernel says ENOENT for a table that has no route yet. */
    return rc < 0 && s->kernel_errno == ENOENT ? 0 : rc;
}

int link_observe(struct link_socket *s, const char *ifname, struct link_identity *identity,
                 struct wg_device_observed *device, struct am_err *err)
{
    int rc;
    struct rtnl_link *link CLEANUP(link_release) = get_link(s, ifname, &rc, err);
    *identity = (struct link_identity){0};
    if (!link)
        return rc;
    fill_identity(link, identity);
    device->exists = true;
    device->up = rtnl_link_get_flags(link) & IFF_UP;
    device->mtu = rtnl_link_get_mtu(link);
    struct dump_context context = {.device = device, .ifindex = identity->ifindex};
    rc = dump_addresses(s, &context);
    if (rc >= 0)
        rc = dump_routes(s, &context, AF_INET);
    if (rc >= 0)
        rc = dump_routes(s, &context, AF_INET6);
    rc = check(s, rc, err);
    if (rc < 0)
        am_fail_context(err, "read addresses and routes of %s", ifname);
    return rc;
}

int link_create(struct link_socket *s, const char *ifname, const char *kind, struct am_err *err)
{
    struct rtnl_link *link CLEANUP(link_release) = rtnl_link_alloc();
    if (!link)
        return am_fail(err, -ENOMEM, "rtnetlink: no memory");
    rtnl_link_set_name(link, ifname);
    int rc = rtnl_link_set_type(link, kind);
    if (rc < 0)
        return am_fail(err, -EINVAL, "rtnetlink: link kind %s: %s", kind, nl_geterror(rc));
    forget_error(s);
    rc = check(s, rtnl_link_add(s->nl, link, NLM_F_CREATE | NLM_F_EXCL), err);
    if (rc < 0)
        am_fail_context(err, "create %s link %s", kind, ifname);
    return rc;
}

int link_remove(struct link_socket *s, const char *ifname, struct am_err *err)
{
    struct rtnl_link *link CLEANUP(link_release) = rtnl_link_alloc();
    if (!link)
        return am_fail(err, -ENOMEM, "rtnetlink: no memory");
    rtnl_link_set_name(link, ifname);
    forget_error(s);
    const int code = rtnl_link_delete(s->nl, link);
    if (code < 0 && s->kernel_errno == ENODEV)
        return 0;
    const int rc = check(s, code, err);
    if (rc < 0)
        am_fail_context(err, "remove link %s", ifname);
    return rc;
}

/* Sets mtu or up, whichever the edit names. */
static int change_link(struct link_socket *s, int ifindex, const struct wg_edit *edit)
{
    struct rtnl_link *which CLEANUP(link_release) = rtnl_link_alloc();
    struct rtnl_link *changes CLEANUP(link_release) = rtnl_link_alloc();
    if (!which || !changes)
        return -NLE_NOMEM;
    rtnl_link_set_ifindex(which, ifindex);
    if (edit->kind == WG_EDIT_SET_MTU)
        rtnl_link_set_mtu(changes, edit->number);
    else
        rtnl_link_set_flags(changes, IFF_UP);
    return rtnl_link_change(s->nl, which, changes, 0);
}

int link_set_down(struct link_socket *s, int ifindex, struct am_err *err)
{
    struct rtnl_link *which CLEANUP(link_release) = rtnl_link_alloc();
    struct rtnl_link *changes CLEANUP(link_release) = rtnl_link_alloc();
    if (!which || !changes)
        return am_fail(err, -ENOMEM, "out of memory");
    rtnl_link_set_ifindex(which, ifindex);
    rtnl_link_unset_flags(changes, IFF_UP);
    const int rc = check(s, rtnl_link_change(s->nl, which, changes, 0), err);
    if (rc < 0)
        am_fail_context(err, "take the link down");
    return rc;
}

static struct nl_addr *build_address(const struct wg_prefix *prefix)
{
    struct nl_addr *address =
        nl_addr_build(prefix->family, prefix->address, prefix->family == AF_INET ? 4 : 16);
    if (address)
        nl_addr_set_prefixlen(address, prefix->bits);
    return address;
}

/* `code`, or 0 when the kernel answered that the edit was done already. */
static int unless(const struct link_socket *s, int done_errno, int code)
{
    return code < 0 && s->kernel_errno == done_errno ? 0 : code;
}

static int change_address(struct link_socket *s, int ifindex, const struct wg_edit *edit)
{
    struct nl_addr *local CLEANUP(nl_addr_release) = build_address(edit->prefix);
    struct rtnl_addr *addr CLEANUP(addr_release) = rtnl_addr_alloc();
    if (!local || !addr)
        return -NLE_NOMEM;
    rtnl_addr_set_ifindex(addr, ifindex);
    const int rc = rtnl_addr_set_local(addr, local);
    if (rc < 0)
        return rc;
    if (edit->kind == WG_EDIT_ADD_ADDRESS)
        return unless(s, EEXIST, rtnl_addr_add(s->nl, addr, NLM_F_CREATE | NLM_F_EXCL));
    return unless(s, EADDRNOTAVAIL, rtnl_addr_delete(s->nl, addr, 0));
}

/* A route through the link, as far as adding and removing one have it in common. */
static int build_route(int ifindex, const struct wg_prefix *prefix, struct rtnl_route **out)
{
    struct nl_addr *destination CLEANUP(nl_addr_release) = build_address(prefix);
    struct rtnl_route *route CLEANUP(route_release) = rtnl_route_alloc();
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
    if (!destination || !route || !hop) {
        if (hop)
            rtnl_route_nh_free(hop);
        return -NLE_NOMEM;
    }
    rtnl_route_nh_set_ifindex(hop, ifindex);
    rtnl_route_add_nexthop(route, hop);
    rtnl_route_set_table(route, RT_TABLE_MAIN);
    const int rc = rtnl_route_set_dst(route, destination);
    if (rc < 0)
        return rc;
    *out = route;
    route = NULL;
    return 0;
}

static int change_route(struct link_socket *s, int ifindex, const struct wg_edit *edit)
{
    struct rtnl_route *route CLEANUP(route_release) = NULL;
    int rc = build_route(ifindex, &edit->route->prefix, &route);
    if (rc < 0)
        return rc;
    if (edit->kind == WG_EDIT_REMOVE_ROUTE) {
        /* Whoever made it, and with whichever scope. */
        rtnl_route_set_protocol(route, RTPROT_UNSPEC);
        rtnl_route_set_scope(route, RT_SCOPE_NOWHERE);
        return unless(s, ESRCH, rtnl_route_delete(s->nl, route, 0));
    }
    if (edit->route->mtu != 0)
        rc = rtnl_route_set_metric(route, RTAX_MTU, edit->route->mtu);
    if (rc < 0)
        return rc;
    return rtnl_route_add(s->nl, route,
                          NLM_F_CREATE | (edit->kind == WG_EDIT_ADD_ROUTE ? NLM_F_EXCL : NLM_F_REPLACE));
}

int link_apply(struct link_socket *s, int ifindex, const struct wg_edit *edit, struct am_err *err)
{
    forget_error(s);
    switch (edit->kind) {
    case WG_EDIT_SET_MTU:
    case WG_EDIT_SET_UP: return check(s, change_link(s, ifindex, edit), err);
    case WG_EDIT_ADD_ADDRESS:
    case WG_EDIT_REMOVE_ADDRESS: return check(s, change_address(s, ifindex, edit), err);
    case WG_EDIT_ADD_ROUTE:
    case WG_EDIT_SET_ROUTE_MTU:
    case WG_EDIT_REMOVE_ROUTE: return check(s, change_route(s, ifindex, edit), err);
    case WG_EDIT_CREATE_DEVICE:
    case WG_EDIT_SET_PRIVATE_KEY:
    case WG_EDIT_SET_LISTEN_PORT:
    case WG_EDIT_CLEAR_FWMARK:
    case WG_EDIT_REMOVE_PEER:
    case WG_EDIT_SET_PEER: break;
    }
    return am_fail(err, -EINVAL, "not an edit of the link");
}

bool link_enable_ipv6(const char *ifname)
{
    char path[96], state = '1';
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool on = read(fd, &state, 1) == 1 && state == '0';
    close(fd);
    if (on)
        return true;
    const int writable = open(path, O_WRONLY | O_CLOEXEC);
    if (writable < 0)
        return false;
    const bool switched = write(writable, "0", 1) == 1;
    close(writable);
    return switched;
}
