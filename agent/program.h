/* What the daemons' main functions have in common. */
#ifndef AGENT_PROGRAM_H
#define AGENT_PROGRAM_H

#include <event2/event.h>

#include "crypto/am_error.h"

/* Of 0 or a code: 0, 78 (EX_CONFIG) when the operator must change something, 1 otherwise. */
int program_exit_status(int code);

/* Logs `event` with the reason why the program does not start; returns the exit status. */
int program_refuse_start(const char *event, const struct am_err *err);

/* What libevent has to say goes to the log from now on. */
void program_log_libevent(void);

struct program_signals {
    struct event *term, *interrupt;
};

/* Calls `stop` from the loop at SIGTERM and SIGINT. Returns -ENOMEM when it can not. */
int program_signals_watch(struct program_signals *signals, struct event_base *base, event_callback_fn stop,
                          void *user);

/* Before `base` goes; nothing when they were not watched (zeroed). */
void program_signals_clear(struct program_signals *signals);

#endif
