/* A member that talks to a hub over TLS on the test's loop, and keeps what it hears. */
#ifndef UNIT_INDEXER_MEMBER_H
#define UNIT_INDEXER_MEMBER_H

#include "indexer/wire/wire.h"

#define MEMBER_FRAMES_MAX 4096

struct event_base;
struct bufferevent;

struct member_frame {
    pb_size_t type;
    struct wire_cursor at; /* of a push, a retraction or a checkpoint */
    indexer_EventKind kind;
    indexer_RefusalCode refusal;
};

struct member {
    struct event_base *base;
    struct bufferevent *stream;
    const struct secret *seed;
    struct bytes32 server_key;
    struct wire_hello hello;
    bool silent;  /* says no Hello */
    bool spoiled; /* signs for another session */
    bool deaf;    /* reads nothing after the Hello */
    bool connected, closed;
    struct member_frame frames[MEMBER_FRAMES_MAX];
    size_t len;
};

/* Fill in seed, server_key and hello first. */
void member_connect(struct member *member, struct event_base *base, uint16_t port);
void member_send(struct member *member, const void *data, size_t len);
void member_close(struct member *member);

size_t member_count(const struct member *member, pb_size_t type);

/* Runs the loop until the member has so many frames of a type, or was closed, or five seconds are over. */
void member_await(struct member *member, pb_size_t type, size_t count);
void member_await_close(struct member *member);

#endif
