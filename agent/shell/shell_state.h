/* What holds the parts of the shell together; shared by shell.c and action.c only. */
#ifndef AGENT_SHELL_SHELL_STATE_H
#define AGENT_SHELL_SHELL_STATE_H

#include <event2/event.h>

#include "agent/config.h"
#include "agent/core/core.h"
#include "agent/shell/shell.h"
#include "agent/shell/views.h"

struct shell {
    struct event_base *base;
    const struct config *config;
    struct core *core;
    struct tunnels *tunnels;
    struct onchain *onchain;
    struct transport *transport;
    struct vault *vault;
    struct mesh *mesh;
    struct endpoints *endpoints;
    struct messaging *messaging;
    struct subscription *subscription;
    struct api_server *api;
    struct http_server *http;
    struct views views;
    struct event *deadline;
    struct event *apply;       /* activated by CORE_DO_APPLY_DEVICE */
    struct event *apply_peers; /* activated by CORE_DO_APPLY_PEERS */
    struct event *observe;     /* activated by CORE_DO_OBSERVE_DEVICE */
    struct event *watch;       /* notifications of the device's system */
    struct event *undialed;
    uint32_t undialed_peers[CORE_DIALS_MAX]; /* dials that could not even begin */
    size_t undialed_len;
    int exit_code;
};

/* Performs one action of the core. What answers at once does so through the loop: the core takes events
 * between steps only. */
void action_perform(struct shell *shell, const struct core_action *action);

#endif
