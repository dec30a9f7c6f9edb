/* A blocking client of the application socket, for meshctl and tests. */
#ifndef AGENT_API_CLIENT_H
#define AGENT_API_CLIENT_H

#include "agent/api/api.h"
#include "crypto/am_error.h"

struct api_client;

/* Returns 0; -ENOENT or -ECONNREFUSED when no agent listens on `path`, or another errno, with a sentence. */
int api_client_new(const char *path, struct api_client **out, struct am_err *err);
void api_client_free(struct api_client *client);

/* Sends one request. Returns 0 or an errno. */
int api_client_send(struct api_client *client, const api_Request *request, struct am_err *err);

/* Waits at most `timeout_ms` (below 0: for ever) for the next answer. Returns 0, -ETIMEDOUT, -EINTR (a signal
 * came), -EPIPE when the agent has ended the connection, AM_EFORMAT, or AM_EREMOTE when the answer is an
 * Error, whose code and text make the sentence. */
int api_client_receive(struct api_client *client, int timeout_ms, api_Response *out, struct am_err *err);

#endif
