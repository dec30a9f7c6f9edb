/* The cluster shared keys this node holds: from the guest agent, from the cache, from peers (PROTOCOL section
 * 9).
 *
 * The core decides by hashes alone. What was found here is a candidate until the core says that the chain has
 * committed to it (vault_publish); only then is it given to anybody. The last VAULT_KEYS generations are
 * kept. */
#ifndef AGENT_SHELL_VAULT_H
#define AGENT_SHELL_VAULT_H

#include "agent/attest/attestor.h"
#include "agent/core/core.h"
#include "crypto/secret.h"

#define VAULT_KEYS 2

struct event_base;
struct vault;

/* One core event per vault_load and vault_derive, from the loop. */
typedef void (*vault_answer_fn)(void *user, const struct core_event *event);

/* `attestor` outlives the vault. `folder` of the cache is copied; NULL: none. Returns NULL when memory is
 * short. */
struct vault *vault_new(struct event_base *base, struct attestor *attestor, const char *folder,
                        vault_answer_fn answer, void *user);
void vault_free(struct vault *vault);

/* Who this node is; what is cached is bound to it. */
void vault_set_identity(struct vault *vault, const struct core_identity *identity);

/* CSK_LOADED or CSK_FAILED for CORE_CSK_LOAD. */
void vault_load(struct vault *vault, const struct core_csk *csk);

/* CSK_DERIVED or CSK_FAILED for CORE_CSK_DERIVE. */
void vault_derive(struct vault *vault, uint64_t generation);

/* Takes what a peer gave, sealed to the node's X25519 key, when it is the key of this commitment. Returns 0;
 * AM_EAUTH when it is not sealed to us, AM_EMISMATCH when it is another key, -ENOMEM. */
int vault_open(struct vault *vault, const struct secret *seed, const struct core_csk *csk,
               const uint8_t *sealed, size_t len);

/* The candidate is the cluster's key: may be given to members and the application, and goes to the cache. */
void vault_publish(struct vault *vault, const struct core_csk *csk);

/* The published key of a generation; NULL when it is not held. Valid until the loop's next turn. */
const struct secret *vault_key(const struct vault *vault, uint64_t generation);

#endif
