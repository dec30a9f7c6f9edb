/* One client of the application socket: what it is subscribed to, and what it is answered. Internal to
 * agent/api; server.c accepts and reads, session.c answers. */
#ifndef AGENT_API_SESSION_H
#define AGENT_API_SESSION_H

#include <event2/bufferevent.h>
#include <sys/types.h>

#include "agent/api/frame.h"
#include "agent/api/server.h"

#define QUEUE_LOW (API_CLIENT_QUEUE_MAX / 4) /* below this, a slow reader is served again */
#define FRAME_SIZE (api_Response_size + FRAME_PREFIX_MAX)

struct session {
    struct api_server *server;
    struct bufferevent *stream;
    struct session *next;
    uint64_t number; /* since the server's start: tickets name it */
    bool owner;      /* root, or the agent's own user */

    /* The subscription: its id, how far the present state has been told, and what a slow reader missed. */
    bool subscribed;
    bool synced;
    uint64_t subscription;
    uint32_t next_index;
    uint64_t lost;

    /* The subscription to keys, and whether its newest event is still to be told. */
    bool keys_subscribed;
    bool key_untold;
    uint64_t keys_subscription;

    /* The subscription to messages; how far it is, the source knows. */
    bool messages_subscribed;
    uint64_t messages_subscription;
};

struct api_server {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *resume; /* accepts again after a shortage of descriptors */
    struct api_source source;
    char *path;
    gid_t gid;
    struct session *sessions;
    struct api_server_counters counters;
    uint64_t numbered;
    api_Request request; /* one at a time is answered; it is large */
    /* One answer at a time is built and encoded; both are large. */
    api_Response response;
    uint8_t frame[FRAME_SIZE];
};
/* Bytes that wait for the client to read them. */
size_t session_queue_len(const struct session *session);

/* Puts an error into server->response. */
void session_set_error(struct api_server *server, uint64_t id, api_Error_Code code, const char *text);

/* Encodes server->response into server->frame; returns the length, 0 when it is not encodable. */
size_t session_encode_response(struct api_server *server);

void session_answer(struct session *session, const api_Request *request);

/* Tell as much of what is subscribed to as the queue takes: of the present peers, or of what was lost, and
 * the newest key. */
void session_serve_events(struct session *session);
void session_serve_key(struct session *session);
void session_resume_messages(struct session *session);

/* What the source does for this session alone ends. */
void session_unsubscribe_messages(struct session *session);

#endif
