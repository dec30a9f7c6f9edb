/* Who the indexer is: an Ed25519 key from the guest agent, a quote over it, and a TLS server whose
 * certificate has that very key (PROTOCOL sections 3 and 12). */
#ifndef INDEXER_IDENTITY_H
#define INDEXER_IDENTITY_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

struct event_base;
struct http_client;
struct identity;

/* `identity` is NULL on the first failure of each attempt, with the reason; the next attempt follows by
 * itself. Called once with the identity, never from within identity_new. */
typedef void (*identity_fn)(void *user, struct identity *identity, const struct am_err *err);

/* `http` outlives the identity. NULL without memory. */
struct identity *identity_new(struct event_base *base, struct http_client *http, const char *dstack_endpoint,
                              identity_fn done, void *user);
void identity_free(struct identity *identity);

/* These hold once `done` was called with the identity, until identity_free. */
const struct secret *identity_seed(const struct identity *identity);
const struct bytes32 *identity_key(const struct identity *identity);
const uint8_t *identity_quote(const struct identity *identity, size_t *len);
SSL_CTX *identity_tls(const struct identity *identity);

/* A TLS 1.3 server context whose self-signed certificate has the Ed25519 key of `seed`. NULL on failure. */
SSL_CTX *identity_tls_new(const struct secret *seed);

#endif
