#include <stdio.h>

#include "agent/core/address.h"
#include "test/unit/vectors.h"

Test(address, mesh_ipv6_vectors)
{
    struct json_object *members = vectors_section("members");
    struct json_object *root = vectors_section("cluster");
    struct address cluster;

    cr_assert(hex_decode_exact(json_object_get_string(root), cluster.b, sizeof(cluster.b)));
    cr_assert_gt(json_object_array_length(members), 0);
    for (size_t i = 0; i < json_object_array_length(members); i++) {
        struct json_object *member = json_object_array_get_idx(members, i);
        struct bytes32 id = vector_bytes32(member, "memberId");
        uint8_t expected[16], network[16], ip[16];
        vector_bytes(member, "meshIpv6Bytes", expected, sizeof(expected));
        mesh_ipv6(&cluster, &id, ip);
        cr_assert_arr_eq(ip, expected, sizeof(ip));
        mesh_network6(&cluster, network);
        cr_assert_arr_eq(network, expected, 6);
        for (size_t at = 6; at < sizeof(network); at++)
            cr_assert_eq(network[at], 0);
    }
}

Test(address, network_has_its_hosts_only)
{
    cr_assert(mesh_network_has_host(0x0a0d0000u, 16, 0x0a0d0001u));
    cr_assert(mesh_network_has_host(0x0a0d0000u, 16, 0x0a0dfffeu));
    cr_assert_not(mesh_network_has_host(0x0a0d0000u, 16, 0x0a0d0000u), "the network's own address");
    cr_assert_not(mesh_network_has_host(0x0a0d0000u, 16, 0x0a0dffffu), "the broadcast address");
    cr_assert_not(mesh_network_has_host(0x0a0d0000u, 16, 0x0a0e0001u));
    cr_assert(mesh_network_has_host(0xac100000u, 29, 0xac100006u));
    cr_assert_not(mesh_network_has_host(0xac100000u, 29, 0xac100009u));
}
