#include <stdlib.h>

#include "test/sim/world.h"

static bool queue_before(const struct happening *a, const struct happening *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void queue_push(struct queue *queue, const struct happening *happening)
{
    if (queue->len == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 256 : 2 * queue->capacity;
        queue->heap = reallocarray(queue->heap, queue->capacity, sizeof(*queue->heap));
        if (!queue->heap)
            abort();
    }
    struct happening item = *happening;
    item.order = queue->scheduled++;
    size_t at = queue->len++;
    while (at > 0 && queue_before(&item, &queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = item;
}

bool queue_pop(struct queue *queue, struct happening *out)
{
    if (queue->len == 0)
        return false;
    *out = queue->heap[0];
    const struct happening last = queue->heap[--queue->len];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < queue->len && queue_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (child >= queue->len || !queue_before(&queue->heap[child], &last))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    queue->heap[at] = last;
    return true;
}
