/* One TLS connection with another member: handshake, preface, then frames (PROTOCOL section 6).
 *
 *   HANDSHAKE -> PREFACE -> [VERIFIED ->] OPEN -> DRAINING
 *
 * The dialer sends its preface right after the handshake; the acceptor answers with its own only after it has
 * verified the dialer's, so that a stranger learns nothing and costs no signature. In between, when nothing
 * is under way in either direction, an accepted stream moves to the thread that serves the member. Nothing
 * but a preface is accepted before OPEN. A stream that is DRAINING has been replaced: it still receives, for
 * a moment.
 *
 * Bounds: 10 s for the handshake and 10 s for the preface; a keepalive every 60 s; closed after 150 s without
 * a byte, or when nothing could be written for 20 s.
 */
#ifndef AGENT_TRANSPORT_STREAM_H
#define AGENT_TRANSPORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/transport/queue.h"
#include "agent/transport/tls.h"
#include "agent/transport/transport.h"

#define STREAM_HANDSHAKE_TIMEOUT_S 10
#define STREAM_SCRATCH_SIZE (16u * 1024) /* one TLS record */

struct event_base;
struct stream;

TAILQ_HEAD(stream_list, stream);

/* What all streams of one worker share. */
struct stream_host {
    struct event_base *base;
    const struct tls *tls; /* of all workers */
    struct address cluster;
    struct bytes32 member_id; /* of this node */
    const struct secret *seed;
    size_t queue_budget;                  /* bytes that all queues together may still take */
    struct stream_list unflushed;         /* streams with frames not yet offered to TLS */
    uint8_t scratch[STREAM_SCRATCH_SIZE]; /* decrypted bytes, during one callback */
};

/* What a stream tells its owner. */
struct stream_events {
    /* Of accepted streams: copies what is known of the member with this id; false when it may not connect. */
    bool (*identify)(void *owner, const struct bytes32 *member_id, struct transport_peer *out);

    /* Of accepted streams: the other side is who it must be, and the stream is detached. It becomes the
     * callee's, which closes it or passes it on to stream_attach, on any thread. */
    void (*verified)(void *owner, struct stream *stream);

    /* Of dialed streams: the other side is who it must be. */
    void (*open)(void *owner, struct stream *stream);

    void (*datagram)(void *owner, const uint8_t *data, size_t len);

    /* No more datagrams for now: the moment to hand on what was gathered. */
    void (*batch_end)(void *owner);

    /* The stream is over, for whatever reason; `stream` is freed after the call. */
    void (*closed)(void *owner, struct stream *stream, const char *reason);
};

/* Both take the connected socket, also when they fail: NULL means out of memory, and no event follows. No
 * event comes from within. `ticket` (tls.h) must live as long as the stream. */
struct stream *stream_new_accepted(struct stream_host *host, int fd, const struct stream_events *events,
                                   void *owner);
struct stream *stream_new_dialed(struct stream_host *host, int fd, const char *host_name,
                                 const struct transport_peer *remote, struct tls_ticket *ticket,
                                 const struct stream_events *events, void *owner);

/* Goes on with a verified stream among the streams of `host`: answers the preface, and it is open. False when
 * that fails; then the stream is gone, and no event follows. */
bool stream_attach(struct stream *stream, struct stream_host *host, const struct stream_events *events,
                   void *owner);

enum transport_direction stream_direction(const struct stream *stream);

/* The member at the other end; of an accepted stream since it is verified. */
const struct transport_peer *stream_remote(const struct stream *stream);

/* What TCP takes for the round trip, in microseconds; 0 when it does not know. */
uint32_t stream_rtt_us(const struct stream *stream);

/* Queues a datagram on an open stream. It leaves with the next stream_host_flush. */
enum queue_verdict stream_send(struct stream *stream, const uint8_t *data, size_t len, uint64_t now_ms);

/* Writes what was queued on all streams, but keeps back what does not fill a record while `more` is at hand.
 * Streams that break are closed. */
void stream_host_flush(struct stream_host *host, bool more);

/* Lets an open stream drain and then close. */
void stream_retire(struct stream *stream);

/* Closes and frees. Not from within an event of the same stream. */
void stream_close(struct stream *stream, const char *reason);

#endif
