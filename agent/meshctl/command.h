/* The commands of meshctl: what each is called, takes and does. The help texts and the shell completions are
 * made from these tables. A new command is a line in `commands` and its function. */
#ifndef AGENT_MESHCTL_COMMAND_H
#define AGENT_MESHCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/api/client.h"

enum {
    EXIT_OK,
    EXIT_ERROR,    /* it could not be done, or the agent does not answer */
    EXIT_USAGE,    /* wrong words on the command line */
    EXIT_UNHEALTHY /* it was done, and what was asked about is not well */
};

/* What was said on the command line. */
struct invocation {
    const char *socket;
    const char *config; /* the agent's configuration file */
    bool json;
    bool follow;
    bool check;
    bool yes;
    const char *key; /* NULL: not given, as the next */
    const char *from;
    char *const *words;        /* behind the command, as many as it takes; ends with NULL */
    struct api_client *client; /* connected; NULL for commands that do without an agent */
};

struct command {
    const char *name;
    const char *arguments; /* as the usage shows them, "" for none */
    int words_min;
    int words_max;
    const char *completion; /* the words that may follow, or "PEER", or "" */
    const char *options;    /* letters of `options` below, beyond those that every command has */
    bool needs_agent;
    int (*run)(const struct invocation *invocation);
    const char *summary;
    const char *details; /* whole lines, "" for none */
};

struct option_text {
    char letter;
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *text;
};

extern const struct command commands[];
extern const size_t commands_len;

extern const struct option_text options[];
extern const size_t options_len;

/* Options that every command has. */
#define COMMON_OPTIONS "sjh"

/* Sends a request and waits for its answer, which must be of the kind `expected`. Returns 0 or the error of
 * agent/api/client.h. */
int command_ask(struct api_client *client, const api_Request *request, pb_size_t expected,
                api_Response *response, struct am_err *err);

/* Prints the error; returns EXIT_ERROR. */
int command_fail(const struct am_err *err);

/* Whether the person at the terminal agrees; nobody there is a no. */
bool command_confirm(const char *question);

#endif
