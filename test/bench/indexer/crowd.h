/* Many TLS connections that wait for messages, of a hub or of nats-server, on one epoll. Functions end the
 * program when something fails. */
#ifndef BENCH_INDEXER_CROWD_H
#define BENCH_INDEXER_CROWD_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "indexer/wire/wire.h"

struct crowd;

/* Takes off one message, returns its length and whether it counts; 0 while it is incomplete. */
typedef size_t (*crowd_take_fn)(const uint8_t *data, size_t len, bool *counts);

struct crowd *crowd_new(crowd_take_fn take, size_t capacity);
void crowd_free(struct crowd *crowd);

/* Connect one more and have it subscribe; they return when that is under way. */
SSL *crowd_join_hub(struct crowd *crowd, uint16_t port, const struct secret *seed, struct wire_hello *hello);
SSL *crowd_join_nats(struct crowd *crowd, uint16_t port);
size_t crowd_take_hub(const uint8_t *data, size_t len, bool *counts);
size_t crowd_take_nats(const uint8_t *data, size_t len, bool *counts);

/* Reads what comes for so long. */
void crowd_read(struct crowd *crowd, int wait_ms);

/* Reads until `count` messages have come altogether since crowd_reset, for a minute at most. */
void crowd_await(struct crowd *crowd, uint64_t count);
void crowd_reset(struct crowd *crowd);

/* When (CLOCK_MONOTONIC) the messages came, in order, as many as the capacity. */
const uint64_t *crowd_arrivals(const struct crowd *crowd);

/* Writes all of it. */
void crowd_write(SSL *ssl, const void *data, size_t len);

uint64_t crowd_now_ns(void);

#endif
