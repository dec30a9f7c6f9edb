/* An HTTP server on the test's own loop whose answers a handler invents. */
#ifndef UNIT_EVM_FAKE_SERVER_H
#define UNIT_EVM_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct fake_server;

struct fake_request {
    const char *method; /* GET or POST */
    const char *path;
    const char *content_type; /* NULL when absent */
    const char *body;         /* NUL-terminated */
};

struct fake_reply {
    int status;              /* 200 unless set */
    const char *retry_after; /* NULL: no such header */
    char *body;              /* from malloc, freed by the server; NULL: empty */
    bool never;              /* no answer at all until the server is freed */
};

typedef void (*fake_handler_fn)(void *user, const struct fake_request *request, struct fake_reply *reply);

/* Listens on a free port of 127.0.0.1, or on the unix socket `path` when not NULL. Ends the test on failure.
 */
struct fake_server *fake_server_new(struct event_base *base, const char *path, fake_handler_fn handler,
                                    void *user);
void fake_server_free(struct fake_server *server);

/* "http://127.0.0.1:PORT/rpc?key=topsecret"; lives as long as the server. */
const char *fake_server_url(const struct fake_server *server);

/* Fills the reply with a JSON-RPC answer to the request's id; `fragment` is what follows: "\"result\":1". */
void fake_reply_rpc(struct fake_reply *reply, const struct fake_request *request, const char *fragment);

#endif
