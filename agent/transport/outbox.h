/* Datagrams on their way to WireGuard, gathered so that one system call hands over many.
 *
 * Runs of one peer's datagrams of equal size, the last of which may be shorter, leave as one segmented
 * message (UDP_SEGMENT): the kernel passes it through its stack once. Order is kept. Nothing is allocated per
 * datagram.
 */
#ifndef AGENT_TRANSPORT_OUTBOX_H
#define AGENT_TRANSPORT_OUTBOX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define OUTBOX_RUNS 32
#define OUTBOX_SIZE ((size_t)256 * 1024)
#define OUTBOX_SEGMENTS_MAX 64 /* the kernel's limit */
#define OUTBOX_RUN_SIZE_MAX ((size_t)65000)

/* Datagrams of one peer, one behind the other in the outbox. */
struct outbox_run {
    uint32_t index; /* of the peer */
    uint16_t count;
    uint16_t datagram_size; /* of all but the last */
    bool closed;            /* the last is shorter, or the run full: nothing can follow */
    size_t offset;
    size_t len;
};

struct outbox {
    struct outbox_run runs[OUTBOX_RUNS];
    size_t run_count;
    size_t len;
    uint8_t bytes[OUTBOX_SIZE];
};

/* Copies a datagram of at most FRAME_PAYLOAD_MAX bytes. False when the outbox must be sent first. */
bool outbox_put(struct outbox *outbox, uint32_t index, const uint8_t *data, size_t len);

/* Told for each run: 0 when the kernel has taken it, else a negative errno. */
typedef void (*outbox_sent_fn)(void *user, const struct outbox_run *run, int error);

/* Sends everything from the peers' loopback addresses on interface `ifindex` to `to`. Never waits; afterwards
 * the outbox is empty. */
void outbox_send(struct outbox *outbox, int fd, unsigned ifindex, const struct sockaddr_in *to,
                 outbox_sent_fn sent, void *user);

#endif
