/* Prints what the node is, that the cluster shared key is there, its peers as they come and go, and the
 * messages to this node. With INDEX and TEXT, sends a message to the peer with that index, through the chain.
 *
 *     cc example.c $(pkg-config --cflags --libs attestmesh-client) -o example
 *     ./example [--once] [INDEX TEXT]
 *
 * --once: ends when all that has come. AGENT_SOCKET: where the agent listens. */
#include <attestmesh.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct attestmesh *mesh;
static uint32_t recipient;
static const char *text; /* for it; NULL: nothing, or nothing more */

enum { PEERS = 1, MESSAGES = 2, SENT = 4 };
static unsigned awaited = PEERS | MESSAGES; /* before --once ends */

/* The present peers come first: the recipient is among them. */
static int take_peer_event(const struct attestmesh_peer_event *event)
{
    const struct attestmesh_peer *peer = event->peer;
    int code = 0;

    printf("event %s", event->kind_name);
    if (peer)
        printf(" %s %s", peer->mesh_ipv4, peer->up ? "up" : "down");
    printf("\n");
    if (event->kind == ATTESTMESH_PEER_SYNCED)
        awaited &= ~PEERS;
    if (text && peer && peer->index == recipient) {
        code = attestmesh_send_message(mesh, peer->member_id, text, strlen(text), NULL, 0, NULL);
        text = NULL;
    }
    return code;
}

/* Whoever keeps the cursor of the last message that is dealt with subscribes from there the next time. */
static void take_message_event(const struct attestmesh_message_event *event)
{
    if (event->kind == ATTESTMESH_MESSAGE)
        printf("message from %02x%02x%02x%02x: %.*s\n", event->sender[0], event->sender[1], event->sender[2],
               event->sender[3], (int)event->payload_len, (const char *)event->payload);
    if (event->kind == ATTESTMESH_MESSAGE_CAUGHT_UP)
        awaited &= ~MESSAGES;
}

/* Returns 0, or a negative errno. */
static int take_answer(const struct attestmesh_answer *answer)
{
    switch (answer->kind) {
    case ATTESTMESH_STATUS:
        printf("status %s, %" PRIu32 " live members\n", answer->status.phase_name,
               answer->status.live_members);
        return 0;
    case ATTESTMESH_KEY: /* what one does with it: derive keys of one's own; never print it */
        printf("key generation %" PRIu64 ", %zu bytes\n", answer->key.generation, sizeof(answer->key.key));
        return 0;
    case ATTESTMESH_PEER_EVENT: return take_peer_event(&answer->peer_event);
    case ATTESTMESH_MESSAGE_EVENT: take_message_event(&answer->message_event); return 0;
    case ATTESTMESH_MESSAGE_SENT:
        printf("sent\n");
        awaited &= ~SENT;
        return 0;
    case ATTESTMESH_ERROR:
        printf("error %s\n", answer->error.text);
        awaited = 0;
        return 0;
    default: return 0;
    }
}

int main(int argc, char **argv)
{
    const bool once = argc > 1 && strcmp(argv[1], "--once") == 0;
    const struct attestmesh_answer *answer;
    if (argc - once == 3) {
        recipient = (uint32_t)strtoul(argv[argc - 2], NULL, 10);
        text = argv[argc - 1];
        awaited |= SENT;
    }
    int code = attestmesh_open(NULL, &mesh);
    if (code != 0) {
        fprintf(stderr, "no agent: %s\n", strerror(-code));
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);

    /* All at once; the answers come in turn. */
    code = attestmesh_get_status(mesh, NULL);
    if (code == 0)
        code = attestmesh_get_key(mesh, NULL);
    if (code == 0)
        code = attestmesh_subscribe_peer_events(mesh, NULL);
    if (code == 0)
        code = attestmesh_subscribe_messages(mesh, NULL, NULL);

    /* A program with a loop of its own polls attestmesh_fd() there, and calls attestmesh_next(). */
    while (code == 0 && !(once && awaited == 0)) {
        code = attestmesh_wait(mesh, -1, &answer);
        if (code == 1)
            code = take_answer(answer);
    }
    if (code < 0)
        fprintf(stderr, "the agent is gone: %s\n", strerror(-code));
    attestmesh_close(mesh);
    return code < 0;
}
