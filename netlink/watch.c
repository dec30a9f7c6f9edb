#include "netlink/watch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

/* A burst such as a routing daemon's full table fits; what does not fit is an overrun, and costs one pass. */
#define RECEIVE_BUFFER_SIZE (1024 * 1024)
#define DATAGRAM_SIZE_MAX 32768

struct link_watch {
    struct mnl_socket *socket;
    _Alignas(8) uint8_t buffer[DATAGRAM_SIZE_MAX];
};

/* ---- what matters ---- */

/* The attribute of this type behind a header of `header_size` bytes, or NULL. */
static const struct nlattr *find_attr(const struct nlmsghdr *message, size_t header_size, uint16_t type)
{
    const char *end = mnl_nlmsg_get_payload_tail(message);
    const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, header_size);
    for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr)) {
        if (mnl_attr_get_type(attr) == type)
            return attr;
    }
    return NULL;
}

/* A number of 4 bytes, or `absent`. */
static uint32_t number_of(const struct nlattr *attr, uint32_t absent)
{
    return attr && mnl_attr_get_payload_len(attr) == sizeof(uint32_t) ? mnl_attr_get_u32(attr) : absent;
}

static bool has_name(const struct nlattr *attr, const char *ifname)
{
    const size_t size = strlen(ifname) + 1;
    return attr && mnl_attr_get_payload_len(attr) == size &&
           memcmp(mnl_attr_get_payload(attr), ifname, size) == 0;
}

static bool link_is_news(const struct nlmsghdr *message, const struct link_interest *interest)
{
    const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
    const bool named = has_name(find_attr(message, sizeof(*header), IFLA_IFNAME), interest->ifname);
    const bool known = interest->ifindex != 0 && header->ifi_index == interest->ifindex;
    /* Bridges tell of their ports in messages of their own family. */
    if (header->ifi_family != AF_UNSPEC || (!named && !known))
        return false;
    return message->nlmsg_type == RTM_DELLINK || !named || !known || !(header->ifi_flags & IFF_UP) ||
           number_of(find_attr(message, sizeof(*header), IFLA_MTU), interest->mtu) != interest->mtu;
}

static bool is_left_address(const struct link_interest *interest, const struct wg_prefix *address)
{
    for (size_t i = 0; i < interest->addresses_len; i++) {
        if (wg_prefix_equal(&interest->addresses[i], address))
            return true;
    }
    return false;
}

static bool address_is_news(const struct nlmsghdr *message, const struct link_interest *interest)
{
    const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
    struct wg_prefix address = {.family = header->ifa_family, .bits = header->ifa_prefixlen};
    if (header->ifa_index != (uint32_t)interest->ifindex || header->ifa_scope == RT_SCOPE_LINK ||
        (address.family != AF_INET && address.family != AF_INET6))
        return false;
    const struct nlattr *attr = find_attr(message, sizeof(*header), IFA_LOCAL);
    if (!attr)
        attr = find_attr(message, sizeof(*header), IFA_ADDRESS);
    const size_t size = address.family == AF_INET ? 4 : 16;
    if (!attr || mnl_attr_get_payload_len(attr) != size)
        return true;
    memcpy(address.address, mnl_attr_get_payload(attr), size);
    return is_left_address(interest, &address) == (message->nlmsg_type == RTM_DELADDR);
}

static bool route_is_news(const struct nlmsghdr *message, const struct link_interest *interest)
{
    const struct rtmsg *header = mnl_nlmsg_get_payload(message);
    return message->nlmsg_pid != interest->portid && header->rtm_type == RTN_UNICAST &&
           header->rtm_protocol != RTPROT_KERNEL && !(header->rtm_flags & RTM_F_CLONED) &&
           number_of(find_attr(message, sizeof(*header), RTA_TABLE), header->rtm_table) == RT_TABLE_MAIN &&
           number_of(find_attr(message, sizeof(*header), RTA_OIF), 0) == (uint32_t)interest->ifindex;
}

