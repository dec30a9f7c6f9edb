#include "agent/meshctl/why.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/meshctl/find.h"
#include "agent/meshctl/show.h"
#include "crypto/bytes.h"

#define FACT_SIZE 512
#define HANDSHAKE_FRESH_S 180
#define SECOND_LOOK_US 5000000

/* What the agent says of the path, and what a second look adds: heartbeats pass every 2 s, so a stream
 * through which nothing at all came in between carries nothing, whatever the other end of its TCP connection
 * acknowledges. */
struct sight {
    api_PeerPath path;
    bool silent;
};

/* Writes what is known of one layer, and says whether it works. */
struct layer {
    const char *name;
    bool (*judge)(const struct sight *sight, char fact[FACT_SIZE]);
    const char *(*advise)(const struct sight *sight);
};

static bool judge_record(const struct sight *sight, char fact[FACT_SIZE])
{
    const api_Peer *peer = &sight->path.peer;
    const time_t registered = (time_t)peer->registered_at;
    char contract[2 * 20 + 1], when[32];
    struct tm utc;
    gmtime_r(&registered, &utc);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", &utc);
    hex_encode(peer->member_contract, sizeof(peer->member_contract), contract);
    const int len = snprintf(fact, FACT_SIZE, "contract 0x%s, registered %s", contract, when);
    if (peer->removed)
        snprintf(fact + len, FACT_SIZE - (size_t)len, "; it was removed from the cluster");
    else if (*sight->path.refusal)
        snprintf(fact + len, FACT_SIZE - (size_t)len, "; refused: %s", sight->path.refusal);
    return !peer->removed && !*sight->path.refusal;
}

static const char *advise_record(const struct sight *sight)
{
    return sight->path.peer.removed
               ? "it can come back only as a new member, with a new contract"
               : "the owner of the cluster removes the younger of two members that clash";
}

static bool judge_device(const struct sight *sight, char fact[FACT_SIZE])
{
    if (*sight->path.device_error)
        snprintf(fact, FACT_SIZE, "%s", sight->path.device_error);
    else
        snprintf(fact, FACT_SIZE, "%s",
                 sight->path.device_in_place ? "the WireGuard device has the peer"
                                             : "the WireGuard device is being set up");
    return sight->path.device_in_place && !*sight->path.device_error;
}

static const char *advise_device(const struct sight *sight)
{
    (void)sight;
    return "meshctl doctor checks what the device needs";
}

static bool judge_stream(const struct sight *sight, char fact[FACT_SIZE])
{
    const api_Stream *stream = &sight->path.peer.stream;
    char since[SHOW_AMOUNT_SIZE];
    show_format_age(sight->path.stream_since_s, since);
    if (sight->path.peer.transport != api_Peer_Transport_NONE) {
        const int len = snprintf(fact, FACT_SIZE, "through the gateway for %s, dialed by %s", since,
                                 sight->path.stream_is_dialed ? "this node" : "the peer");
        snprintf(
            fact + len, FACT_SIZE - (size_t)len,
            "; sent %" PRIu64 ", received %" PRIu64 ", dropped %" PRIu64 "%s", stream->sent, stream->received,
            stream->dropped_late + stream->dropped_full + stream->dropped_down + stream->dropped_malformed,
            sight->silent ? "; nothing comes through it now" : "");
        return !sight->silent;
    }
    int len =
        snprintf(fact, FACT_SIZE, "none for %s, %" PRIu32 " failures%s%s", since, sight->path.stream_failures,
                 *sight->path.stream_error ? ", the last: " : "", sight->path.stream_error);
    if (sight->path.dialing)
        snprintf(fact + len, FACT_SIZE - (size_t)len, "; dialing now");
    else if (sight->path.has_next_dial_s)
        snprintf(fact + len, FACT_SIZE - (size_t)len, "; this node dials in %" PRIu64 " s",
                 sight->path.next_dial_s);
    return false;
}

static const char *advise_stream(const struct sight *sight)
{
    if (sight->silent)
        return "see whether the peer's machine runs, and whether the gateway reaches it";
    return sight->path.dial_is_ours
               ? "see whether the peer's agent runs, and whether the gateway leads to it"
               : "the peer dials: see whether its agent runs, and why it does not come through";
}

static bool judge_handshake(const struct sight *sight, char fact[FACT_SIZE])
{
    char age[SHOW_AMOUNT_SIZE] = "";
    if (sight->path.peer.has_handshake_age_s)
        snprintf(fact, FACT_SIZE, "%s ago", show_format_age(sight->path.peer.handshake_age_s, age));
    else
        snprintf(fact, FACT_SIZE, "never, with the present key");
    return sight->path.peer.has_handshake_age_s && sight->path.peer.handshake_age_s <= HANDSHAKE_FRESH_S;
}

static const char *advise_handshake(const struct sight *sight)
{
    (void)sight;
    return "the stream works and WireGuard does not answer: compare the keys of both devices with the chain, "
           "and "
           "both clocks";
}

static bool judge_heartbeat(const struct sight *sight, char fact[FACT_SIZE])
{
    if (sight->path.has_heartbeat_age_ms)
        snprintf(fact, FACT_SIZE, "%" PRIu64 ".%" PRIu64 " s ago", sight->path.heartbeat_age_ms / 1000,
                 sight->path.heartbeat_age_ms % 1000 / 100);
    else
        snprintf(fact, FACT_SIZE, "never");
    return sight->path.heard;
}

