#include "agent/api/client.h"

#include <errno.h>
#include <fcntl.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/api/frame.h"

_Static_assert(api_Request_size + FRAME_PREFIX_MAX <= API_CLIENT_UNSENT_MAX, "every request can be sent");

struct api_client {
    int fd;
    size_t unsent_len;
    size_t taken; /* of what was received */
    size_t len;   /* received, what was taken included */
    uint8_t unsent[API_CLIENT_UNSENT_MAX];
    uint8_t received[API_FRAME_MAX + FRAME_PREFIX_MAX];
};

static int fail_connect(const char *path, int code, struct am_err *err)
{
    if (code == -ENOENT || code == -ECONNREFUSED)
        return am_fail(err, code, "%s: the agent is not running (%s)", path, strerror(-code));
    return am_fail(err, code, "%s: %s", path, strerror(-code));
}

/* Connecting is left to block: it only does while others are before us in the agent's short queue. */
static int connect_socket(int fd, const struct sockaddr_un *address)
{
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        return -errno;
    return 0;
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
    const int code = connect_socket(client->fd, &address);
    if (code != 0) {
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
    explicit_bzero(client, sizeof(*client));
    free(client);
}

int api_client_fd(const struct api_client *client)
{
    return client->fd;
}

bool api_client_wants_write(const struct api_client *client)
{
    return client->unsent_len > 0;
}

static int send_unsent(struct api_client *client, struct am_err *err)
{
    while (client->unsent_len > 0) {
        const ssize_t count = send(client->fd, client->unsent, client->unsent_len, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return 0;
        const bool ended = count < 0 && (errno == EPIPE || errno == ECONNRESET);
        if (count < 0 && !ended)
            return am_fail(err, -errno, "sending to the agent: %s", strerror(errno));
        const size_t gone = ended ? client->unsent_len : (size_t)count;
        client->unsent_len -= gone;
        memmove(client->unsent, client->unsent + gone, client->unsent_len);
    }
    return 0;
}

int api_client_send(struct api_client *client, const api_Request *request, struct am_err *err)
{
    size_t size;
    if (!pb_get_encoded_size(&size, api_Request_fields, request))
        return am_fail(err, -EINVAL, "the request can not be encoded");
    if (size + FRAME_PREFIX_MAX > sizeof(client->unsent) - client->unsent_len)
        return am_fail(err, -ENOBUFS, "the agent does not read what it is asked");
    pb_ostream_t out = pb_ostream_from_buffer(client->unsent + client->unsent_len,
                                              sizeof(client->unsent) - client->unsent_len);
    if (!pb_encode_ex(&out, api_Request_fields, request, PB_ENCODE_DELIMITED))
        return am_fail(err, -EINVAL, "the request can not be encoded");
    client->unsent_len += out.bytes_written;
    return send_unsent(client, err);
}

/* Takes a frame off what was received. Returns 1, 0 when there is none whole, AM_EFORMAT. */
static int take_frame(struct api_client *client, api_Response *out, struct am_err *err)
{
    struct frame frame;
    uint8_t *const rest = client->received + client->taken;
    const int found = frame_parse(rest, client->len - client->taken, API_FRAME_MAX, &frame);
    if (found == 0)
        return 0;
    *out = (api_Response)api_Response_init_zero;
    if (found < 0)
        return am_fail(err, AM_EFORMAT, "the agent's answer is malformed");
    pb_istream_t in = pb_istream_from_buffer(frame.message, frame.message_len);
    if (!pb_decode(&in, api_Response_fields, out))
        return am_fail(err, AM_EFORMAT, "the agent's answer is malformed");
    explicit_bzero(rest, frame.len);
    client->taken += frame.len;
    return 1;
}

/* Returns 1 when something came, 0 when nothing did. */
static int receive_more(struct api_client *client, struct am_err *err)
{
    client->len -= client->taken;
    memmove(client->received, client->received + client->taken, client->len);
    client->taken = 0;
    const ssize_t got =
        recv(client->fd, client->received + client->len, sizeof(client->received) - client->len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return am_fail(err, -EPIPE, "the agent has ended the connection");
    if (got < 0)
        return am_fail(err, -errno, "receiving from the agent: %s", strerror(errno));
    client->len += (size_t)got;
    return 1;
}

int api_client_next(struct api_client *client, api_Response *out, struct am_err *err)
{
    int code = send_unsent(client, err);
    while (code >= 0) {
        code = take_frame(client, out, err);
        if (code != 0)
            return code;
        code = receive_more(client, err);
        if (code == 0)
            return 0;
    }
    return code;
}

static int await_socket(struct api_client *client, int timeout_ms, struct am_err *err)
{
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};
    if (api_client_wants_write(client))
        ready.events |= POLLOUT;
    const int count = poll(&ready, 1, timeout_ms);
    if (count == 0)
        return am_fail(err, -ETIMEDOUT, "the agent does not answer");
    return count > 0 ? 0 : am_fail(err, -errno, "waiting for the agent: %s", strerror(errno));
}

int api_client_receive(struct api_client *client, int timeout_ms, api_Response *out, struct am_err *err)
{
    for (;;) {
        const int found = api_client_next(client, out, err);
        if (found < 0)
            return found;
        if (found > 0)
            break;
        const int code = await_socket(client, timeout_ms, err);
        if (code != 0)
            return code;
    }
    if (out->which_body == api_Response_error_tag)
        return am_fail(err, AM_EREMOTE, "the agent refuses: %s", out->body.error.text);
    return 0;
}
