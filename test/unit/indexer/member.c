#include "test/unit/indexer/member.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "agent/api/frame.h"

#define PATIENCE_STEPS 500 /* of 10 ms */

static void keep_push(struct member *member, const struct wire_signed *push, struct member_frame *out)
{
    struct wire_event event;
    struct am_err err = {0};
    cr_assert_eq(wire_verify_push(push, &member->server_key, &event, &err), 0, "%s", err.text);
    cr_assert(address_equal(&event.cluster, &member->hello.cluster), "another cluster's event");
    out->at = (struct wire_cursor){event.log.block, event.log.index, event.log.block_hash};
    out->kind = event.kind;
}

static void keep(struct member *member, const struct wire_server_frame *frame)
{
    struct member_frame *out = &member->frames[member->len++];
    struct wire_retraction retraction;
    cr_assert_leq(member->len, MEMBER_FRAMES_MAX);
    out->type = frame->type;
    if (frame->type == indexer_ServerFrame_push_tag)
        keep_push(member, &frame->push, out);
    else if (frame->type == indexer_ServerFrame_refusal_tag)
        out->refusal = frame->refusal.code;
    else if (frame->type == indexer_ServerFrame_checkpoint_tag)
        out->at = (struct wire_cursor){frame->checkpoint.block, 0, frame->checkpoint.block_hash};
    else if (frame->type == indexer_ServerFrame_retraction_tag) {
        cr_assert_eq(wire_verify_retraction(&frame->retraction, &member->server_key, &retraction, NULL), 0);
        out->at = (struct wire_cursor){retraction.block, 0, retraction.block_hash};
    }
}

static void on_read(struct bufferevent *stream, void *user)
{
    struct member *member = user;
    struct evbuffer *input = bufferevent_get_input(stream);
    for (size_t len; (len = evbuffer_get_length(input)) > 0;) {
        struct frame frame;
        struct wire_server_frame parsed;
        if (frame_parse(evbuffer_pullup(input, -1), len, WIRE_FRAME_MAX, &frame) != 1)
            return;
        cr_assert_eq(wire_parse_server(frame.message, frame.message_len, &parsed, NULL), 0);
        keep(member, &parsed);
        evbuffer_drain(input, frame.len);
    }
}

static void say_hello(struct member *member)
{
    uint8_t exporter[WIRE_EXPORTER_SIZE], bytes[WIRE_HELLO_MAX];
    cr_assert_eq(SSL_export_keying_material(bufferevent_openssl_get_ssl(member->stream), exporter,
                                            sizeof(exporter), WIRE_EXPORTER_LABEL,
                                            sizeof(WIRE_EXPORTER_LABEL) - 1, NULL, 0, 0),
                 1);
    if (member->spoiled)
        exporter[0] ^= 1;
    const size_t len = wire_build_hello(member->seed, &member->hello, exporter, bytes);
    bufferevent_write(member->stream, bytes, len);
    if (member->deaf)
        bufferevent_disable(member->stream, EV_READ);
}

static void on_event(struct bufferevent *stream, short what, void *user)
{
    struct member *member = user;
    (void)stream;
    if (what & BEV_EVENT_CONNECTED) {
        member->connected = true;
        if (!member->silent)
            say_hello(member);
    } else {
        member->closed = true;
    }
}

void member_connect(struct member *member, struct event_base *base, uint16_t port)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    member->base = base;
    member->len = 0;
    member->connected = member->closed = false;
    member->stream = bufferevent_openssl_socket_new(base, -1, SSL_new(context), BUFFEREVENT_SSL_CONNECTING,
                                                    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    SSL_CTX_free(context);
    bufferevent_openssl_set_allow_dirty_shutdown(member->stream, 1);
    bufferevent_setcb(member->stream, on_read, NULL, on_event, member);
    bufferevent_enable(member->stream, EV_READ | EV_WRITE);
    cr_assert_eq(bufferevent_socket_connect(member->stream, (struct sockaddr *)&address, sizeof(address)), 0);
}

void member_send(struct member *member, const void *data, size_t len)
{
    bufferevent_write(member->stream, data, len);
}

void member_close(struct member *member)
{
    bufferevent_free(member->stream);
    member->stream = NULL;
}

size_t member_count(const struct member *member, pb_size_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < member->len; i++)
        count += member->frames[i].type == type;
    return count;
}

static void run_a_little(struct event_base *base)
{
    static const struct timeval step = {0, 10000};
    event_base_loopexit(base, &step);
    event_base_dispatch(base);
}

void member_await(struct member *member, pb_size_t type, size_t count)
{
    for (int i = 0; i < PATIENCE_STEPS && !member->closed && member_count(member, type) < count; i++)
        run_a_little(member->base);
    cr_assert_geq(member_count(member, type), count, "frames of type %u: %zu of %zu, last refusal %d",
                  (unsigned)type, member_count(member, type), count,
                  member->len ? (int)member->frames[member->len - 1].refusal : -1);
}

void member_await_close(struct member *member)
{
    for (int i = 0; i < PATIENCE_STEPS && !member->closed; i++)
        run_a_little(member->base);
    cr_assert(member->closed, "still connected");
}
