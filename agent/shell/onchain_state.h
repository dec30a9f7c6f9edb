/* Inside of onchain: what its reading and its writing share. */
#ifndef AGENT_SHELL_ONCHAIN_STATE_H
#define AGENT_SHELL_ONCHAIN_STATE_H

#include "agent/shell/onchain.h"
#include "agent/shell/operations.h"
#include "evm/chain.h"

struct onchain {
    struct event_base *base;
    const struct config *config;
    onchain_answer_fn answer;
    void *user;
    struct http_client *http;
    struct rpc *node;
    struct operations *operations;
    struct attestor *attestor;
    struct attest_identity keys;
    struct core_identity identity;
    struct secret *wireguard;      /* in use; NULL: generation 0, which is among `keys` */
    struct core_self self;         /* READ_SELF in progress */
    struct core_chain_state state; /* the last one told */
    uint64_t state_block;          /* READ_STATE in progress: the block it is pinned to */
    uint32_t page_offset;          /* READ_PAGE in progress */
    struct core_record page[CORE_PAGE_MAX];
    struct event *refusals; /* answers requests that could not even begin */
    bool identity_refused, self_refused, register_refused, commit_refused, publish_refused, state_refused,
        page_refused;
};

void onchain_answer(struct onchain *onchain, const struct core_event *event);

/* IDENTITY_FAILED, REGISTER_FAILED or WG_KEY_FAILED. */
void onchain_answer_failure(struct onchain *onchain, enum core_event_type type, const char *text,
                            bool retryable);

void onchain_answer_commit_failed(struct onchain *onchain, const char *text);

/* Without `started`, answers the request of `flag` with a failure from the loop. */
void onchain_expect(struct onchain *onchain, bool started, bool *flag);

#endif
