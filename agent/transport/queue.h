/* The frames that a stream has taken and not yet written: bounded in bytes and in time.
 *
 * Pure: time is an argument. The queue is one run of bytes ready to be written, so that a writer needs
 * neither gathering nor copying. What would arrive late is refused at the entrance: the age of the backlog is
 * measured by following one frame at a time from entrance to exit, and while that frame is older than
 * QUEUE_LATE_MS nothing more is taken.
 */
#ifndef AGENT_TRANSPORT_QUEUE_H
#define AGENT_TRANSPORT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_SIZE_MAX ((size_t)256 * 1024) /* bytes waiting in one queue */
#define QUEUE_LATE_MS 50u

enum queue_verdict {
    QUEUE_TAKEN,
    QUEUE_FULL, /* QUEUE_SIZE_MAX, the budget, or no memory */
    QUEUE_LATE
};

/* Zero-initialise, then set `budget`. */
struct queue {
    size_t *budget; /* bytes of memory that all queues sharing it may still take */
    uint8_t *bytes;
    size_t capacity;
    size_t head; /* bytes[head..tail) wait */
    size_t tail;
    size_t followed; /* bytes until the end of the frame being followed; 0: none is */
    uint64_t followed_since_ms;
};

/* Appends a frame with this payload (at most FRAME_PAYLOAD_MAX bytes; length 0 is a keepalive). */
enum queue_verdict queue_put_frame(struct queue *queue, const uint8_t *payload, size_t len, uint64_t now_ms);

/* What waits: queue_len bytes at queue_head, valid until the queue is changed. */
static inline size_t queue_len(const struct queue *queue)
{
    return queue->tail - queue->head;
}

static inline const uint8_t *queue_head(const struct queue *queue)
{
    return queue->bytes + queue->head;
}

/* Removes the first `len` bytes, which have been written; at most queue_len. */
void queue_consume(struct queue *queue, size_t len);

/* Gives the memory back when nothing waits. */
void queue_trim(struct queue *queue);

/* Drops everything and gives the memory back. */
void queue_clear(struct queue *queue);

#endif
