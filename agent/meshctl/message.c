#include "agent/meshctl/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/meshctl/find.h"
#include "agent/meshctl/show.h"

#define SEND_TIMEOUT_MS 330000 /* longer than the agent tries */

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
        return am_fail(err, -EINVAL, "the key has more than %zu bytes", sizeof(message->idempotency_key.bytes));
    message->idempotency_key.size = (pb_size_t)len;
    if (len > 0)
        memcpy(message->idempotency_key.bytes, key, len);
    return 0;
}

int message_send(const struct invocation *invocation)
{
    static api_Request request = {.id = 2, .which_body = api_Request_send_message_tag};
    static api_Response answer;
    static api_Peer peer;
    struct am_err err;
    api_SendMessage *message = &request.body.send_message;
    if (find_peer(invocation->client, invocation->words[0], &peer, &err) ||
        take_payload(invocation->words[1], message, &err) || take_key(invocation->key, message, &err))
        return command_fail(&err);
    message->recipient.size = sizeof(peer.member_id);
    memcpy(message->recipient.bytes, peer.member_id, sizeof(peer.member_id));
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
