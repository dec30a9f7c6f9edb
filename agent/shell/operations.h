/* What this node has done on chain, one operation at a time: sponsors and bundlers, the record of what is
 * pending and the history (kept in STATE_DIR, so that a restart finds the receipt instead of sending again).
 */
#ifndef AGENT_SHELL_OPERATIONS_H
#define AGENT_SHELL_OPERATIONS_H

#include "agent/config.h"
#include "agent/shell/history.h"

struct operations;

typedef void (*operations_done_fn)(void *user, const struct operation_result *result);

/* `config`, `http` and `node` outlive the result. Returns NULL with `err` set. */
struct operations *operations_new(struct event_base *base, const struct config *config,
                                  struct http_client *http, struct rpc *node, struct am_err *err);

/* Drops what is under way; what was sent stays on record. NULL is allowed. */
void operations_free(struct operations *operations);

/* The account, known once the identity is. `owner` is the caller's and stays valid. The first time, goes on
 * with what an earlier process left pending. */
void operations_set_account(struct operations *operations, const struct address *sender,
                            const struct secret *owner);

/* Starts an operation; `purpose` names it for people (shorter than PENDING_PURPOSE_MAX), the call data are
 * copied. What is pending of the same call is gone on with; what is pending of another call is finished
 * first. `done` comes once from the loop. False when the account is not known, another one waits already, or
 * memory is short. */
bool operations_start(struct operations *operations, const char *purpose, const uint8_t *call_data,
                      size_t call_data_len, operations_done_fn done, void *user);

const struct history *operations_history(const struct operations *operations);

#endif
