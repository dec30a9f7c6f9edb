/* The application's messages on their way to the chain (PROTOCOL sections 2.3 and 10).
 *
 * A message is sealed when it is accepted and stays in a queue, in order, until it is included or given up.
 * When it is the oldest one's turn the core decides; a failure that may pass is tried again for
 * COURIER_PATIENCE_MS. The same envelope id makes a message count once, however often it is sent. */
#ifndef AGENT_SHELL_COURIER_H
#define AGENT_SHELL_COURIER_H

#include "agent/api/api.h"
#include "agent/core/core.h"
#include "agent/shell/onchain.h"

#define COURIER_QUEUE_MAX 32
#define COURIER_PATIENCE_MS 300000 /* from accepting on, then the application is told of the failure */

struct courier;

struct courier_message {
    struct bytes32 recipient; /* member id */
    struct bytes32 x_pubkey;  /* the recipient's */
    const uint8_t *payload;   /* at most ENVELOPE_PAYLOAD_MAX */
    size_t payload_len;
    const uint8_t *key; /* makes the envelope id; empty: a random one */
    size_t key_len;
    struct api_ticket ticket; /* of who waits */
};

struct courier_callbacks {
    /* MESSAGE_SETTLED or MESSAGE_FAILED, one per courier_send, from the loop. */
    void (*answer)(void *user, const struct core_event *event);

    /* A message was included; `tx_hash` is NULL when the chain had it already. */
    void (*sent)(void *user, const struct api_ticket *ticket, const struct bytes32 *envelope_id,
                 const struct bytes32 *tx_hash);

    /* A message was given up. */
    void (*given_up)(void *user, const struct api_ticket *ticket, api_Error_Code code, const char *text);
};

struct courier_counters {
    uint32_t waiting; /* now */
    uint64_t sent;
    uint64_t given_up;
    uint64_t refused; /* the queue was full */
};

/* `onchain` outlives the courier; `callbacks` are copied. NULL when memory is short. */
struct courier *courier_new(struct event_base *base, struct onchain *onchain,
                            const struct courier_callbacks *callbacks, void *user);

/* What waits is dropped, nobody is told. Not from within a callback; no operation ends any more. NULL is
 * allowed. */
void courier_free(struct courier *courier);

/* Takes a message into the queue. Returns 0, -ENOBUFS when it is full, -EINVAL when the payload is too long
 * or the recipient's key is none, or -ENOMEM. */
int courier_accept(struct courier *courier, const struct courier_message *message);

/* Sends the oldest message. */
void courier_send(struct courier *courier);

void courier_counters(const struct courier *courier, struct courier_counters *out);

#endif
