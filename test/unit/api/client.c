#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/api/server.h"
#include "agent/client/attestmesh.h"
#include "test/unit/api/fake_node.h"

/* Server and client take turns on one thread, which shows that the client never waits. */
static char folder[] = "/tmp/attestmesh-client-XXXXXX";
static char path[64];
static struct event_base *base;
static struct api_server *server;
static struct fake_node node;
static struct attestmesh *mesh;
static const struct attestmesh_answer *answer;
static uint64_t id;

static void start(void)
{
    const struct api_source source = fake_node_source(&node);
    struct am_err err;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/agent.sock", folder);
    base = event_base_new();
    node.members = 3;
    cr_assert_eq(api_server_new(base, path, NULL, &source, &server, &err), 0, "%s", err.text);
    cr_assert_eq(attestmesh_open(path, &mesh), 0);
}

static void stop(void)
{
    attestmesh_close(mesh);
    api_server_free(server);
    event_base_free(base);
    rmdir(folder);
}

TestSuite(client, .init = start, .fini = stop, .timeout = 30);

static void run_loop(void)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void expect(enum attestmesh_kind kind)
{
    run_loop();
    cr_assert_eq(attestmesh_next(mesh, &answer), 1, "no answer");
    cr_assert_eq(answer->id, id);
    cr_assert_eq(answer->kind, kind, "%d instead of %d", answer->kind, kind);
}

static void expect_error(enum attestmesh_error_code code)
{
    expect(ATTESTMESH_ERROR);
    cr_assert_eq(answer->error.code, code);
    cr_assert_gt(strlen(answer->error.text), 0);
}

static void expect_nothing(void)
{
    run_loop();
    cr_assert_eq(attestmesh_next(mesh, &answer), 0);
}

Test(client, open_says_that_no_agent_is_there)
{
    struct attestmesh *other = NULL;
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    cr_assert_eq(attestmesh_open("/nowhere/agent.sock", &other), -ENOENT);
    cr_assert_eq(attestmesh_open(long_path, &other), -ENAMETOOLONG);
    cr_assert_null(other);
    attestmesh_close(NULL);
}

Test(client, open_takes_the_path_from_the_environment)
{
    struct attestmesh *other;
    setenv("AGENT_SOCKET", path, 1);
    cr_assert_eq(attestmesh_open(NULL, &other), 0);
    attestmesh_close(other);
}

Test(client, nothing_is_waited_for)
{
    cr_assert_eq(attestmesh_poll_events(mesh), POLLIN);
    cr_assert_eq(attestmesh_next(mesh, &answer), 0);
    cr_assert_eq(attestmesh_wait(mesh, 0, &answer), 0);
}

Test(client, status)
{
    cr_assert_eq(attestmesh_get_status(mesh, &id), 0);
    expect(ATTESTMESH_STATUS);
    cr_assert_eq(answer->status.phase, ATTESTMESH_PHASE_WG_CONFIGURING);
    cr_assert_str_eq(answer->status.phase_name, "wg-configuring");
    cr_assert_str_eq(answer->status.reason, "waiting for handshakes");
    cr_assert_eq(answer->status.members, 3);
    expect_nothing();
}

Test(client, self_is_an_error_until_the_node_knows)
{
    cr_assert_eq(attestmesh_get_self(mesh, &id), 0);
    expect_error(ATTESTMESH_ERROR_UNAVAILABLE);
    node.identity_known = true;
    cr_assert_eq(attestmesh_get_self(mesh, &id), 0);
    expect(ATTESTMESH_SELF);
    cr_assert_eq(answer->self.member_id[31], 0x11);
}

Test(client, peers_come_in_pages)
{
    node.members = 100;
    cr_assert_eq(attestmesh_list_peers(mesh, 0, 0, &id), 0);
    expect(ATTESTMESH_PEERS);
    cr_assert_eq(answer->peers.len, ATTESTMESH_PAGE_MAX);
    cr_assert_eq(answer->peers.peers[0]->index, 1);
    cr_assert_str_eq(answer->peers.peers[63]->mesh_ipv4, "10.13.0.65");
    cr_assert_eq(answer->peers.peers[0]->handshake_age_s, -1);
    const uint32_t next = answer->peers.next_index;
    cr_assert_eq(next, 65);
    cr_assert_eq(attestmesh_list_peers(mesh, next, 0, &id), 0);
    expect(ATTESTMESH_PEERS);
    cr_assert_eq(answer->peers.len, 35);
    cr_assert_eq(answer->peers.next_index, 0);
}

