#include "agent/core/address.h"

#include <string.h>

#include "crypto/keccak.h"

#define ULA_DOMAIN "attestmesh.ula.v1"

void mesh_network6(const struct address *cluster, uint8_t out[16])
{
    struct keccak k;
    struct bytes32 hash;

    keccak_init(&k);
    keccak_update(&k, ULA_DOMAIN, sizeof(ULA_DOMAIN) - 1);
    keccak_update(&k, cluster->b, sizeof(cluster->b));
    keccak_final(&k, &hash);
    memset(out, 0, 16);
    out[0] = 0xfd;
    memcpy(out + 1, hash.b + 27, 5);
}

void mesh_ipv6(const struct address *cluster, const struct bytes32 *member_id, uint8_t out[16])
{
    struct bytes32 hash = keccak256(member_id->b, sizeof(member_id->b));

    mesh_network6(cluster, out);
    memcpy(out + 8, hash.b + 24, 8);
}

bool mesh_network_has_host(uint32_t network, uint8_t prefix, uint32_t ip)
{
    uint32_t host_mask = UINT32_MAX >> prefix;
    uint32_t host = ip & host_mask;

    return (ip & ~host_mask) == (network & ~host_mask) && host != 0 && host != host_mask;
}
