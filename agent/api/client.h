/* The other end of the application socket, for meshctl and libattestmesh-client. Nothing but
 * api_client_receive waits: what can not be sent yet is kept, what has come is taken frame by frame. */
#ifndef AGENT_API_CLIENT_H
#define AGENT_API_CLIENT_H

#include "agent/api/api.h"
#include "crypto/am_error.h"

#define API_CLIENT_UNSENT_MAX 65536 /* bytes of requests that wait for the agent to read them */

struct api_client;

/* Returns 0; -ENOENT or -ECONNREFUSED when no agent listens on `path`, or another errno, with a sentence. */
int api_client_new(const char *path, struct api_client **out, struct am_err *err);

/* Wipes what was received, which may have been a key; NULL is allowed. */
void api_client_free(struct api_client *client);

/* To be polled for POLLIN, and for POLLOUT while api_client_wants_write; then call api_client_next. */
int api_client_fd(const struct api_client *client);
bool api_client_wants_write(const struct api_client *client);

/* Sends one request, or keeps what the socket does not take. Returns 0; -ENOBUFS when too much is kept
 * already, or another errno. That the agent has ended the connection is told by the answers' end, since its
 * reason may be among them. */
int api_client_send(struct api_client *client, const api_Request *request, struct am_err *err);

/* Takes the next answer, an Error too. Returns 1; 0 when none is here; -EPIPE when the agent has ended the
 * connection, AM_EFORMAT for what is no answer, or another errno: then nothing more will come. */
int api_client_next(struct api_client *client, api_Response *out, struct am_err *err);

/* Waits at most `timeout_ms` (below 0: for ever) for the next answer. Returns 0, -ETIMEDOUT, -EINTR (a signal
 * came), what api_client_next fails with, or AM_EREMOTE when the answer is an Error, whose text makes the
 * sentence. */
int api_client_receive(struct api_client *client, int timeout_ms, api_Response *out, struct am_err *err);

#endif
