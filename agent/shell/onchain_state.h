/* Inside of onchain: what its parts share. */
#ifndef AGENT_SHELL_ONCHAIN_STATE_H
#define AGENT_SHELL_ONCHAIN_STATE_H

#include "agent/shell/onchain.h"
#include "agent/shell/operations.h"
#include "evm/chain.h"
#include "evm/log_reader.h"

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
    struct secret *wireguard;               /* in use; NULL: generation 0, which is among `keys` */
    struct core_self self;                  /* READ_SELF in progress */
    struct core_chain_state state;          /* the last one told */
    uint64_t newest_block;                  /* of all that were told */
    uint64_t state_ms;                      /* when it was read */
    struct chain_block block;               /* READ_STATE in progress: the block it is pinned to */
    uint32_t page_offset;                   /* READ_PAGE in progress */
    struct core_record page[CORE_PAGE_MAX]; /* READ_PAGE, READ_CHANGES */
    size_t page_len;
    struct log_reader *logs; /* READ_CHANGES: the registry's events */
    struct core_change changes[CORE_NEWS_MAX];
    size_t changes_len;
    unsigned changes_due; /* answers that are still to come */
    struct am_err changes_err;
    struct event *refusals; /* answers requests that could not even begin */
    bool identity_refused, self_refused, register_refused, commit_refused, publish_refused, state_refused,
        changes_refused, page_refused;
};

void onchain_answer(struct onchain *onchain, const struct core_event *event);

/* IDENTITY_FAILED, REGISTER_FAILED or WG_KEY_FAILED. */
void onchain_answer_failure(struct onchain *onchain, enum core_event_type type, const char *text,
                            bool retryable);

void onchain_answer_read_failed(struct onchain *onchain, enum core_read what, const char *text);
void onchain_answer_commit_failed(struct onchain *onchain, const char *text);

/* Reads the cluster's events that make versions of its registry; NULL when memory is short. */
struct log_reader *onchain_registry_logs(struct onchain *onchain);

struct core_record onchain_record(const struct cluster_member *member);

/* Without `started`, answers the request of `flag` with a failure from the loop. */
void onchain_expect(struct onchain *onchain, bool started, bool *flag);

#endif
