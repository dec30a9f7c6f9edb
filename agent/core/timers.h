/* One deadline per id, the earliest first: an indexed binary heap. Setting and clearing cost O(log n). */
#ifndef AGENT_CORE_TIMERS_H
#define AGENT_CORE_TIMERS_H

#include <stdint.h>

struct timer_slot {
    uint64_t due_ms;
    uint32_t id;
};

struct timers {
    struct timer_slot *heap;
    uint32_t *place; /* by id: position in the heap + 1, 0 when not set */
    uint32_t len;
    uint32_t capacity; /* ids are below this */
};

/* Makes room for ids below `capacity`; zeroed memory is an empty set. Returns 0 or -ENOMEM (nothing changed).
 */
int timers_reserve(struct timers *timers, uint32_t capacity);
void timers_release(struct timers *timers);

/* Sets or moves the deadline of `id`. */
void timers_set(struct timers *timers, uint32_t id, uint64_t due_ms);
void timers_clear(struct timers *timers, uint32_t id);

/* The deadline of `id`, UINT64_MAX when it has none. */
uint64_t timers_due(const struct timers *timers, uint32_t id);

/* The earliest deadline, UINT64_MAX when there is none; its id goes to `id` unless that is NULL. */
uint64_t timers_first(const struct timers *timers, uint32_t *id);

#endif
