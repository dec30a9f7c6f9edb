/* The gateway and the streams through it. As in agent/transport, the newest stream to a peer replaces the one
 * before, which then drains for a moment; an end is told of the loss when no stream is left. */
#include <stdlib.h>

#include "test/sim/world.h"

#define NET_DRAIN_MS 500
#define NET_SILENCE_MS 20000 /* how long a stream that makes no progress goes unnoticed at most */

static uint64_t *net_partition_of(const struct world *world, uint32_t a, uint32_t b)
{
    return &world->partitions[(a < b ? a : b) * world->nodes_len + (a < b ? b : a)];
}

static bool net_reaches(const struct world *world, uint32_t a, uint32_t b)
{
    return world->now_ms >= world->gateway_down_ms && world->now_ms >= *net_partition_of(world, a, b);
}

/* A node's end towards another node; NULL when its transport does not know that member. */
static struct sim_peer *net_peer(const struct world *world, uint32_t node, uint32_t other)
{
    uint32_t index = world->nodes[node].index_of[other];

    return index != CORE_NO_INDEX ? &world->nodes[node].peers[index] : NULL;
}

static uint32_t net_index(const struct world *world, uint32_t node, const struct sim_peer *peer)
{
    return (uint32_t)(peer - world->nodes[node].peers);
}

static void net_tell(struct world *world, uint32_t node, const struct sim_peer *peer,
                     enum core_event_type type, bool dialed, const char *text)
{
    static const char *const stories[] = {[CORE_EVENT_STREAM_UP] = "has a stream to",
                                          [CORE_EVENT_STREAM_DOWN] = "has no stream any more to",
                                          [CORE_EVENT_DIAL_FAILED] = "dials in vain"};

    world_say(world, node, "%s member %u", stories[type], net_index(world, node, peer));
    shell_step(
        world, node,
        &(struct core_event){
            .type = type, .stream = {.index = net_index(world, node, peer), .dialed = dialed, .text = text}});
}

static uint32_t net_new_stream(struct world *world, uint32_t dialer, uint32_t acceptor)
{
    world->streams =
        array_grow(world->streams, world->streams_len, &world->streams_capacity, sizeof(*world->streams));
    world->streams[world->streams_len++] = (struct sim_stream){.ends = {dialer, acceptor}, .open = true};
    return world->streams_len;
}

static void net_schedule(struct world *world, uint64_t delay_ms, enum happening_kind kind, uint32_t node,
                         uint32_t stream)
{
    queue_push(&world->queue, &(struct happening){.at_ms = world->now_ms + delay_ms,
                                                  .kind = kind,
                                                  .node = node,
                                                  .life = node == SIM_NOBODY ? 0 : world->nodes[node].life,
                                                  .stream = stream});
}

void net_set_peer(struct world *world, uint32_t node, uint32_t index)
{
    struct sim_peer *peer = &world->nodes[node].peers[index];
    struct core_member member;

    core_member_at(world->nodes[node].core, index, &member);
    if (peer->set)
        world_fail(world, node, "sets member %u while it is set", index);
    world->nodes[node].peers_set++;
    world->nodes[node].device_changes++; /* from now on it may be this place that packets to the other use */
    *peer = (struct sim_peer){.set = true,
                              .node = world_node_at(world, member.record.mesh_ip),
                              .idle_ms = world_clock(world, node)};
    if (peer->node != SIM_NOBODY)
        world->nodes[node].index_of[peer->node] = index;
}

/* In bad weather the gateway takes so many connections a second and no more. */
static bool net_is_crowded(struct world *world)
{
    const uint64_t second = world->now_ms / 1000;

    if (world->dials_second != second)
        world->dials = 0;
    world->dials_second = second;
    return ++world->dials > world->faults.dials_per_s && !world_quiet(world);
}

/* A dial's answer: the other end must run, know the dialer and be reachable. */
void net_dial(struct world *world, uint32_t node, uint32_t index)
{
    struct sim_peer *peer = &world->nodes[node].peers[index];

    if (!peer->set || !peer->dialing)
        return;
    uint32_t other = peer->node;
    if (other == SIM_NOBODY || !world->nodes[other].core || !net_reaches(world, node, other) ||
        world->nodes[other].frozen_ms > world->now_ms || !net_peer(world, other, node) ||
        net_is_crowded(world) || world_chance(world, world->faults.dial_fail_pct)) {
        peer->dialing = false;
        net_tell(world, node, peer, CORE_EVENT_DIAL_FAILED, true, "the gateway closed the connection");
        return;
    }
    uint32_t stream = net_new_stream(world, node, other);
    net_schedule(world, world_latency(world), HAPPEN_ATTACH, other, stream);
    net_schedule(world, world_latency(world), HAPPEN_ATTACH, node, stream);
}

