/* Where a cluster shared key comes from: the guest agent of the keyholder, the disk, or a peer that has it.
 * The keys are bytes here, sealed for the way with the real boxes; the cores see their hashes only. */
#include "test/sim/world.h"

#include "crypto/box.h"
#include "crypto/keccak.h"

static struct bytes32 keys_commitment(const struct secret *key)
{
    return keccak256(key->b, sizeof(key->b));
}

static void keys_failed(struct world *world, uint32_t n, enum core_csk_step what, uint32_t index,
                        const char *text)
{
    shell_step(world, n,
               &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                                    .csk_failure = {.what = what, .index = index, .text = text}});
}

/* The node has the key in its hands; its core learns the hash. */
static void keys_found(struct world *world, uint32_t n, enum core_event_type type, const struct secret *key,
                       uint64_t generation, uint32_t index)
{
    world->nodes[n].found = *key;
    shell_step(world, n,
               &(struct core_event){
                   .type = type,
                   .csk = {.generation = generation, .commitment = keys_commitment(key), .index = index}});
}

static void keys_load(struct world *world, uint32_t n, const struct core_csk *wanted)
{
    struct sim_node *node = &world->nodes[n];

    if (world->broken == BREAK_CACHE_LIES) {
        shell_step(world, n, &(struct core_event){.type = CORE_EVENT_CSK_LOADED, .csk = *wanted});
        return;
    }
    if (node->disk == DISK_CORRUPT) {
        node->disk = DISK_EMPTY;
        keys_failed(world, n, CORE_CSK_LOAD, 0, "csk: the file is corrupt and was set aside");
    } else if (node->disk == DISK_KEEPS && node->kept_as.generation == wanted->generation &&
               bytes32_equal(&node->kept_as.commitment, &wanted->commitment)) {
        keys_found(world, n, CORE_EVENT_CSK_LOADED, &node->kept, wanted->generation, 0);
    } else {
        keys_failed(world, n, CORE_CSK_LOAD, 0, "");
    }
}

static void keys_derive(struct world *world, uint32_t n, uint64_t generation)
{
    const struct secret key = world_secret(world, "csk", n + 1000003 * (uint32_t)generation);
    char text[SIM_MARK_LEN + 1] = {0};

    if (world->broken == BREAK_KEY_IN_LOG)
        keys_failed(world, n, CORE_CSK_DERIVE, 0, memcpy(text, key.b, SIM_MARK_LEN));
    else if (rpc_guest_fails(world))
        keys_failed(world, n, CORE_CSK_DERIVE, 0, "guest agent: no answer");
    else
        keys_found(world, n, CORE_EVENT_CSK_DERIVED, &key, generation, 0);
}

/* What node `other` sends to node `n` that asks: a box, or NULL and why there is none. */
static const char *keys_serve(struct world *world, uint32_t n, uint32_t other, uint64_t generation,
                              uint8_t out[SECRET_SIZE + BOX_SEAL_OVERHEAD])
{
    struct core_status status;
    struct core_member member;

    if (other == SIM_NOBODY || !world->nodes[other].core || !device_tunnel(world, n, other) ||
        world->nodes[other].frozen_ms > world->now_ms)
        return "no connection within 1 s";
    const struct core *core = world->nodes[other].core;
    core_status(core, &status);
    if (!core_member_at(core, core_find_peer(core, world->nodes[n].mesh_ip), &member))
        return "it closes the connection";
    if (!status.csk_held || status.csk_generation != generation)
        return "it does not hold the key";
    struct secret key = world->nodes[other].held;
    if (world_chance(world, world->faults.pull_fail_pct))
        key.b[SECRET_SIZE - 1] ^= 1;
    if (box_seal(&member.record.x_pubkey, key.b, sizeof(key.b), out) != 0)
        return "it can not seal";
    if (world->broken == BREAK_KEY_IN_CLEAR)
        memcpy(out, key.b, sizeof(key.b));
    check_outgoing(world, other, "an answer to who asks for the key", out, SECRET_SIZE + BOX_SEAL_OVERHEAD);
    return NULL;
}

static void keys_pull(struct world *world, uint32_t n, const struct core_csk *wanted)
{
    const struct sim_peer *peer = &world->nodes[n].peers[wanted->index];
    uint8_t box[SECRET_SIZE + BOX_SEAL_OVERHEAD];
    struct secret key;
    const char *failure = keys_serve(world, n, peer->set ? peer->node : SIM_NOBODY, wanted->generation, box);

    world->nodes[n].pulls--;
    if (!failure && box_open(&world->nodes[n].identity_secret, box, sizeof(box), key.b) != 0)
        failure = "its answer is not sealed to us";
    if (!failure) {
        const struct bytes32 commitment = keys_commitment(&key);
        if (!bytes32_equal(&commitment, &wanted->commitment))
            failure = "what it gave is not the committed key";
    }
    if (failure)
        keys_failed(world, n, CORE_CSK_PULL, wanted->index, failure);
    else
        keys_found(world, n, CORE_EVENT_CSK_PULLED, &key, wanted->generation, wanted->index);
}

void keys_answer(struct world *world, const struct happening *happening)
{
    const struct core_csk *csk = &happening->action.csk;

    if (happening->action.type == CORE_DO_LOAD_CSK)
        keys_load(world, happening->node, csk);
    else if (happening->action.type == CORE_DO_DERIVE_CSK)
        keys_derive(world, happening->node, csk->generation);
    else
        keys_pull(world, happening->node, csk);
}

/* The core says that what the node has in its hands is the key. */
void keys_keep(struct world *world, uint32_t n, const struct core_csk *csk)
{
    struct sim_node *node = &world->nodes[n];
    const struct bytes32 commitment = keys_commitment(&node->found);

    if (!bytes32_equal(&commitment, &csk->commitment))
        world_fail(world, n, "holds a key of generation %llu that it was never given",
                   (unsigned long long)csk->generation);
    world_say(world, n, "holds generation %llu", (unsigned long long)csk->generation);
    node->held = node->found;
    if (world->now_ms < node->disk_full_ms)
        return;
    node->kept = node->found;
    node->kept_as = *csk;
    node->disk = DISK_KEEPS;
}
