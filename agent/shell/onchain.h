/* The node's dealings with the TEE and the chain, as the core asks for them: identity, own record,
 * registration, registry state and pages (PROTOCOL sections 3 and 4).
 *
 * Every request is answered by exactly one core event through `answer`, from the loop and never from within
 * the request. Nothing here repeats a request by itself; the core does.
 */
#ifndef AGENT_SHELL_ONCHAIN_H
#define AGENT_SHELL_ONCHAIN_H

#include "agent/attest/attestor.h"
#include "agent/config.h"
#include "agent/core/core.h"
#include "agent/shell/operations.h"
#include "crypto/secret.h"

struct event_base;
struct onchain;
struct rpc;

/* Newest WireGuard generation that a registered key is compared with, so the last that a node may publish: a
 * later one would look foreign after a restart. */
#define ONCHAIN_WG_GENERATION_MAX 256

typedef void (*onchain_answer_fn)(void *user, const struct core_event *event);

/* `base` and `config` outlive the result. Returns NULL with `err` set. */
struct onchain *onchain_new(struct event_base *base, const struct config *config, onchain_answer_fn answer,
                            void *user, struct am_err *err);

/* Drops what is in flight and wipes the keys; NULL is allowed. Not from within `answer`. */
void onchain_free(struct onchain *onchain);

/* IDENTITY_READY or IDENTITY_FAILED: derives the keys, checks clock and chain id, finds the cluster. */
void onchain_read_identity(struct onchain *onchain);

/* SELF_RECORD, or READ_FAILED for CORE_READ_SELF. */
void onchain_read_self(struct onchain *onchain);

/* REGISTER_DONE or REGISTER_FAILED, after the operation's receipt. */
void onchain_register(struct onchain *onchain);

/* CSK_COMMITTED, or CSK_FAILED for CORE_CSK_COMMIT, after the operation's receipt. Not while a registration
 * or a publication is under way, as with each of these three. */
void onchain_commit_csk(struct onchain *onchain, const struct core_csk *csk);

/* WG_KEY_PUBLISHED, or WG_KEY_FAILED, after the operation's receipt: derives this generation of the WireGuard
 * key and publishes it. */
void onchain_publish_wg_key(struct onchain *onchain, uint32_t generation);

/* Sends an envelope to a member; `purpose` names the operation for people. `done` comes once, with the
 * result. False when it could not even begin. Not while another operation is under way. */
bool onchain_send_envelope(struct onchain *onchain, const char *purpose, const struct bytes32 *recipient,
                           const struct bytes32 *envelope_id, const uint8_t *ciphertext, size_t len,
                           operations_done_fn done, void *user);

/* CHAIN_STATE, or READ_FAILED for CORE_READ_STATE. A state that has not changed may be told with the block of
 * the last time, unless `anew`. */
void onchain_read_state(struct onchain *onchain, bool anew);

/* CHANGES, or READ_FAILED for CORE_READ_CHANGES. */
void onchain_read_changes(struct onchain *onchain, const struct core_action *action);

/* MEMBERS_PAGE, or READ_FAILED for CORE_READ_PAGE. */
void onchain_read_page(struct onchain *onchain, const struct core_action *action);

/* The node behind RPC_URL, for others' reads; as long as this lives. */
struct rpc *onchain_rpc(const struct onchain *onchain);
/* The operations of this account, for the operator. */
const struct history *onchain_history(const struct onchain *onchain);
/* The source of keys, as long as `onchain` lives. */
struct attestor *onchain_attestor(const struct onchain *onchain);

/* The Ed25519 seed, and the WireGuard key of the generation that the last SELF_RECORD told (generation 0
 * before). NULL before IDENTITY_READY; valid until the next onchain_read_identity or onchain_read_self. */
const struct secret *onchain_seed(const struct onchain *onchain);
const struct secret *onchain_wireguard_key(const struct onchain *onchain);

#endif
