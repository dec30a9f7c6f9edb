/* One connection of the hub, and what the hub's files share. Internal to indexer/hub. */
#ifndef INDEXER_SESSION_H
#define INDEXER_SESSION_H

#include <stdbool.h>
#include <sys/queue.h>

#include "indexer/hub.h"
#include "indexer/room.h"

struct bufferevent;
struct evconnlistener;

struct session {
    struct hub *hub;
    struct bufferevent *stream;
    TAILQ_ENTRY(session) link; /* strangers: by age; members: by the next checkpoint */
    struct room_seat seat;
    struct wire_cursor at;    /* everything up to here is sent or queued */
    struct wire_cursor acked; /* and up to here confirmed */
    uint64_t stamp_ms;        /* stranger: since; member: last checkpoint; closing: since */
    bool is_member;           /* said a good Hello */
    bool live;                /* gets new frames as they come */
    bool closing;             /* nothing but the queue's rest goes out */
};

TAILQ_HEAD(session_list, session);

struct hub {
    struct event_base *base;
    struct hub_config config;
    uint8_t *welcome;
    struct evconnlistener *listener;
    struct event *sweep;
    struct session_list strangers, members, closing;
    struct rooms rooms;
    struct wire_checkpoint tip;
    uint64_t connections, connections_max;
    bool stopping;
    struct hub_status status;
};

static inline struct session *session_of_seat(struct room_seat *seat)
{
    return (struct session *)((char *)seat - offsetof(struct session, seat));
}

/* Takes over a connected socket; NULL without memory (then it is closed). */
struct session *session_new(struct hub *hub, int fd);
void session_free(struct session *session);

/* Says why and closes once that is out. */
void session_refuse(struct session *session, indexer_RefusalCode code, const char *text);

/* Sends on what the store has behind `at`, as much as the queue may hold. */
void session_replay(struct session *session);

/* Says how far the chain was read; has a session that fell back read on. */
void session_checkpoint(struct session *session, uint64_t now_ms);

/* Whether a log is for this member's eyes (PROTOCOL section 12), and whether it ends the membership. */
bool session_may_see(const struct session *session, const struct store_log *log);
bool session_is_ended_by(const struct session *session, const struct store_log *log);

/* Milliseconds of a clock that does not step back. */
uint64_t hub_now_ms(void);

#endif
