/* What meshctl prints: aligned text for people, JSON for programs (one object per line). */
#ifndef AGENT_MESHCTL_SHOW_H
#define AGENT_MESHCTL_SHOW_H

#include <stdint.h>

#include "agent/api/api.h"

#define SHOW_AMOUNT_SIZE 32

struct json_object;

/* "3m 20s"; returns `out`. */
const char *show_format_age(uint64_t seconds, char out[SHOW_AMOUNT_SIZE]);

/* Prints an object on one line and frees it. */
void show_object(struct json_object *object);

/* The object that show_peer_json prints. */
struct json_object *show_object_of_peer(const api_Peer *peer);

/* `self` is NULL while the node does not know who it is. */
void show_status_text(const api_Status *status, const api_Self *self);
void show_status_json(const api_Status *status, const api_Self *self);

/* `indexer` is NULL when no registry is configured. */
void show_indexer_text(const api_Indexer *indexer);
void show_indexer_json(const api_Indexer *indexer);

/* The cluster shared key itself. */
void show_csk_text(const api_ClusterSharedKey *csk);
void show_csk_json(const api_ClusterSharedKey *csk);

void show_rotation_text(const api_Rotation *rotation);
void show_rotation_json(const api_Rotation *rotation);

void show_sent_text(const api_MessageSent *sent);
void show_sent_json(const api_MessageSent *sent);

/* Nothing for CAUGHT_UP. Bytes that are no text are escaped, in JSON the payload is in hex beside its text.
 */
void show_message_text(const api_MessageEvent *event);
void show_message_json(const api_MessageEvent *event);

void show_peers_header(void);
void show_peer_text(const api_Peer *peer);
void show_peer_json(const api_Peer *peer);

void show_event_text(const api_PeerEvent *event);
void show_event_json(const api_PeerEvent *event);

void show_operations_header(void);
void show_operation_text(const api_Operation *operation);
void show_operation_json(const api_Operation *operation);

#endif