static const struct {
    uint16_t type;
    size_t header_size;
    bool (*is_news)(const struct nlmsghdr *message, const struct link_interest *interest);
} notifications[] = {
    {RTM_NEWLINK, sizeof(struct ifinfomsg), link_is_news},
    {RTM_DELLINK, sizeof(struct ifinfomsg), link_is_news},
    {RTM_NEWADDR, sizeof(struct ifaddrmsg), address_is_news},
    {RTM_DELADDR, sizeof(struct ifaddrmsg), address_is_news},
    {RTM_NEWROUTE, sizeof(struct rtmsg), route_is_news},
    {RTM_DELROUTE, sizeof(struct rtmsg), route_is_news},
};

static bool message_is_news(const struct nlmsghdr *message, const struct link_interest *interest)
{
    for (size_t i = 0; i < sizeof(notifications) / sizeof(notifications[0]); i++) {
        if (message->nlmsg_type == notifications[i].type)
            return mnl_nlmsg_get_payload_len(message) < notifications[i].header_size ||
                   notifications[i].is_news(message, interest);
    }
    return message->nlmsg_type == NLMSG_OVERRUN;
}

bool link_news(const void *buf, size_t len, const struct link_interest *interest)
{
    const char *at = buf;
    size_t left = len;
    while (left >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)at;
        /* Compared here because libmnl takes lengths of 2 GiB and more for negative. */
        if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > left)
            return true;
        if (message_is_news(message, interest))
            return true;
        const size_t step = NLMSG_ALIGN((size_t)message->nlmsg_len);
        at += step < left ? step : left;
        left -= step < left ? step : left;
    }
    return left > 0;
}

/* ---- the socket ---- */

static int join_groups(struct mnl_socket *socket)
{
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                 RTNLGRP_IPV6_ROUTE};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        int group = groups[i];
        if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
            return -errno;
    }
    return 0;
}

struct link_watch *link_watch_new(struct am_err *err)
{
    const int size = RECEIVE_BUFFER_SIZE;
    struct link_watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        am_fail(err, -ENOMEM, "rtnetlink notifications: no memory");
        return NULL;
    }
    watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!watch->socket || mnl_socket_bind(watch->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        join_groups(watch->socket) < 0) {
        am_fail(err, -errno, "rtnetlink notifications: %s", strerror(errno));
        link_watch_free(watch);
        return NULL;
    }
    /* With a smaller buffer there are more overruns, no more harm. */
    (void)setsockopt(link_watch_fd(watch), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    return watch;
}

void link_watch_free(struct link_watch *watch)
{
    if (!watch)
        return;
    if (watch->socket)
        mnl_socket_close(watch->socket);
    free(watch);
}

int link_watch_fd(const struct link_watch *watch)
{
    return mnl_socket_get_fd(watch->socket);
}

/* Returns false at the end. */
static bool read_one(struct link_watch *watch, const struct link_interest *interest, bool *news)
{
    struct sockaddr_nl sender = {0};
    struct iovec iov = {.iov_base = watch->buffer, .iov_len = sizeof(watch->buffer)};
    struct msghdr header = {
        .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &iov, .msg_iovlen = 1};
    const ssize_t len = recvmsg(link_watch_fd(watch), &header, 0);
    if (len < 0 && errno == EINTR)
        return true;
    if (len < 0) {
        *news |= errno == ENOBUFS;
        return errno == ENOBUFS;
    }
    if (sender.nl_pid == 0)
        *news |= (header.msg_flags & MSG_TRUNC) || link_news(watch->buffer, (size_t)len, interest);
    return true;
}

bool link_watch_read(struct link_watch *watch, const struct link_interest *interest)
{
    bool news = false;
    for (int i = 0; i < LINK_WATCH_BATCH && read_one(watch, interest, &news); i++)
        ;
    return news;
}
