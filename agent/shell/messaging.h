/* The application's messages, between the application socket and the chain. */
#ifndef AGENT_SHELL_MESSAGING_H
#define AGENT_SHELL_MESSAGING_H

#include "agent/api/server.h"
#include "agent/shell/courier.h"
#include "agent/shell/endpoints.h"

struct messaging;

/* CORE_EVENT_MESSAGE_*, CORE_EVENT_INBOX_* and READ_FAILED for CORE_READ_INBOX; from the loop, and
 * MESSAGE_QUEUED also from within messaging_accept. */
typedef void (*messaging_answer_fn)(void *user, const struct core_event *event);

/* All pointers outlive the result. NULL when memory is short. */
struct messaging *messaging_new(struct event_base *base, const struct core *core, struct onchain *onchain,
                                struct endpoints *endpoints, struct api_server *api,
                                messaging_answer_fn answer, void *user);

/* Before `onchain`, and after the server. NULL is allowed. */
void messaging_free(struct messaging *messaging);

/* As api_source.send_message. */
api_Error_Code messaging_accept(struct messaging *messaging, const api_SendMessage *message,
                                const struct api_ticket *ticket, char text[API_TEXT_MAX]);

/* As api_source.subscribe_messages and so on. */
bool messaging_subscribe(struct messaging *messaging, const struct api_ticket *ticket,
                         const api_Cursor *after);
void messaging_resume(struct messaging *messaging, const struct api_ticket *ticket);
void messaging_unsubscribe(struct messaging *messaging, const struct api_ticket *ticket);

/* SEND_MESSAGE. */
void messaging_send_oldest(struct messaging *messaging);

/* READ_INBOX: INBOX_MESSAGES as they come, then INBOX_READ, or READ_FAILED. */
void messaging_read_inbox(struct messaging *messaging, uint64_t from, uint64_t to);

/* TELL_INBOX: subscribers get what is new. */
void messaging_inbox_moved(struct messaging *messaging);

/* The archive of this node's messages; NULL before its record is known, or without memory. */
struct archive *messaging_archive(struct messaging *messaging);

const struct courier *messaging_courier(const struct messaging *messaging);

/* Envelopes to this node that could not be opened or made no sense, since the agent started. */
uint64_t messaging_unreadable(const struct messaging *messaging);

#endif
