/* What is shown of the node: the core's state in the terms of the application socket, health and metrics. */
#ifndef AGENT_SHELL_VIEWS_H
#define AGENT_SHELL_VIEWS_H

#include "agent/api/api.h"
#include "agent/core/view.h"
#include "agent/http.h"

struct api_server;
struct endpoints;
struct history;
struct mesh;
struct messaging;
struct rpc;
struct subscription;
struct transport;
struct vault;

/* What the views read; the pointers are filled in as the parts come to life, and may be NULL before. */
struct views {
    const struct core *core;
    const struct api_server *api;
    const struct transport *transport;
    const struct history *history;
    const struct rpc *rpc;
    const struct mesh *mesh;
    struct messaging *messaging;
    const struct endpoints *endpoints;
    const struct vault *vault;
    const struct subscription *subscription;
    uint64_t device_drifts; /* since the start, as the next */
    uint64_t ingress_refused;
    uint64_t started_ms;        /* of the core's clock */
    void (*rotate)(void *user); /* has the core begin a rotation */
    void *user;                 /* of `rotate` */
    char reason[CORE_TEXT_MAX]; /* memory for the health answer */
};

struct api_source views_api_source(struct views *views);
struct http_source views_http_source(struct views *views);

/* What is shown of a member; `out` is zeroed. */
void views_fill_peer(const struct views *views, const struct core_member *member, api_Peer *out);

api_PeerEvent_Kind views_peer_event_kind(enum core_peer_event event);

/* The core's clock: milliseconds of CLOCK_BOOTTIME. */
uint64_t views_now_ms(void);

#endif
