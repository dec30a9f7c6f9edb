/* The worker's clocks. */
#ifndef AGENT_TRANSPORT_CLOCK_H
#define AGENT_TRANSPORT_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(const struct timespec *at)
{
    return (uint64_t)at->tv_sec * 1000 + (uint64_t)at->tv_nsec / 1000000;
}

static inline uint64_t clock_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return clock_ms(&now);
}

static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return clock_ms(&now);
}

#endif
