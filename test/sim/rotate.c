/* Rotation of WireGuard keys: what the guest agent derives, what reaches the chain, which key a device has.
 */
#include "test/sim/world.h"

#define GENERATIONS_MAX 64

static struct bytes32 rotate_key(const struct world *world, uint32_t n, uint32_t generation)
{
    return generation == 0 ? world->nodes[n].identity.wg_pubkey
                           : world_bytes("wg", world->seed + 1000003 * (uint64_t)generation, n);
}

uint32_t rotate_generation(const struct world *world, uint32_t n, const struct bytes32 *key)
{
    for (uint32_t generation = 0; generation < GENERATIONS_MAX; generation++) {
        struct bytes32 ours = rotate_key(world, n, generation);
        if (bytes32_equal(&ours, key))
            return generation;
    }
    return CORE_WG_FOREIGN;
}

/* As with a registration. */
void rotate_publish(struct world *world, uint32_t n, const struct core_action *action)
{
    uint64_t delay = rng_between(&world->rng, 1000, 3000);

    if (!world_chance(world, world->faults.register_lost_pct))
        queue_push(&world->queue,
                   &(struct happening){
                       .at_ms = world->now_ms + delay, .kind = HAPPEN_ROTATE, .node = n, .action = *action});
    shell_ask(world, n, action, delay + world_latency(world));
}

void rotate_land(struct world *world, const struct happening *happening)
{
    struct bytes32 key = rotate_key(world, happening->node, happening->action.wg_generation);

    if (chain_publish(&world->chain, world->now_ms / 1000,
                      &world->nodes[happening->node].identity.member_contract, &key))
        world_say(world, happening->node, "publishes WireGuard key %u", happening->action.wg_generation);
}

void rotate_answer(struct world *world, const struct happening *happening)
{
    struct sim_node *node = &world->nodes[happening->node];
    struct core_event event = {.type = CORE_EVENT_WG_KEY_PUBLISHED};
    struct bytes32 key = rotate_key(world, happening->node, happening->action.wg_generation);
    struct core_record record;

    node->publishing = false;
    if (!chain_find(&world->chain, UINT64_MAX, &node->identity.member_contract, &record) ||
        !bytes32_equal(&record.wg_pubkey, &key) || world_chance(world, world->faults.register_lost_pct)) {
        event.type = CORE_EVENT_WG_KEY_FAILED;
        event.failure = (struct core_failure){.text = "sponsor: denied or no answer", .retryable = true};
    }
    shell_step(world, happening->node, &event);
}

/* With another private key, sessions are over. */
void rotate_device(struct sim_node *node)
{
    struct core_device device;

    if (!core_device(node->core, &device) || bytes32_equal(&device.wg_pubkey, &node->device_key))
        return;
    node->device_key = device.wg_pubkey;
    for (uint32_t i = 0; i < node->device_len; i++)
        node->device[i].handshaked = false;
}