static const char *advise_heartbeat(const struct sight *sight)
{
    (void)sight;
    return "the tunnel works and its agent is silent: see whether it runs, and whether a firewall stops UDP "
           "port 51820 "
           "on the mesh interface";
}

static bool judge_view(const struct sight *sight, char fact[FACT_SIZE])
{
    snprintf(fact, FACT_SIZE, "%s",
             sight->path.hears_us ? "it hears this node" : "it does not hear this node");
    return sight->path.hears_us;
}

static const char *advise_view(const struct sight *sight)
{
    (void)sight;
    return "ask meshctl why on the peer";
}

static const struct layer layers[] = {
    {"record", judge_record, advise_record},          {"device", judge_device, advise_device},
    {"stream", judge_stream, advise_stream},          {"handshake", judge_handshake, advise_handshake},
    {"heartbeat", judge_heartbeat, advise_heartbeat}, {"view", judge_view, advise_view},
};
#define LAYERS (sizeof(layers) / sizeof(layers[0]))

/* What came of each layer; those behind the first that fails are not judged. */
struct verdict {
    size_t judged;
    bool works;
    char facts[LAYERS][FACT_SIZE];
};

static void judge(const struct sight *sight, struct verdict *verdict)
{
    verdict->works = true;
    for (verdict->judged = 0; verdict->works && verdict->judged < LAYERS; verdict->judged++)
        verdict->works = layers[verdict->judged].judge(sight, verdict->facts[verdict->judged]);
}

static void show_text(const struct sight *sight, const struct verdict *verdict)
{
    char id[2 * 32 + 1];
    hex_encode(sight->path.peer.member_id, sizeof(sight->path.peer.member_id), id);
    printf("member %" PRIu32 "  0x%s  %s\n", sight->path.peer.index, id, sight->path.peer.mesh_ipv4);
    for (size_t i = 0; i < LAYERS; i++) {
        const bool fails = !verdict->works && i + 1 == verdict->judged;
        if (i >= verdict->judged)
            printf("-     %s\n", layers[i].name);
        else
            printf("%-4s  %-9s  %s\n", fails ? "FAIL" : "ok", layers[i].name, verdict->facts[i]);
    }
    if (verdict->works)
        printf("the path works\n");
    else
        printf("the path fails at the %s: %s\n", layers[verdict->judged - 1].name,
               layers[verdict->judged - 1].advise(sight));
}

static void show_json(const struct sight *sight, const struct verdict *verdict)
{
    json_object *object = json_object_new_object(), *list = json_object_new_array();
    const struct layer *failed = verdict->works ? NULL : &layers[verdict->judged - 1];
    for (size_t i = 0; i < verdict->judged; i++) {
        json_object *layer = json_object_new_object();
        json_object_object_add(layer, "layer", json_object_new_string(layers[i].name));
        json_object_object_add(layer, "ok", json_object_new_boolean(&layers[i] != failed));
        json_object_object_add(layer, "fact", json_object_new_string(verdict->facts[i]));
        json_object_array_add(list, layer);
    }
    json_object_object_add(object, "peer", show_object_of_peer(&sight->path.peer));
    json_object_object_add(object, "works", json_object_new_boolean(verdict->works));
    json_object_object_add(object, "fails_at", failed ? json_object_new_string(failed->name) : NULL);
    json_object_object_add(object, "advice", failed ? json_object_new_string(failed->advise(sight)) : NULL);
    json_object_object_add(object, "layers", list);
    show_object(object);
}

/* There is not even a record. */
static int show_stranger(const struct invocation *invocation, const struct am_err *err)
{
    static const char advice[] = "meshctl peers lists the members; a new one is there within a few seconds";
    if (!invocation->json) {
        printf("FAIL  record     %s\nthe path fails at the record: %s\n", err->text, advice);
        return EXIT_UNHEALTHY;
    }
    json_object *object = json_object_new_object();
    json_object_object_add(object, "works", json_object_new_boolean(false));
    json_object_object_add(object, "fails_at", json_object_new_string("record"));
    json_object_object_add(object, "advice", json_object_new_string(advice));
    show_object(object);
    return EXIT_UNHEALTHY;
}

/* Only where it matters: for a peer with a stream that is not heard. */
static int look_again(const struct invocation *invocation, struct sight *sight, struct am_err *err)
{
    const uint64_t received = sight->path.peer.stream.received;
    if (sight->path.heard || sight->path.peer.transport == api_Peer_Transport_NONE)
        return 0;
    usleep(SECOND_LOOK_US);
    const int code = find_path(invocation->client, invocation->words[0], &sight->path, err);
    sight->silent = code == 0 && sight->path.peer.stream.received == received;
    return code;
}

int why_explain(const struct invocation *invocation)
{
    static struct verdict verdict;
    static struct sight sight;
    struct am_err err;
    const int code = find_path(invocation->client, invocation->words[0], &sight.path, &err);
    if (code == -ENOENT)
        return show_stranger(invocation, &err);
    if (code)
        return command_fail(&err);
    if (sight.path.self) {
        fprintf(stderr, "meshctl: that is this node itself\n");
        return EXIT_USAGE;
    }
    if (look_again(invocation, &sight, &err))
        return command_fail(&err);
    judge(&sight, &verdict);
    (invocation->json ? show_json : show_text)(&sight, &verdict);
    return verdict.works ? EXIT_OK : EXIT_UNHEALTHY;
}
