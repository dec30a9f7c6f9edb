#include "netlink/watch.h"

#include <criterion/criterion.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#define OURS 7
#define FOREIGN 8
#define OUR_PORTID 4242

static _Alignas(8) uint8_t buffer[512];
static struct nlmsghdr *message;
static struct link_interest interest;

static void set_up(void)
{
    message = NULL;
    interest = (struct link_interest){.ifname = "attestmesh0",
                                      .ifindex = OURS,
                                      .portid = OUR_PORTID,
                                      .mtu = 1420,
                                      .addresses = {wg_prefix_v4(0x0a0d0001, 32)},
                                      .addresses_len = 1};
}

TestSuite(netlink_watch, .init = set_up);

static void *begin(uint16_t type, size_t header_size)
{
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    return mnl_nlmsg_put_extra_header(message, header_size);
}

static bool news(void)
{
    return link_news(buffer, message->nlmsg_len, &interest);
}

static void make_link(uint16_t type, int ifindex, const char *ifname, unsigned flags, uint32_t mtu)
{
    struct ifinfomsg *header = begin(type, sizeof(*header));
    header->ifi_index = ifindex;
    header->ifi_flags = flags;
    mnl_attr_put_strz(message, IFLA_IFNAME, ifname);
    mnl_attr_put_u32(message, IFLA_MTU, mtu);
}

static void make_address(uint16_t type, uint32_t ifindex, uint32_t address, uint8_t scope)
{
    const struct wg_prefix prefix = wg_prefix_v4(address, 32);
    struct ifaddrmsg *header = begin(type, sizeof(*header));
    header->ifa_family = AF_INET;
    header->ifa_prefixlen = 32;
    header->ifa_scope = scope;
    header->ifa_index = ifindex;
    mnl_attr_put(message, IFA_LOCAL, 4, prefix.address);
}

static struct rtmsg *make_route(uint16_t type, uint32_t ifindex, uint8_t protocol)
{
    struct rtmsg *header = begin(type, sizeof(*header));
    header->rtm_family = AF_INET;
    header->rtm_type = RTN_UNICAST;
    header->rtm_table = RT_TABLE_MAIN;
    header->rtm_protocol = protocol;
    mnl_attr_put_u32(message, RTA_OIF, ifindex);
    return header;
}

Test(netlink_watch, a_link_as_it_was_left_is_no_news)
{
    make_link(RTM_NEWLINK, OURS, "attestmesh0", IFF_UP, 1420);
    cr_assert_not(news());
}

Test(netlink_watch, our_link_down_or_with_another_mtu_is_news)
{
    make_link(RTM_NEWLINK, OURS, "attestmesh0", 0, 1420);
    cr_assert(news());
    make_link(RTM_NEWLINK, OURS, "attestmesh0", IFF_UP, 1300);
    cr_assert(news());
}

Test(netlink_watch, our_link_gone_renamed_or_replaced_is_news)
{
    make_link(RTM_DELLINK, OURS, "attestmesh0", IFF_UP, 1420);
    cr_assert(news());
    make_link(RTM_NEWLINK, OURS, "else0", IFF_UP, 1420);
    cr_assert(news());
    make_link(RTM_NEWLINK, FOREIGN, "attestmesh0", IFF_UP, 1420);
    cr_assert(news());
}

Test(netlink_watch, foreign_links_are_no_news)
{
    make_link(RTM_DELLINK, FOREIGN, "eth0", 0, 1500);
    cr_assert_not(news());
    make_link(RTM_NEWLINK, FOREIGN, "attestmesh01", IFF_UP, 1500);
    cr_assert_not(news());
}

Test(netlink_watch, before_the_first_pass_nothing_but_the_name_counts)
{
    interest.ifindex = 0;
    make_link(RTM_NEWLINK, FOREIGN, "eth0", IFF_UP, 1500);
    cr_assert_not(news());
    make_link(RTM_NEWLINK, FOREIGN, "attestmesh0", IFF_UP, 1420);
    cr_assert(news());
}

Test(netlink_watch, our_address_is_news_when_it_goes_and_a_foreign_one_when_it_comes)
{
    make_address(RTM_NEWADDR, OURS, 0x0a0d0001, RT_SCOPE_UNIVERSE);
    cr_assert_not(news());
    make_address(RTM_DELADDR, OURS, 0x0a0d0001, RT_SCOPE_UNIVERSE);
    cr_assert(news());
    make_address(RTM_NEWADDR, OURS, 0x0a090909, RT_SCOPE_UNIVERSE);
    cr_assert(news());
    make_address(RTM_DELADDR, OURS, 0x0a090909, RT_SCOPE_UNIVERSE);
    cr_assert_not(news());
}

Test(netlink_watch, addresses_elsewhere_and_of_the_links_own_making_are_no_news)
{
    make_address(RTM_DELADDR, FOREIGN, 0x0a0d0001, RT_SCOPE_UNIVERSE);
    cr_assert_not(news());
    make_address(RTM_NEWADDR, OURS, 0xa9fe0001, RT_SCOPE_LINK);
    cr_assert_not(news());
}

Test(netlink_watch, a_route_through_our_link_is_news_unless_it_is_our_own_request)
{
    make_route(RTM_DELROUTE, OURS, RTPROT_STATIC);
    cr_assert(news());
    make_route(RTM_NEWROUTE, OURS, RTPROT_STATIC);
    cr_assert(news());
    message->nlmsg_pid = OUR_PORTID;
    cr_assert_not(news());
}

Test(netlink_watch, routes_elsewhere_are_no_news)
{
    make_route(RTM_DELROUTE, FOREIGN, RTPROT_STATIC);
    cr_assert_not(news());
    make_route(RTM_NEWROUTE, OURS, RTPROT_KERNEL);
    cr_assert_not(news());
    make_route(RTM_NEWROUTE, OURS, RTPROT_STATIC)->rtm_table = RT_TABLE_LOCAL;
    cr_assert_not(news());
    make_route(RTM_NEWROUTE, OURS, RTPROT_STATIC)->rtm_table = RT_TABLE_UNSPEC;
    mnl_attr_put_u32(message, RTA_TABLE, 1000);
    cr_assert_not(news());
}

Test(netlink_watch, what_can_not_be_read_is_news)
{
    make_link(RTM_NEWLINK, FOREIGN, "eth0", IFF_UP, 1500);
    cr_assert(link_news(buffer, message->nlmsg_len - 4, &interest), "cut");
    cr_assert(link_news(buffer, 3, &interest), "shorter than a header");
    message->nlmsg_len = 0x80000000;
    cr_assert(link_news(buffer, 64, &interest), "longer than memory");
    message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_NEWROUTE;
    cr_assert(news(), "without its own header");
    message->nlmsg_type = NLMSG_OVERRUN;
    cr_assert(news());
}

Test(netlink_watch, the_second_message_of_a_datagram_counts_too)
{
    make_link(RTM_NEWLINK, FOREIGN, "eth0", IFF_UP, 1500);
    const size_t first = message->nlmsg_len;
    struct nlmsghdr *second = mnl_nlmsg_put_header(buffer + first);
    second->nlmsg_type = RTM_NEWROUTE;
    cr_assert(link_news(buffer, first + second->nlmsg_len, &interest));
}
