#include "agent/core/timers.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int timers_reserve(struct timers *timers, uint32_t capacity)
{
    if (capacity <= timers->capacity)
        return 0;
    struct timer_slot *heap = reallocarray(timers->heap, capacity, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    uint32_t *place = reallocarray(timers->place, capacity, sizeof(*place));
    if (!place)
        return -ENOMEM;
    memset(place + timers->capacity, 0, (capacity - timers->capacity) * sizeof(*place));
    timers->place = place;
    timers->capacity = capacity;
    return 0;
}

void timers_release(struct timers *timers)
{
    free(timers->heap);
    free(timers->place);
    memset(timers, 0, sizeof(*timers));
}

static void timers_put(struct timers *timers, uint32_t at, struct timer_slot slot)
{
    timers->heap[at] = slot;
    timers->place[slot.id] = at + 1;
}

static uint32_t timers_rise(struct timers *timers, uint32_t at, struct timer_slot slot)
{
    while (at > 0 && timers->heap[(at - 1) / 2].due_ms > slot.due_ms) {
        timers_put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return at;
}

static uint32_t timers_sink(struct timers *timers, uint32_t at, struct timer_slot slot)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < timers->len && timers->heap[child + 1].due_ms < timers->heap[child].due_ms)
            child++;
        if (child >= timers->len || timers->heap[child].due_ms >= slot.due_ms)
            return at;
        timers_put(timers, at, timers->heap[child]);
        at = child;
    }
}

/* Puts `slot` where the heap's order wants it, starting from the free place `at`. */
static void timers_place(struct timers *timers, uint32_t at, struct timer_slot slot)
{
    at = timers_rise(timers, at, slot);
    at = timers_sink(timers, at, slot);
    timers_put(timers, at, slot);
}

void timers_set(struct timers *timers, uint32_t id, uint64_t due_ms)
{
    uint32_t at = timers->place[id] != 0 ? timers->place[id] - 1 : timers->len++;

    timers_place(timers, at, (struct timer_slot){.due_ms = due_ms, .id = id});
}

void timers_clear(struct timers *timers, uint32_t id)
{
    if (timers->place[id] == 0)
        return;
    uint32_t at = timers->place[id] - 1;
    timers->place[id] = 0;
    timers->len--;
    if (at < timers->len)
        timers_place(timers, at, timers->heap[timers->len]);
}

uint64_t timers_first(const struct timers *timers, uint32_t *id)
{
    if (timers->len == 0)
        return UINT64_MAX;
    if (id)
        *id = timers->heap[0].id;
    return timers->heap[0].due_ms;
}

uint64_t timers_due(const struct timers *timers, uint32_t id)
{
    if (id >= timers->capacity || timers->place[id] == 0)
        return UINT64_MAX;
    return timers->heap[timers->place[id] - 1].due_ms;
}
