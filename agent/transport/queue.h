/* The frames that a stream has taken and not yet written: bounded in bytes and in time.
 *
 * Pure: time is an argument. The queue is one run of bytes ready to be written, so that a writer needs
 * neither gathering nor copying. What would arrive late is refused at the entrance: the age of the backlog is
 * measured by following one frame at a time from entrance to exit, and while that frame is older than
 * QUEUE_LATE_MS nothing more is taken. Urgent frames go before all others, and are taken a while longer.
 */
#ifndef AGENT_TRANSPORT_QUEUE_H
#define AGENT_TRANSPORT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUE_SIZE_MAX                                                                                       \
    ((size_t)2 * 1024 * 1024) /* bytes waiting in one queue: milliseconds of a fast flow                     \
                               */
#define QUEUE_LATE_MS 50u
#define QUEUE_URGENT_LATE_MS 1000u /* an older handshake does harm */
#define QUEUE_RECORD_SIZE ((size_t)16 * 1024)

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
    size_t committed; /* bytes at the head that stay where they are; they end with a frame */
};

/* Appends a frame with this payload (at most FRAME_PAYLOAD_MAX bytes; length 0 is a keepalive). */
enum queue_verdict queue_put_frame(struct queue *queue, const uint8_t *payload, size_t len, uint64_t now_ms);

/* The same for a frame that may not wait behind others: it comes right after what is committed. */
enum queue_verdict queue_put_urgent(struct queue *queue, const uint8_t *payload, size_t len, uint64_t now_ms);

/* What waits: queue_len bytes at queue_head, valid until the queue is changed. */
static inline size_t queue_len(const struct queue *queue)
{
    return queue->tail - queue->head;
}

static inline const uint8_t *queue_head(const struct queue *queue)
{
    return queue->bytes + queue->head;
}

/* How many bytes at queue_head to write next: whole frames that fit one TLS record, or what is left of a
 * longer frame. They stay the same until they are consumed, so that an interrupted write can be repeated. */
size_t queue_commit(struct queue *queue);

/* Removes the first `len` bytes, which have been written; at most what queue_commit returned. */
void queue_consume(struct queue *queue, size_t len);

/* Gives the memory back when nothing waits. */
void queue_trim(struct queue *queue);

/* Drops everything and gives the memory back. */
void queue_clear(struct queue *queue);

#endif
