/* Prints what the node is, that the cluster shared key is there, and its peers as they come and go.
 *
 *     cc example.c $(pkg-config --cflags --libs attestmesh-client) -o example
 *     ./example [--once]      --once: ends after the present peers; AGENT_SOCKET: where the agent listens */
#include <attestmesh.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void print_peer_event(const struct attestmesh_peer_event *event)
{
    printf("event %s", event->kind_name);
    if (event->peer)
        printf(" %s %s", event->peer->mesh_ipv4, event->peer->up ? "up" : "down");
    printf("\n");
}

/* Returns whether the present peers are complete. */
static bool print_answer(const struct attestmesh_answer *answer)
{
    switch (answer->kind) {
    case ATTESTMESH_STATUS:
        printf("status %s, %" PRIu32 " live members\n", answer->status.phase_name,
               answer->status.live_members);
        return false;
    case ATTESTMESH_KEY: /* what one does with it: derive keys of one's own; never print it */
        printf("key generation %" PRIu64 ", %zu bytes\n", answer->key.generation, sizeof(answer->key.key));
        return false;
    case ATTESTMESH_PEER_EVENT:
        print_peer_event(&answer->peer_event);
        return answer->peer_event.kind == ATTESTMESH_PEER_SYNCED;
    case ATTESTMESH_ERROR:
        printf("error %s\n", answer->error.text);
        return false;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    const bool once = argc > 1 && strcmp(argv[1], "--once") == 0;
    const struct attestmesh_answer *answer;
    struct attestmesh *mesh;
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

    /* A program with a loop of its own polls attestmesh_fd() there, and calls attestmesh_next(). */
    while (code == 0) {
        code = attestmesh_wait(mesh, -1, &answer);
        if (code == 1)
            code = print_answer(answer) && once;
    }
    if (code < 0)
        fprintf(stderr, "the agent is gone: %s\n", strerror(-code));
    attestmesh_close(mesh);
    return code < 0;
}
