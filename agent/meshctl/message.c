#include "agent/meshctl/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/meshctl/find.h"
#include "agent/meshctl/show.h"

#define SEND_TIMEOUT_MS 330000  /* longer than the agent tries */
#define REPLAY_TIMEOUT_MS 60000 /* between two messages of the past */

/* Fills the payload from the command line or from standard input; what is too long, the agent refuses. */
static int take_payload(const char *text, api_SendMessage *message, struct am_err *err)
{
    const size_t room = sizeof(message->payload.bytes);
    if (text && strcmp(text, "-") != 0) {
        const size_t len = strlen(text);
        message->payload.size = (pb_size_t)(len < room ? len : room);
        memcpy(message->payload.bytes, text, message->payload.size);
        return 0;
    }
    message->payload.size = (pb_size_t)fread(message->payload.bytes, 1, room, stdin);
    return ferror(stdin) ? am_fail(err, -EIO, "standard input can not be read") : 0;
}

static int take_key(const char *key, api_SendMessage *message, struct am_err *err)
{
    const size_t len = key ? strlen(key) : 0;
    if (len > sizeof(message->idempotency_key.bytes))
        return am_fail(err, -EINVAL, "the key has more than %zu bytes",
                       sizeof(message->idempotency_key.bytes));
    message->idempotency_key.size = (pb_size_t)len;
    if (len > 0)
        memcpy(message->idempotency_key.bytes, key, len);
    return 0;
}

static int take_recipient(struct api_client *client, const char *name, api_SendMessage *message,
                          struct am_err *err)
{
    static api_PeerPath path;
    const int code = find_path(client, name, &path, err);
    if (code)
        return code;
    if (path.self)
        return am_fail(err, -EINVAL, "%s: that is this node itself", name);
    if (path.peer.removed)
        return am_fail(err, -ENOENT, "%s: it was removed from the cluster", name);
    message->recipient.size = sizeof(path.peer.member_id);
    memcpy(message->recipient.bytes, path.peer.member_id, sizeof(path.peer.member_id));
    return 0;
}

int message_send(const struct invocation *invocation)
{
    static api_Request request = {.id = 2, .which_body = api_Request_send_message_tag};
    static api_Response answer;
    struct am_err err;
    api_SendMessage *message = &request.body.send_message;
    if (take_recipient(invocation->client, invocation->words[0], message, &err) ||
        take_payload(invocation->words[1], message, &err) || take_key(invocation->key, message, &err))
        return command_fail(&err);
    if (api_client_send(invocation->client, &request, &err) ||
        api_client_receive(invocation->client, SEND_TIMEOUT_MS, &answer, &err))
        return command_fail(&err);
    if (answer.which_body != api_Response_message_sent_tag) {
        am_fail(&err, AM_EFORMAT, "the agent's answer is not of the kind that was asked for");
        return command_fail(&err);
    }
    (invocation->json ? show_sent_json : show_sent_text)(&answer.body.message_sent);
    return EXIT_OK;
}

/* BLOCK, its end, or BLOCK:INDEX. */
static bool parse_cursor(const char *text, api_Cursor *out)
{
    char *end;
    errno = 0;
    out->block = strtoull(text, &end, 10);
    out->log_index = UINT32_MAX;
    if (errno != 0 || end == text || *text == '-')
        return false;
    if (*end == '\0')
        return true;
    const char *const index = end + 1;
    const unsigned long value = strtoul(index, &end, 10);
    out->log_index = (uint32_t)value;
    return errno == 0 && index[-1] == ':' && end != index && *end == '\0' && *index != '-' &&
           value <= UINT32_MAX;
}

int message_receive(const struct invocation *invocation)
{
    static api_Request request = {.id = 1, .which_body = api_Request_subscribe_messages_tag};
    static api_Response answer;
    struct am_err err;
    api_SubscribeMessages *wanted = &request.body.subscribe_messages;
    wanted->has_after = invocation->from;
    if (invocation->from && !parse_cursor(invocation->from, &wanted->after)) {
        fprintf(stderr, "meshctl: --from takes BLOCK or BLOCK:INDEX, as recv prints it\n");
        return EXIT_USAGE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (api_client_send(invocation->client, &request, &err))
        return command_fail(&err);
    bool caught_up = false;
    while (!caught_up || invocation->follow) {
        if (api_client_receive(invocation->client, caught_up ? -1 : REPLAY_TIMEOUT_MS, &answer, &err))
            return command_fail(&err);
        if (answer.which_body != api_Response_message_event_tag)
            continue;
        (invocation->json ? show_message_json : show_message_text)(&answer.body.message_event);
        const api_MessageEvent_Kind kind = answer.body.message_event.kind;
        caught_up = kind == api_MessageEvent_Kind_CAUGHT_UP ||
                    (caught_up && kind != api_MessageEvent_Kind_ROLLED_BACK);
    }
    return EXIT_OK;
}
