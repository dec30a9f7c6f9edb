#include "agent/api/client.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/api/frame.h"

struct api_client {
    int fd;
    size_t len; /* received and not yet taken */
    uint8_t received[API_FRAME_MAX + FRAME_PREFIX_MAX];
};

static int fail_connect(const char *path, int code, struct am_err *err)
{
    if (code == -ENOENT || code == -ECONNREFUSED)
        return am_fail(err, code, "%s: the agent is not running (%s)", path, strerror(-code));
    return am_fail(err, code, "%s: %s", path, strerror(-code));
}

int api_client_new(const char *path, struct api_client **out, struct am_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return fail_connect(path, -ENAMETOOLONG, err);
    memcpy(address.sun_path, path, strlen(path) + 1);
    struct api_client *client = calloc(1, sizeof(*client));
    if (!client)
        return fail_connect(path, -ENOMEM, err);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (const struct sockaddr *)&address, sizeof(address))) {
        const int code = -errno;
        api_client_free(client);
        return fail_connect(path, code, err);
    }
    *out = client;
    return 0;
}

void api_client_free(struct api_client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    free(client);
}

int api_client_send(struct api_client *client, const api_Request *request, struct am_err *err)
{
    uint8_t frame[api_Request_size + FRAME_PREFIX_MAX];
    pb_ostream_t out = pb_ostream_from_buffer(frame, sizeof(frame));
    if (!pb_encode_ex(&out, api_Request_fields, request, PB_ENCODE_DELIMITED))
        return am_fail(err, -EINVAL, "the request can not be encoded");
    for (size_t sent = 0; sent < out.bytes_written;) {
        const ssize_t count = send(client->fd, frame + sent, out.bytes_written - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return am_fail(err, -errno, "sending to the agent: %s", strerror(errno));
        sent += (size_t)count;
    }
    return 0;
}

static int decode_response(struct api_client *client, const struct frame *frame, api_Response *out,
                           struct am_err *err)
{
    *out = (api_Response)api_Response_init_zero;
    pb_istream_t in = pb_istream_from_buffer(frame->message, frame->message_len);
    if (!pb_decode(&in, api_Response_fields, out))
        return am_fail(err, AM_EFORMAT, "the agent's answer is malformed");
    client->len -= frame->len;
    memmove(client->received, client->received + frame->len, client->len);
    if (out->which_body == api_Response_error_tag)
        return am_fail(err, AM_EREMOTE, "the agent refuses: %s", out->body.error.text);
    return 0;
}

static int receive_more(struct api_client *client, int timeout_ms, struct am_err *err)
{
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};
    const int count = poll(&ready, 1, timeout_ms);
    if (count == 0)
        return am_fail(err, -ETIMEDOUT, "the agent does not answer");
    const ssize_t got = count < 0 ? -1
                                  : recv(client->fd, client->received + client->len,
                                         sizeof(client->received) - client->len, 0);
    if (got < 0)
        return am_fail(err, -errno, "receiving from the agent: %s", strerror(errno));
    if (got == 0)
        return am_fail(err, -EPIPE, "the agent has ended the connection");
    client->len += (size_t)got;
    return 0;
}

int api_client_receive(struct api_client *client, int timeout_ms, api_Response *out, struct am_err *err)
{
    for (;;) {
        struct frame frame;
        const int found = frame_parse(client->received, client->len, API_FRAME_MAX, &frame);
        if (found < 0)
            return am_fail(err, AM_EFORMAT, "the agent's answer is malformed");
        if (found > 0)
            return decode_response(client, &frame, out, err);
        const int code = receive_more(client, timeout_ms, err);
        if (code)
            return code;
    }
}
