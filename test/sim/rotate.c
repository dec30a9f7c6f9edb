/* WireGuard keys of the later generations: the last four bytes of the first key, mixed with the generation.
 */
#include "test/sim/world.h"

#define GENERATION_AT (sizeof(struct bytes32) - 4)

struct bytes32 rotate_key(const struct world *world, uint32_t n, uint32_t generation)
{
    struct bytes32 key = world->nodes[n].identity.wg_pubkey;

    be32_write(key.b + GENERATION_AT, be32_read(key.b + GENERATION_AT) ^ generation);
    return key;
}

bool rotate_is_one(const struct bytes32 *key, const struct bytes32 *first)
{
    return memcmp(key->b, first->b, GENERATION_AT) == 0;
}

uint32_t rotate_generation(const struct world *world, uint32_t n, const struct bytes32 *key)
{
    const struct bytes32 *first = &world->nodes[n].identity.wg_pubkey;

    if (!rotate_is_one(key, first))
        return CORE_WG_FOREIGN;
    return be32_read(key->b + GENERATION_AT) ^ be32_read(first->b + GENERATION_AT);
}

/* With another private key, the sessions of a device are over. */
void rotate_device(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];
    struct core_device device;

    if (!core_device(node->core, &device) || bytes32_equal(&device.wg_pubkey, &node->device_key))
        return;
    node->device_key = device.wg_pubkey;
    node->device_changes++;
    for (uint32_t i = 0; i < world->rows_max; i++)
        node->device[i].handshaked = false;
}
