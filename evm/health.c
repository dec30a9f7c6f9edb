#include "evm/health.h"

#define DOUBLINGS_MAX 20

void health_succeed(struct health *health)
{
    *health = (struct health){0};
}

static uint64_t delay_ms(const struct health_backoff *backoff, uint32_t failures, uint32_t chance)
{
    uint64_t top = (uint64_t)backoff->floor_ms << (failures < DOUBLINGS_MAX ? failures : DOUBLINGS_MAX);
    if (top > backoff->ceiling_ms)
        top = backoff->ceiling_ms;
    return top - chance % (top / 2 + 1);
}

void health_fail(struct health *health, const struct health_backoff *backoff, uint64_t now_ms,
                 uint32_t retry_after_s, uint32_t chance)
{
    const uint64_t wait_ms =
        1000 *
        (uint64_t)(retry_after_s < HEALTH_RETRY_AFTER_MAX_S ? retry_after_s : HEALTH_RETRY_AFTER_MAX_S);
    health->doubtful_until_ms = now_ms + delay_ms(backoff, health->failures, chance);
    health->closed_until_ms = now_ms + wait_ms + chance % (wait_ms / 8 + 1);
    if (health->failures < UINT32_MAX)
        health->failures++;
}

enum health_rank health_rank(const struct health *health, uint64_t now_ms)
{
    if (now_ms < health->closed_until_ms)
        return HEALTH_CLOSED;
    return now_ms < health->doubtful_until_ms ? HEALTH_DOUBTFUL : HEALTH_GOOD;
}

void health_order(const enum health_rank *ranks, size_t len, size_t *order)
{
    size_t at = 0;
    for (enum health_rank rank = HEALTH_GOOD; rank <= HEALTH_CLOSED; rank++) {
        for (size_t i = 0; i < len; i++) {
            if (ranks[i] == rank)
                order[at++] = i;
        }
    }
}
