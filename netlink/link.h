/* The link side of the device through rtnetlink: the link itself, its addresses and its routes (libnl-route).
 */
#ifndef NETLINK_LINK_H
#define NETLINK_LINK_H

#include "netlink/device.h"
#include "netlink/plan.h"

#define LINK_KIND_SIZE 16

struct link_socket;

struct link_identity {
    int ifindex;               /* 0: there is no such link */
    char kind[LINK_KIND_SIZE]; /* "wireguard", "tun", ... or "" */
};

struct link_socket *link_socket_new(struct am_err *err);
void link_socket_free(struct link_socket *s);

/* By which notifications name the requests of this socket. */
uint32_t link_socket_portid(const struct link_socket *s);

/* Reads the link and fills what rtnetlink knows of `device`: exists, up, mtu, addresses, routes. Without such
 * a link it returns 0, with ifindex 0. */
int link_observe(struct link_socket *s, const char *ifname, struct link_identity *identity,
                 struct wg_device_observed *device, struct am_err *err);

/* Only the identity. */
int link_identify(struct link_socket *s, const char *ifname, struct link_identity *identity,
                  struct am_err *err);

int link_create(struct link_socket *s, const char *ifname, const char *kind, struct am_err *err);
int link_remove(struct link_socket *s, const char *ifname, struct am_err *err);

/* Nothing passes any more; routes through the link go. */
int link_set_down(struct link_socket *s, int ifindex, struct am_err *err);

/* Does one edit for which wg_edit_is_wireguard is false, CREATE_DEVICE excepted. */
int link_apply(struct link_socket *s, int ifindex, const struct wg_edit *edit, struct am_err *err);

/* True when IPv6 is on for this link. Hosts of containers often switch it off for all links; then this
 * switches it on for ours, which fails where /proc/sys may not be written. */
bool link_enable_ipv6(const char *ifname);

#endif
