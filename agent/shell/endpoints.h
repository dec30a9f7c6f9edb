/* Where members are reached: this node's endpoint on its way to the others, and theirs to this one (PROTOCOL
 * section 8).
 *
 * What the core decides, this does: it builds and sends the envelopes, reads which ones the chain has, and
 * keeps the newest endpoint of every member that tells another than the gateway's usual name. */
#ifndef AGENT_SHELL_ENDPOINTS_H
#define AGENT_SHELL_ENDPOINTS_H

#include "agent/config.h"
#include "agent/core/core.h"
#include "agent/shell/archive.h"
#include "agent/shell/onchain.h"

struct endpoints;
struct transport;

/* CORE_EVENT_SENT_*, CORE_EVENT_ENVELOPE_* and READ_FAILED for CORE_READ_SENT; from the loop. */
typedef void (*endpoints_answer_fn)(void *user, const struct core_event *event);

/* All pointers outlive the result. NULL when memory is short. */
struct endpoints *endpoints_new(struct event_base *base, const struct config *config, const struct core *core,
                                struct onchain *onchain, endpoints_answer_fn answer, void *user);

/* Before the archive and `onchain`. NULL is allowed. */
void endpoints_free(struct endpoints *endpoints);

/* As core_config.envelope_id; once the identity is known. */
struct bytes32 endpoints_envelope_id(const struct endpoints *endpoints, const struct bytes32 *recipient,
                                     uint64_t issued_ms);

/* READ_SENT of these blocks, as of archive_reader_start; `archive` may be NULL, which is a failure. */
void endpoints_read_sent(struct endpoints *endpoints, struct archive *archive, uint64_t from, uint64_t to);

/* SEND_ENVELOPE. */
void endpoints_send(struct endpoints *endpoints, uint32_t index, uint64_t issued_ms);

/* The inbox is being read: what is taken counts once that is known to be whole. */
void endpoints_begin(struct endpoints *endpoints);

/* A protocol envelope from `sender`. Returns 0, or AM_EFORMAT or AM_EAUTH with a sentence: it is ignored. */
int endpoints_take(struct endpoints *endpoints, const struct bytes32 *sender, const uint8_t *payload,
                   size_t len, struct am_err *err);

/* The inbox is whole: `transport`, which may be NULL, dials its members as they want to be dialed. */
void endpoints_commit(struct endpoints *endpoints, struct transport *transport);

/* Tells the transport what is known of one member. */
void endpoints_apply(const struct endpoints *endpoints, struct transport *transport, uint32_t index);

struct endpoints_counters {
    uint64_t sent;
    uint64_t failed;   /* attempts */
    uint64_t received; /* that counted */
};

void endpoints_counters(const struct endpoints *endpoints, struct endpoints_counters *out);

#endif
