#include "agent/program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "agent/log.h"

int program_exit_status(int code)
{
    if (code == 0)
        return EXIT_SUCCESS;
    return code == AM_ECONFIG ? EX_CONFIG : EXIT_FAILURE;
}

int program_refuse_start(const char *event, const struct am_err *err)
{
    log_error(event, log_text("reason", err->text));
    return program_exit_status(err->code);
}

static void on_libevent_message(int severity, const char *message)
{
    log_event(severity >= EVENT_LOG_WARN ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "loop.message",
              log_text("text", message));
}

void program_log_libevent(void)
{
    event_set_log_callback(on_libevent_message);
}

int program_signals_watch(struct program_signals *signals, struct event_base *base, event_callback_fn stop,
                          void *user)
{
    signals->term = evsignal_new(base, SIGTERM, stop, user);
    signals->interrupt = evsignal_new(base, SIGINT, stop, user);
    if (signals->term && signals->interrupt && event_add(signals->term, NULL) == 0 &&
        event_add(signals->interrupt, NULL) == 0)
        return 0;
    program_signals_clear(signals);
    return -ENOMEM;
}

void program_signals_clear(struct program_signals *signals)
{
    if (signals->term)
        event_free(signals->term);
    if (signals->interrupt)
        event_free(signals->interrupt);
    *signals = (struct program_signals){0};
}