static void net_refuse(struct world *world, uint32_t node, struct sim_peer *peer, uint32_t stream,
                       bool dialed)
{
    net_close(world, stream, false);
    if (!peer || !dialed || !peer->dialing)
        return;
    peer->dialing = false;
    net_tell(world, node, peer, CORE_EVENT_DIAL_FAILED, true, "the stream broke during its handshake");
}

void net_attach(struct world *world, const struct happening *happening)
{
    const struct sim_stream *stream = &world->streams[happening->stream - 1];
    uint32_t node = happening->node;
    bool dialed = stream->ends[0] == node;
    struct sim_peer *peer = net_peer(world, node, stream->ends[dialed ? 1 : 0]);

    if (!peer || !stream->open || (dialed && !peer->dialing)) {
        net_refuse(world, node, peer, happening->stream, dialed);
        return;
    }
    if (peer->stream != 0)
        net_schedule(world, NET_DRAIN_MS, HAPPEN_CLOSE, SIM_NOBODY, peer->stream);
    peer->stream = happening->stream;
    peer->dialed = dialed;
    if (dialed)
        peer->dialing = false;
    net_tell(world, node, peer, CORE_EVENT_STREAM_UP, dialed, NULL);
}

void net_close(struct world *world, uint32_t stream, bool noticed_late)
{
    struct sim_stream *s = &world->streams[stream - 1];

    if (!s->open)
        return;
    s->open = false;
    for (int end = 0; end < 2; end++) {
        uint64_t delay = noticed_late ? rng_between(&world->rng, 1000, NET_SILENCE_MS) : world_latency(world);
        net_schedule(world, delay, HAPPEN_DETACH, s->ends[end], stream);
    }
}

void net_detach(struct world *world, const struct happening *happening)
{
    const struct sim_stream *stream = &world->streams[happening->stream - 1];
    uint32_t node = happening->node;
    struct sim_peer *peer = net_peer(world, node, stream->ends[stream->ends[0] == node ? 1 : 0]);

    if (!peer || peer->stream != happening->stream)
        return;
    peer->stream = 0;
    peer->idle_ms = world_clock(world, node);
    net_tell(world, node, peer, CORE_EVENT_STREAM_DOWN, false, "the gateway closed the stream");
}

void net_forget_peer(struct world *world, uint32_t node, uint32_t index)
{
    struct sim_peer *peer = &world->nodes[node].peers[index];

    if (world->broken == BREAK_KEPT_PEER && world->nodes[node].core)
        return;
    if (peer->stream != 0)
        net_close(world, peer->stream, false);
    world->nodes[node].peers_set -= peer->set;
    if (peer->set && peer->node != SIM_NOBODY && world->nodes[node].index_of[peer->node] == index)
        world->nodes[node].index_of[peer->node] = CORE_NO_INDEX;
    *peer = (struct sim_peer){0};
}

static void net_break(struct world *world, uint32_t a, uint32_t b, bool noticed_late)
{
    for (uint32_t i = 0; i < world->streams_len; i++) {
        const struct sim_stream *stream = &world->streams[i];
        if (stream->open && ((stream->ends[0] == a && stream->ends[1] == b) ||
                             (stream->ends[0] == b && stream->ends[1] == a)))
            net_close(world, i + 1, noticed_late);
    }
}

void net_partition(struct world *world, uint32_t a, uint32_t b, uint64_t until_ms)
{
    *net_partition_of(world, a, b) = until_ms;
    net_break(world, a, b, true);
}

void net_gateway_down(struct world *world, uint64_t until_ms)
{
    world->gateway_down_ms = until_ms;
    for (uint32_t i = 0; i < world->streams_len; i++)
        net_close(world, i + 1, false);
}

bool net_carries(const struct world *world, uint32_t a, uint32_t b)
{
    const struct sim_peer *at_a = net_peer(world, a, b);
    const struct sim_peer *at_b = net_peer(world, b, a);

    return at_a && at_b && at_a->stream != 0 && at_b->stream != 0 && world->streams[at_a->stream - 1].open &&
           world->streams[at_b->stream - 1].open;
}
