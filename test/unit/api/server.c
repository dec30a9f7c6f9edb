#include "agent/api/server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/api/client.h"
#include "agent/api/frame.h"
#include "test/unit/api/fake_node.h"

/* Server and clients take turns on one thread: what is sent, then the loop, then what has come. */
struct raw_client {
    int fd;
    bool ended;
    size_t len;
    uint8_t received[4 * API_FRAME_MAX];
};

static char folder[] = "/tmp/attestmesh-api-XXXXXX";
static char path[64];
static struct event_base *base;
static struct api_server *server;
static struct fake_node node;
static struct raw_client client;
static api_Response response;
static struct am_err err;

static void start(void)
{
    const struct api_source source = fake_node_source(&node);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/sub/agent.sock", folder);
    base = event_base_new();
    node.members = 3;
    const int code = api_server_new(base, path, NULL, &source, &server, &err);
    cr_assert_eq(code, 0, "%s", err.text);
}

static void stop(void)
{
    char sub[64];
    api_server_free(server);
    event_base_free(base);
    cr_assert_eq(access(path, F_OK), -1, "the socket file is removed");
    snprintf(sub, sizeof(sub), "%s/sub", folder);
    rmdir(sub);
    rmdir(folder);
}

TestSuite(api_server, .init = start, .fini = stop, .timeout = 30);

