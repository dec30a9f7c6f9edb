/* Randomness and backoff of the core: seeded, so that a run can be repeated. Not for secrets. */
#ifndef AGENT_CORE_RNG_H
#define AGENT_CORE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number from low to high, both included; the bias of a modulus does not matter for jitter. */
static inline uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + rng_next(rng) % (high - low + 1);
}

/* Bounds of an exponential backoff, in milliseconds. */
struct backoff {
    uint32_t floor_ms;
    uint32_t ceiling_ms;
};

/* How long to wait after the n-th failure in a row (n from 0): between half and the whole of 2 * floor * 2^n,
 * which is never below the floor nor above the ceiling. */
static inline uint64_t backoff_delay(const struct backoff *backoff, uint32_t failures, struct rng *rng)
{
    uint64_t top = (uint64_t)backoff->floor_ms * 2 << (failures < 16 ? failures : 16);
    if (top > backoff->ceiling_ms)
        top = backoff->ceiling_ms;
    return rng_between(rng, top / 2, top);
}

#endif
