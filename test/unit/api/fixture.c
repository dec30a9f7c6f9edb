/* The application socket of an invented node, for clients in other languages: fixture SOCKET MEMBERS.
 * Says "ready", then obeys lines of standard input: join, up INDEX, down INDEX, remove INDEX, identify,
 * operate, include (the message that waits), deny; ends at EOF. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/server.h"
#include "test/unit/api/fake_node.h"

static struct fake_node node;
static struct api_server *server;

static void obey(const char *line)
{
    char verb[16] = "";
    uint32_t index = 0;
    sscanf(line, "%15s %u", verb, &index);
    if (strcmp(verb, "join") == 0 && node.members < FAKE_MEMBERS_MAX) {
        api_server_peer_event(server, node.members++, api_PeerEvent_Kind_JOINED);
    } else if (strcmp(verb, "identify") == 0) {
        node.identity_known = true;
    } else if (strcmp(verb, "operate") == 0) {
        node.operations++;
    } else if (strcmp(verb, "include") == 0) {
        api_server_message_sent(server, &node.waiting, &(struct bytes32){{1}}, &(struct bytes32){{2}});
    } else if (strcmp(verb, "deny") == 0) {
        api_server_fail(server, &node.waiting, api_Error_Code_PERMISSION_DENIED, "nobody pays");
    } else if (index < node.members && strcmp(verb, "remove") == 0) {
        node.member[index].removed = true;
        api_server_peer_event(server, index, api_PeerEvent_Kind_REMOVED);
    } else if (index < node.members) {
        node.member[index].up = strcmp(verb, "up") == 0;
        api_server_peer_event(server, index,
                              node.member[index].up ? api_PeerEvent_Kind_UP : api_PeerEvent_Kind_DOWN);
    }
    puts("done");
    fflush(stdout);
}

static void on_line(struct bufferevent *in, void *user)
{
    (void)user;
    for (char *line; (line = evbuffer_readln(bufferevent_get_input(in), NULL, EVBUFFER_EOL_LF)); free(line))
        obey(line);
}

static void on_end(struct bufferevent *in, short events, void *user)
{
    (void)events;
    (void)user;
    event_base_loopbreak(bufferevent_get_base(in));
}

int main(int argc, char **argv)
{
    struct am_err err;
    struct event_base *base = event_base_new();
    const struct api_source source = fake_node_source(&node);
    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    node.members = (uint32_t)strtoul(argv[2], NULL, 10);
    if (api_server_new(base, argv[1], NULL, &source, &server, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct bufferevent *in = bufferevent_socket_new(base, 0, 0);
    bufferevent_setcb(in, on_line, NULL, on_end, NULL);
    bufferevent_enable(in, EV_READ);
    signal(SIGPIPE, SIG_IGN); /* as the agent does */
    node.server = server;
    node.messages = 100;
    puts("ready");
    fflush(stdout);
    event_base_dispatch(base);
    bufferevent_free(in);
    api_server_free(server);
    event_base_free(base);
    return 0;
}