static void run_loop(void)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void raw_connect(struct raw_client *raw)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    *raw = (struct raw_client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    cr_assert_eq(connect(raw->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void raw_read(struct raw_client *raw)
{
    for (;;) {
        run_loop();
        const ssize_t got = recv(raw->fd, raw->received + raw->len, sizeof(raw->received) - raw->len, 0);
        if (got <= 0) {
            raw->ended = got == 0 || errno != EAGAIN;
            return;
        }
        raw->len += (size_t)got;
    }
}

static void raw_send(struct raw_client *raw, const void *data, size_t len)
{
    cr_assert_eq(send(raw->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static size_t encode(const api_Request *request, uint8_t out[64])
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, 64);
    cr_assert(pb_encode_ex(&stream, api_Request_fields, request, PB_ENCODE_DELIMITED));
    return stream.bytes_written;
}

static void ask(struct raw_client *raw, uint64_t id, pb_size_t which)
{
    uint8_t frame[64];
    const api_Request request = {.id = id, .which_body = which};
    raw_send(raw, frame, encode(&request, frame));
}

/* The next answer that has come; false when there is none. */
static bool take(struct raw_client *raw)
{
    struct frame frame;
    if (frame_parse(raw->received, raw->len, API_FRAME_MAX, &frame) != 1)
        return false;
    response = (api_Response)api_Response_init_zero;
    pb_istream_t in = pb_istream_from_buffer(frame.message, frame.message_len);
    cr_assert(pb_decode(&in, api_Response_fields, &response));
    raw->len -= frame.len;
    memmove(raw->received, raw->received + frame.len, raw->len);
    return true;
}

static void expect_answer(uint64_t id, pb_size_t which)
{
    raw_read(&client);
    cr_assert(take(&client), "no answer");
    cr_assert_eq(response.id, id);
    cr_assert_eq(response.which_body, which);
}

static void expect_event(api_PeerEvent_Kind kind, uint32_t index)
{
    cr_assert(take(&client), "no event");
    cr_assert_eq(response.which_body, api_Response_peer_event_tag);
    cr_assert_eq(response.body.peer_event.kind, kind, "%s instead of %s",
                 api_peer_event_name(response.body.peer_event.kind), api_peer_event_name(kind));
    cr_assert_eq(response.body.peer_event.has_peer, index != 0);
    cr_assert_eq(response.body.peer_event.peer.index, index);
}

Test(api_server, socket_is_for_owner_and_group)
{
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 07777, 0660);
}

Test(api_server, status_and_self_are_answered_under_their_ids)
{
    raw_connect(&client);
    ask(&client, 7, api_Request_get_status_tag);
    ask(&client, 8, api_Request_get_self_tag);
    expect_answer(7, api_Response_status_tag);
    cr_assert_eq(response.body.status.members, 3);
    cr_assert_str_eq(response.body.status.reason, "waiting for handshakes");
    expect_answer(8, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_UNAVAILABLE);
    node.identity_known = true;
    ask(&client, 9, api_Request_get_self_tag);
    expect_answer(9, api_Response_self_tag);
    cr_assert_str_eq(response.body.self.mesh_ipv4, "10.13.0.1");
}

Test(api_server, request_arrives_in_single_bytes)
{
    uint8_t frame[64];
    const api_Request request = {.id = 300, .which_body = api_Request_get_status_tag};
    const size_t len = encode(&request, frame);
    raw_connect(&client);
    for (size_t i = 0; i < len; i++) {
        raw_send(&client, frame + i, 1);
        run_loop();
    }
    expect_answer(300, api_Response_status_tag);
}

Test(api_server, text_that_is_not_utf8_is_made_so)
{
    node.problem = "broken \xff text";
    raw_connect(&client);
    ask(&client, 1, api_Request_get_status_tag);
    expect_answer(1, api_Response_status_tag);
    cr_assert_str_eq(response.body.status.reason, "waiting for broken ? text");
}

static void ask_page(uint64_t id, uint32_t first_index, uint32_t limit)
{
    uint8_t frame[64];
    const api_Request request = {
        .id = id,
        .which_body = api_Request_list_peers_tag,
        .body.list_peers = {.first_index = first_index, .limit = limit},
    };
    raw_send(&client, frame, encode(&request, frame));
    expect_answer(id, api_Response_peer_page_tag);
}

Test(api_server, peers_come_in_pages_without_self_and_removed)
{
    node.members = 200;
    node.member[2].removed = true;
    raw_connect(&client);
    ask_page(1, 0, 0);
    cr_assert_eq(response.body.peer_page.peers_count, 64);
    cr_assert_eq(response.body.peer_page.peers[0].index, 1);
    cr_assert_eq(response.body.peer_page.peers[1].index, 3);
    cr_assert_eq(response.body.peer_page.next_index, 66);
    ask_page(2, 66, 2);
    cr_assert_eq(response.body.peer_page.peers_count, 2);
    cr_assert_eq(response.body.peer_page.peers[1].index, 67);
    cr_assert_str_eq(response.body.peer_page.peers[1].mesh_ipv4, "10.13.0.68");
    ask_page(3, 190, 64);
    cr_assert_eq(response.body.peer_page.peers_count, 10);
    cr_assert_eq(response.body.peer_page.next_index, 0);
    ask_page(4, UINT32_MAX, 64);
    cr_assert_eq(response.body.peer_page.peers_count, 0);
}

Test(api_server, operations_come_oldest_first_and_bounded)
{
    const uint32_t counts[][2] = {
        {0, 0}, {2, 2}, {API_OPERATIONS_MAX, API_OPERATIONS_MAX}, {1000, API_OPERATIONS_MAX}};
    raw_connect(&client);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        node.operations = counts[i][0];
        ask(&client, 5, api_Request_list_operations_tag);
        expect_answer(5, api_Response_operation_list_tag);
        const api_OperationList *list = &response.body.operation_list;
        cr_assert_eq(list->operations_count, counts[i][1]);
        for (uint32_t n = 0; n < list->operations_count; n++)
            cr_assert_eq(list->operations[n].started_unix_ms, 1700000000000 + n);
    }
    cr_assert_str_eq(response.body.operation_list.operations[1].cost_wei,
                     "340282366920938463463374607431768211455");
    cr_assert_eq(strlen(response.body.operation_list.operations[1].problem), 319);
}

Test(api_server, subscriber_gets_the_present_state_then_changes)
{
    raw_connect(&client);
    ask(&client, 5, api_Request_subscribe_peer_events_tag);
    raw_read(&client);
    expect_event(api_PeerEvent_Kind_PRESENT, 1);
    cr_assert_eq(response.id, 5);
    cr_assert_not(response.body.peer_event.peer.up);
    expect_event(api_PeerEvent_Kind_PRESENT, 2);
    expect_event(api_PeerEvent_Kind_SYNCED, 0);
    cr_assert_not(take(&client));

    node.member[1].up = true;
    api_server_peer_event(server, 1, api_PeerEvent_Kind_UP);
    node.members = 4;
    api_server_peer_event(server, 3, api_PeerEvent_Kind_JOINED);
    node.member[2].removed = true;
    api_server_peer_event(server, 2, api_PeerEvent_Kind_REMOVED);
    raw_read(&client);
    expect_event(api_PeerEvent_Kind_UP, 1);
    cr_assert(response.body.peer_event.peer.up);
    cr_assert_gt(response.body.peer_event.unix_ms, 1700000000000);
    expect_event(api_PeerEvent_Kind_JOINED, 3);
    expect_event(api_PeerEvent_Kind_REMOVED, 2);
    cr_assert(response.body.peer_event.peer.removed);
}

static void cancel(uint64_t id, uint64_t subscription)
{
    uint8_t frame[64];
    const api_Request request = {
        .id = id, .which_body = api_Request_cancel_tag, .body.cancel.id = subscription};
    raw_send(&client, frame, encode(&request, frame));
}

Test(api_server, cancel_ends_the_subscription)
{
    raw_connect(&client);
    ask(&client, 5, api_Request_subscribe_peer_events_tag);
    raw_read(&client);
    while (take(&client))
        ;
    ask(&client, 6, api_Request_subscribe_peer_events_tag);
    expect_answer(6, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_FAILED_PRECONDITION);
    cancel(7, 4);
    expect_answer(7, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_NOT_FOUND);
    cancel(8, 5);
    expect_answer(8, api_Response_done_tag);
    api_server_peer_event(server, 1, api_PeerEvent_Kind_UP);
    raw_read(&client);
    cr_assert_not(take(&client), "an event after the cancellation");
}

Test(api_server, slow_subscriber_is_told_how_much_it_lost)
{
    const uint64_t sent = 4000;
    uint64_t got = 0;
    raw_connect(&client);
    ask(&client, 5, api_Request_subscribe_peer_events_tag);
    raw_read(&client);
    while (take(&client))
        ;
    for (uint64_t i = 0; i < sent; i++) {
        api_server_peer_event(server, 1, api_PeerEvent_Kind_UP);
        run_loop();
    }
    struct api_server_counters counters;
    api_server_counters(server, &counters);
    cr_assert_gt(counters.events_lost, 0);
    for (raw_read(&client); take(&client); raw_read(&client)) {
        if (response.body.peer_event.kind == api_PeerEvent_Kind_LOST) {
            cr_assert_eq(response.body.peer_event.lost, counters.events_lost);
            break;
        }
        got++;
    }
    cr_assert_eq(got + counters.events_lost, sent);
    api_server_peer_event(server, 1, api_PeerEvent_Kind_DOWN);
    raw_read(&client);
    expect_event(api_PeerEvent_Kind_DOWN, 1);
}

Test(api_server, present_state_of_a_large_mesh_waits_for_a_slow_reader)
{
    node.members = FAKE_MEMBERS_MAX;
    raw_connect(&client);
    ask(&client, 5, api_Request_subscribe_peer_events_tag);
    run_loop();
    api_server_peer_event(server, FAKE_MEMBERS_MAX - 1, api_PeerEvent_Kind_UP);
    for (uint32_t index = 1; index < FAKE_MEMBERS_MAX; index++) {
        raw_read(&client);
        expect_event(api_PeerEvent_Kind_PRESENT, index);
    }
    raw_read(&client);
    expect_event(api_PeerEvent_Kind_SYNCED, 0);
    cr_assert_not(take(&client), "a change that the present state holds is not told again");
    struct api_server_counters counters;
    api_server_counters(server, &counters);
    cr_assert_eq(counters.events_lost, 0);
}

Test(api_server, client_that_does_not_read_is_not_read_from)
{
    uint64_t asked = 0, answered = 0;
    uint8_t frame[64];
    const api_Request request = {.id = 1, .which_body = api_Request_list_peers_tag};
    const size_t len = encode(&request, frame);
    node.members = 65;
    raw_connect(&client);
    while (asked < 100000 && send(client.fd, frame, len, MSG_NOSIGNAL) == (ssize_t)len) {
        asked++;
        run_loop();
    }
    cr_assert_lt(asked, 100000, "the server reads without end");
    for (raw_read(&client); take(&client); raw_read(&client))
        answered++;
    cr_assert_eq(answered, asked);
}

static void expect_end(const void *data, size_t len)
{
    raw_connect(&client);
    raw_send(&client, data, len);
    raw_read(&client);
    cr_assert(client.ended);
    cr_assert_eq(client.len, 0);
    close(client.fd);
}

Test(api_server, malformed_frames_end_the_connection)
{
    struct api_server_counters counters;
    expect_end("\xff\xff\xff\xff\xff\xff", 6);
    expect_end("\x02\x08\x80", 3);
    expect_end("\x81\x80\x04", 3);
    api_server_counters(server, &counters);
    cr_assert_eq(counters.malformed, 3);
    cr_assert_eq(counters.clients, 0);
}

Test(api_server, unknown_request_is_refused_and_the_connection_lives)
{
    raw_connect(&client);
    raw_send(&client, "\x05\x08\x03\xf2\x06\x00", 6); /* field 110, of a later agent */
    expect_answer(3, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_INVALID_ARGUMENT);
    ask(&client, 4, api_Request_get_status_tag);
    expect_answer(4, api_Response_status_tag);
}

Test(api_server, connections_are_bounded)
{
    int fds[API_CLIENTS_MAX];
    for (size_t i = 0; i < API_CLIENTS_MAX; i++) {
        raw_connect(&client);
        fds[i] = client.fd;
        run_loop();
    }
    raw_connect(&client);
    expect_answer(0, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_RESOURCE_EXHAUSTED);
    close(fds[0]);
    run_loop();
    raw_connect(&client);
    ask(&client, 1, api_Request_get_status_tag);
    expect_answer(1, api_Response_status_tag);
}

Test(api_server, second_agent_on_the_path_is_refused)
{
    struct api_server *second;
    const struct api_source source = fake_node_source(&node);
    cr_assert_eq(api_server_new(base, path, NULL, &source, &second, &err), -EADDRINUSE);
    cr_assert(strstr(err.text, "another agent listens there"), "%s", err.text);
}

Test(api_server, socket_of_a_dead_agent_is_replaced)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct api_server *second;
    const struct api_source source = fake_node_source(&node);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale.sock", folder);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    const int code = api_server_new(base, address.sun_path, NULL, &source, &second, &err);
    cr_assert_eq(code, 0, "%s", err.text);
    api_server_free(second);
}

Test(api_server, path_that_is_a_file_is_left_alone)
{
    struct api_server *second;
    char file[80];
    const struct api_source source = fake_node_source(&node);
    snprintf(file, sizeof(file), "%s/file", folder);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(api_server_new(base, file, NULL, &source, &second, &err), AM_ECONFIG);
    cr_assert(strstr(err.text, "exists and is not a socket"), "%s", err.text);
    unlink(file);
}

Test(api_server, unknown_group_is_refused)
{
    struct api_server *second;
    const struct api_source source = fake_node_source(&node);
    cr_assert_eq(api_server_new(base, "/tmp/never.sock", "no-such-group", &source, &second, &err),
                 AM_ECONFIG);
    cr_assert(strstr(err.text, "AGENT_SOCKET_GROUP"), "%s", err.text);
}

Test(api_server, stranger_is_refused)
{
    if (geteuid() != 0)
        cr_skip("only root can become somebody else");
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(chmod(path, 0666), 0, "so that only the credentials stand in the way");
    cr_assert_eq(setgroups(0, NULL), 0);
    cr_assert_eq(setegid(65534), 0);
    cr_assert_eq(seteuid(65534), 0);
    raw_connect(&client);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(setegid(0), 0);
    expect_answer(0, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_PERMISSION_DENIED);
}

static void ask_key(uint64_t id, uint64_t generation)
{
    uint8_t frame[64];
    const api_Request request = {
        .id = id,
        .which_body = api_Request_get_cluster_shared_key_tag,
        .body.get_cluster_shared_key = {.has_generation = true, .generation = generation}};
    raw_send(&client, frame, encode(&request, frame));
}

Test(api_server, cluster_shared_key_is_given_by_generation)
{
    node.key_held = true;
    node.key_generation = 4;
    raw_connect(&client);
    ask(&client, 1, api_Request_get_cluster_shared_key_tag);
    expect_answer(1, api_Response_cluster_shared_key_tag);
    cr_assert_eq(response.body.cluster_shared_key.generation, 4);
    cr_assert_eq(response.body.cluster_shared_key.key[31], 0xcc);
    ask_key(2, 3);
    expect_answer(2, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_NOT_FOUND);
}

Test(api_server, cluster_shared_key_is_unavailable_before_there_is_one_and_while_unhealthy)
{
    raw_connect(&client);
    ask(&client, 1, api_Request_get_cluster_shared_key_tag);
    expect_answer(1, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_UNAVAILABLE);
    node.key_held = node.unhealthy = true;
    ask(&client, 2, api_Request_get_cluster_shared_key_tag);
    expect_answer(2, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_UNAVAILABLE);
    for (size_t i = 0; i < sizeof(response.body.cluster_shared_key.key); i++)
        cr_assert_neq(response.body.cluster_shared_key.key[i], 0xcc);
}

Test(api_server, key_events_tell_the_present_key_and_each_new_one_until_cancelled)
{
    node.key_held = true;
    raw_connect(&client);
    ask(&client, 1, api_Request_subscribe_key_events_tag);
    expect_answer(1, api_Response_key_event_tag);
    cr_assert_eq(response.body.key_event.generation, 0);
    node.key_generation = 1;
    api_server_key_event(server);
    expect_answer(1, api_Response_key_event_tag);
    cr_assert_eq(response.body.key_event.generation, 1);
    ask(&client, 2, api_Request_subscribe_key_events_tag);
    expect_answer(2, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_FAILED_PRECONDITION);
    const api_Request cancel = {.id = 3, .which_body = api_Request_cancel_tag, .body.cancel.id = 1};
    uint8_t frame[64];
    raw_send(&client, frame, encode(&cancel, frame));
    expect_answer(3, api_Response_done_tag);
    api_server_key_event(server);
    raw_read(&client);
    cr_assert_not(take(&client));
}

Test(api_server, key_rotation_is_for_root_and_the_agents_user)
{
    if (geteuid() != 0)
        cr_skip("only root can become somebody else");
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(setgroups(0, NULL), 0);
    cr_assert_eq(seteuid(65534), 0); /* the group stays: it lets in */
    raw_connect(&client);
    cr_assert_eq(seteuid(0), 0);
    ask(&client, 1, api_Request_rotate_wireguard_key_tag);
    expect_answer(1, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_PERMISSION_DENIED);
    cr_assert_eq(node.rotations, 0);
}

Test(api_server, key_rotation_is_begun_or_refused_at_once)
{
    raw_connect(&client);
    ask(&client, 1, api_Request_rotate_wireguard_key_tag);
    expect_answer(1, api_Response_rotation_tag);
    cr_assert_eq(response.body.rotation.generation, 1);
    node.rotation_refusal = api_Error_Code_FAILED_PRECONDITION;
    ask(&client, 2, api_Request_rotate_wireguard_key_tag);
    expect_answer(2, api_Response_error_tag);
    cr_assert_eq(response.body.error.code, api_Error_Code_FAILED_PRECONDITION);
    cr_assert_str_eq(response.body.error.text, "a rotation is under way");
}
