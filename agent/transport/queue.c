#include "agent/transport/queue.h"

#include <stdlib.h>
#include <string.h>

#include "agent/transport/frame.h"
#include "crypto/bytes.h"

#define QUEUE_SIZE_MIN ((size_t)16 * 1024)

static void queue_compact(struct queue *queue)
{
    if (queue->head == 0)
        return;
    memmove(queue->bytes, queue->bytes + queue->head, queue_len(queue));
    queue->tail -= queue->head;
    queue->head = 0;
}

static bool queue_grow(struct queue *queue, size_t needed)
{
    size_t capacity = queue->capacity ? queue->capacity : QUEUE_SIZE_MIN;
    while (capacity < needed)
        capacity *= 2;
    const size_t growth = capacity - queue->capacity;
    if (growth > *queue->budget)
        return false;
    uint8_t *bytes = realloc(queue->bytes, capacity);
    if (!bytes)
        return false;
    *queue->budget -= growth;
    queue->bytes = bytes;
    queue->capacity = capacity;
    return true;
}

/* Makes room for `len` more bytes behind the tail. Moves no more bytes than have left since it moved some
 * before, unless memory is scarce. */
static bool queue_reserve(struct queue *queue, size_t len)
{
    if (queue->capacity - queue->tail >= len)
        return true;
    const size_t needed = queue_len(queue) + len;
    if (needed > QUEUE_SIZE_MAX)
        return false;
    const bool worth_moving = queue->head >= queue_len(queue) && queue->capacity >= needed;
    if (!worth_moving && queue_grow(queue, queue->tail + len))
        return true;
    queue_compact(queue);
    return queue->capacity >= needed || queue_grow(queue, needed);
}

static bool queue_is_late(const struct queue *queue, uint64_t now_ms, uint64_t limit_ms)
{
    return queue->followed && now_ms - queue->followed_since_ms > limit_ms;
}

/* Puts a frame `offset` bytes behind the head, where another one begins or the queue ends. */
static enum queue_verdict queue_insert(struct queue *queue, size_t offset, const uint8_t *payload, size_t len,
                                       uint64_t now_ms)
{
    const size_t size = FRAME_HEADER_SIZE + len;
    if (!queue_reserve(queue, size))
        return QUEUE_FULL;
    uint8_t *frame = queue->bytes + queue->head + offset;
    memmove(frame + size, frame, queue_len(queue) - offset);
    be16_write(frame, (uint16_t)len);
    if (len)
        memcpy(frame + FRAME_HEADER_SIZE, payload, len);
    queue->tail += size;
    if (!queue->followed) {
        queue->followed = queue_len(queue);
        queue->followed_since_ms = now_ms;
    } else if (offset < queue->followed) {
        queue->followed += size;
    }
    return QUEUE_TAKEN;
}

enum queue_verdict queue_put_frame(struct queue *queue, const uint8_t *payload, size_t len, uint64_t now_ms)
{
    if (queue_is_late(queue, now_ms, QUEUE_LATE_MS))
        return QUEUE_LATE;
    return queue_insert(queue, queue_len(queue), payload, len, now_ms);
}

enum queue_verdict queue_put_urgent(struct queue *queue, const uint8_t *payload, size_t len, uint64_t now_ms)
{
    if (queue_is_late(queue, now_ms, QUEUE_URGENT_LATE_MS))
        return QUEUE_LATE;
    return queue_insert(queue, queue->committed, payload, len, now_ms);
}

size_t queue_commit(struct queue *queue)
{
    size_t end = queue->committed;
    if (end)
        return end;
    while (end < queue_len(queue)) {
        const size_t next = end + FRAME_HEADER_SIZE + be16_read(queue_head(queue) + end);
        if (end && next > QUEUE_RECORD_SIZE)
            break;
        end = next;
    }
    queue->committed = end;
    return end;
}

void queue_consume(struct queue *queue, size_t len)
{
    queue->head += len;
    queue->committed -= len;
    queue->followed = queue->followed > len ? queue->followed - len : 0;
    if (queue->head == queue->tail)
        queue->head = queue->tail = 0;
}

void queue_trim(struct queue *queue)
{
    if (queue_len(queue) == 0)
        queue_clear(queue);
}

void queue_clear(struct queue *queue)
{
    *queue->budget += queue->capacity;
    free(queue->bytes);
    *queue = (struct queue){.budget = queue->budget};
}