Test(client, peer_events_until_cancelled)
{
    cr_assert_eq(attestmesh_subscribe_peer_events(mesh, &id), 0);
    const uint64_t subscription = id;
    for (uint32_t index = 1; index < 3; index++) {
        expect(ATTESTMESH_PEER_EVENT);
        cr_assert_eq(answer->peer_event.kind, ATTESTMESH_PEER_PRESENT);
        cr_assert_eq(answer->peer_event.peer->index, index);
    }
    expect(ATTESTMESH_PEER_EVENT);
    cr_assert_eq(answer->peer_event.kind, ATTESTMESH_PEER_SYNCED);
    cr_assert_null(answer->peer_event.peer);

    node.member[2].up = true;
    api_server_peer_event(server, 2, api_PeerEvent_Kind_UP);
    expect(ATTESTMESH_PEER_EVENT);
    cr_assert_str_eq(answer->peer_event.kind_name, "up");
    cr_assert(answer->peer_event.peer->up);
    cr_assert_eq(answer->peer_event.peer->transport, ATTESTMESH_TRANSPORT_GATEWAY);
    cr_assert_eq(answer->peer_event.peer->handshake_age_s, 3);

    cr_assert_eq(attestmesh_cancel(mesh, subscription, &id), 0);
    expect(ATTESTMESH_DONE);
    api_server_peer_event(server, 2, api_PeerEvent_Kind_DOWN);
    expect_nothing();
}

Test(client, key_is_wiped_when_the_answer_ends)
{
    node.key_held = true;
    node.key_generation = 7;
    cr_assert_eq(attestmesh_get_key(mesh, &id), 0);
    expect(ATTESTMESH_KEY);
    cr_assert_eq(answer->key.generation, 7);
    cr_assert_eq(answer->key.key[31], 0xcc);
    const struct attestmesh_answer *const former = answer;
    expect_nothing();
    for (size_t i = 0; i < sizeof(former->key.key); i++)
        cr_assert_eq(former->key.key[i], 0);
}

Test(client, key_of_a_generation_and_its_events)
{
    node.key_generation = 7;
    cr_assert_eq(attestmesh_get_key_of(mesh, 6, &id), 0);
    expect_error(ATTESTMESH_ERROR_NOT_FOUND);
    node.key_held = true;
    cr_assert_eq(attestmesh_subscribe_key_events(mesh, &id), 0);
    expect(ATTESTMESH_KEY_EVENT);
    cr_assert_eq(answer->key_event.generation, 7);
    cr_assert_gt(answer->key_event.unix_ms, 0);
}

Test(client, message_is_answered_once_it_is_sent)
{
    static uint8_t payload[ATTESTMESH_PAYLOAD_MAX + 1];
    const uint8_t recipient[32] = {1};
    cr_assert_eq(attestmesh_send_message(mesh, recipient, payload, sizeof(payload), NULL, 0, &id), -EINVAL);
    cr_assert_eq(attestmesh_send_message(mesh, recipient, "hello", 5, payload, 65, &id), -EINVAL);
    cr_assert_eq(attestmesh_send_message(mesh, recipient, payload, ATTESTMESH_PAYLOAD_MAX, "k", 1, &id), 0);
    expect_nothing();
    cr_assert_eq(node.payload_len, ATTESTMESH_PAYLOAD_MAX);
    const struct bytes32 envelope_id = {{7}}, tx_hash = {{9}};
    api_server_message_sent(server, &node.waiting, &envelope_id, &tx_hash);
    expect(ATTESTMESH_MESSAGE_SENT);
    cr_assert_eq(answer->message_sent.envelope_id[0], 7);
    cr_assert_eq(answer->message_sent.tx_hash[0], 9);
    cr_assert_not(answer->message_sent.repeated);

    cr_assert_eq(attestmesh_send_message(mesh, recipient, "", 0, NULL, 0, &id), 0);
    expect_nothing();
    api_server_message_sent(server, &node.waiting, &envelope_id, NULL);
    expect(ATTESTMESH_MESSAGE_SENT);
    cr_assert(answer->message_sent.repeated);
}

Test(client, many_requests_at_once_wait_until_the_agent_reads)
{
    size_t asked = 0;
    while (attestmesh_get_status(mesh, &id) == 0 && asked < 1000000)
        asked++;
    cr_assert_eq(attestmesh_get_status(mesh, NULL), -ENOBUFS);
    cr_assert_eq(attestmesh_poll_events(mesh), POLLIN | POLLOUT);
    for (size_t i = 0; i < asked; i++) {
        while (attestmesh_next(mesh, &answer) == 0)
            run_loop();
        cr_assert_eq(answer->id, i + 1);
    }
    cr_assert_eq(attestmesh_poll_events(mesh), POLLIN);
}

