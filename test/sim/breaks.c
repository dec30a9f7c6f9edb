/* Proof that the checks can fail: each break makes the world or the shells misbehave as a faulty node would,
 * and one check has to notice it within a few seeds. */
#include <stdio.h>

#include "test/sim/world.h"

#define BREAKS_SEEDS 60
#define BREAKS_NODES 8

static const struct {
    const char *what;
    const char *failure; /* a part of the sentence that the check says */
} breaks[BREAKS] = {
    [BREAK_INVENTED_KEY] = {"the RPC invents a WireGuard key", "wants a peer that the chain never had"},
    [BREAK_LOST_EDIT] = {"edits of the device are lost", "on its device"},
    [BREAK_HIDDEN_REMOVAL] = {"the registry never shows a removal", "wants a peer that was removed"},
    [BREAK_FORGED_VIEWS] = {"heartbeats repeat their hearer's view", "converges although"},
    [BREAK_CACHE_LIES] = {"the cache has every key", "that it was never given"},
    [BREAK_KEY_IN_CLEAR] = {"a key is served without a box", "lets a secret out in an answer"},
    [BREAK_KEY_IN_LOG] = {"an error text has a key in it", "lets a secret out in its"},
    [BREAK_GIVEN_UP] = {"an operation is given up and sent again", "has two UserOperations for the nonce"},
    [BREAK_READ_TWICE] = {"reads are answered before their time", "has two reads"},
    [BREAK_GATEWAY_GONE] = {"the gateway never comes back", "not healed"},
    [BREAK_STALE_RPC] = {"the RPC stays where it was", "live members of"},
    [BREAK_LATE_CLOCK] = {"the clock is behind the timers", "deadline does not move"},
    [BREAK_LOST_MAIL] = {"logs are missing from inboxes", "messages"},
    [BREAK_FORGED_SENT] = {"sent endpoints are read as others", "pays twice"},
    [BREAK_FORGED_MAIL] = {"an inbox has a message that nobody sent", "never all of its inbox"},
    [BREAK_SMALL_INBOX] = {"the cap of an inbox's places is one", "places of its inbox"},
    [BREAK_LOST_ANSWER] = {"operations are never answered", "awaits an operation"},
    [BREAK_LARGE_MESH] = {"endpoints are told in any mesh", "members its endpoint"},
    [BREAK_KEPT_PEER] = {"the transport keeps who is removed", "members on the transport and wants"},
    [BREAK_DEEP_REORG] = {"reorganisations undo endpoints of any age", "counts member"},
    [BREAK_SMALL_CAPS] = {"the caps are a sixteenth", "outgrows a bound"},
};

static bool breaks_noticed(enum sim_break broken)
{
    const uint32_t nodes = broken == BREAK_LARGE_MESH ? 2 * SIM_ENVELOPE_MEMBERS_MAX : BREAKS_NODES;
    bool noticed = false;

    for (uint64_t seed = 1; seed <= BREAKS_SEEDS && !noticed; seed++) {
        struct world world = {.seed = seed, .nodes_len = nodes, .broken = broken};
        world_run(&world);
        noticed = strstr(world.failure, breaks[broken].failure) != NULL;
        if (noticed)
            printf("break: %s: seed %llu, %s\n", breaks[broken].what, (unsigned long long)seed,
                   world.failure);
        world_free(&world);
    }
    return noticed;
}

unsigned breaks_prove(void)
{
    unsigned missed = 0;

    for (enum sim_break broken = BREAK_NOTHING + 1; broken < BREAKS; broken++) {
        if (breaks_noticed(broken))
            continue;
        printf("break: %s: not noticed\n", breaks[broken].what);
        missed++;
    }
    printf("breaks: %d of %d noticed\n", BREAKS - 1 - (int)missed, BREAKS - 1);
    return missed;
}