Test(client, end_of_the_agent_is_told)
{
    cr_assert_eq(attestmesh_get_status(mesh, &id), 0);
    run_loop();
    api_server_free(server);
    server = NULL;
    cr_assert_eq(attestmesh_get_status(mesh, NULL), 0);
    id = 1;
    expect(ATTESTMESH_STATUS);
    cr_assert_eq(attestmesh_next(mesh, &answer), -EPIPE);
    cr_assert_eq(attestmesh_wait(mesh, -1, &answer), -EPIPE);
}

/* ---- Against bytes that no agent of ours sends ---- */

static int listener = -1, accepted = -1;

static void start_stranger(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/agent.sock", folder);
    strcpy(address.sun_path, path);
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(attestmesh_open(path, &mesh), 0);
    accepted = accept(listener, NULL, NULL);
}

static void stop_stranger(void)
{
    attestmesh_close(mesh);
    close(accepted);
    close(listener);
    unlink(path);
    rmdir(folder);
}

TestSuite(client_stranger, .init = start_stranger, .fini = stop_stranger, .timeout = 30);

static void say(const void *bytes, size_t len)
{
    cr_assert_eq(send(accepted, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

Test(client_stranger, an_answer_of_a_newer_agent_is_unknown)
{
    const uint8_t frame[] = {5, 0x08, 9, 0xfa, 0x07, 0}; /* id 9, field 127: an empty message */
    for (size_t i = 0; i < sizeof(frame); i++) {
        cr_assert_eq(attestmesh_next(mesh, &answer), 0);
        say(frame + i, 1);
    }
    cr_assert_eq(attestmesh_next(mesh, &answer), 1);
    cr_assert_eq(answer->id, 9);
    cr_assert_eq(answer->kind, ATTESTMESH_UNKNOWN);
}

/* The next request that has come. */
static api_Request heard(void)
{
    static uint8_t bytes[API_FRAME_MAX];
    api_Request request = api_Request_init_zero;
    const ssize_t len = recv(accepted, bytes, sizeof(bytes), 0);
    pb_istream_t in = pb_istream_from_buffer(bytes, len > 0 ? (size_t)len : 0);
    cr_assert(pb_decode_ex(&in, api_Request_fields, &request, PB_DECODE_DELIMITED));
    return request;
}

Test(client_stranger, messages_come_with_sender_and_cursor)
{
    static api_Response response;
    static uint8_t frame[1024];
    const struct attestmesh_cursor after = {.block = 5, .log_index = 6};
    cr_assert_eq(attestmesh_subscribe_messages(mesh, NULL, &id), 0);
    cr_assert_not(heard().body.subscribe_messages.has_after);
    cr_assert_eq(attestmesh_subscribe_messages(mesh, &after, &id), 0);
    const api_Request request = heard();
    cr_assert_eq(request.which_body, api_Request_subscribe_messages_tag);
    cr_assert_eq(request.body.subscribe_messages.after.log_index, 6);

    response = (api_Response){.id = id, .which_body = api_Response_message_event_tag};
    response.body.message_event = (api_MessageEvent){.kind = api_MessageEvent_Kind_MESSAGE,
                                                     .has_cursor = true,
                                                     .cursor = {.block = 7, .log_index = 8},
                                                     .sender = {1},
                                                     .envelope_id = {2},
                                                     .payload = {.size = 5, .bytes = "hello"}};
    pb_ostream_t out = pb_ostream_from_buffer(frame, sizeof(frame));
    cr_assert(pb_encode_ex(&out, api_Response_fields, &response, PB_ENCODE_DELIMITED));
    say(frame, out.bytes_written);
    cr_assert_eq(attestmesh_next(mesh, &answer), 1);
    cr_assert_eq(answer->kind, ATTESTMESH_MESSAGE_EVENT);
    const struct attestmesh_message_event *event = &answer->message_event;
    cr_assert_eq(event->kind, ATTESTMESH_MESSAGE);
    cr_assert(event->cursor.block == 7 && event->cursor.log_index == 8);
    cr_assert(event->sender[0] == 1 && event->envelope_id[0] == 2);
    cr_assert_eq(event->payload_len, 5);
    cr_assert_arr_eq(event->payload, "hello", 5);
}

Test(client_stranger, what_is_no_answer_is_refused)
{
    const uint8_t frame[] = {2, 0xff, 0xff};
    say(frame, sizeof(frame));
    cr_assert_eq(attestmesh_next(mesh, &answer), -EPROTO);
}

Test(client_stranger, a_frame_that_is_too_long_is_refused)
{
    const uint8_t prefix[] = {0x81, 0x80, 0x04}; /* 65537 */
    say(prefix, sizeof(prefix));
    cr_assert_eq(attestmesh_next(mesh, &answer), -EPROTO);
}
