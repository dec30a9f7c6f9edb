#include "agent/shell/metrics.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/server.h"
#include "agent/confine.h"
#include "agent/indexer/subscription.h"
#include "agent/shell/endpoints.h"
#include "agent/shell/history.h"
#include "agent/shell/mesh.h"
#include "agent/shell/messaging.h"
#include "agent/shell/rpc_view.h"
#include "agent/transport/transport.h"

#define GAUGE(name, help, value) http_metrics_add(metrics, HTTP_METRIC_GAUGE, "attestmesh_" name, help, value)
#define COUNTER(name, help, value)                                                                           \
    http_metrics_add(metrics, HTTP_METRIC_COUNTER, "attestmesh_" name, help, value)

static void add_core(struct http_metrics *metrics, const struct core_status *status)
{
    GAUGE("healthy", "1 when the node is healthy.", status->phase == CORE_PHASE_HEALTHY);
    GAUGE("members", "Members that are not removed.", status->live_members);
    GAUGE("refused_members",
          "Members that get no device peer because their record clashes with an older one.",
          status->refused_members);
    GAUGE("up_peers", "Peers whose tunnel works.", status->up_peers);
    GAUGE("streams", "Peers with a working stream.", status->streams);
    GAUGE("heard_members", "Members with a recent heartbeat, this node included.", status->heard_members);
    GAUGE("converged", "1 while all members that are heard hear each other.", status->converged);
    GAUGE("csk_held", "1 when the cluster shared key is held.", status->csk_acquired);
    GAUGE("csk_generation", "Generation of the cluster shared key on chain.", status->csk_chain_generation);
    GAUGE("wg_generation", "Of the WireGuard key in use.", status->wg_generation);
    GAUGE("rotation_failed", "1 when the last rotation of the WireGuard key failed.",
          status->rotation == CORE_ROTATION_FAILED);
    GAUGE("registry_block", "Block at which the registry was read last.", status->block);
    COUNTER("registry_whole_reads_total", "Reads of all pages of the registry instead of its events.",
            status->whole_reads);
    COUNTER("registry_rollbacks_total", "Reorganisations that undid changes of the registry.",
            status->rollbacks);
    GAUGE("chain_failing", "1 while the last read of the chain failed.", status->chain_error[0] != '\0');
    GAUGE("inbox_failing", "1 while the inbox can not be read, or what is read is not what the chain says.",
          status->inbox_error[0] != '\0');
    GAUGE("device_failed_edits", "Edits that failed in the last pass over the WireGuard device.",
          status->failed_edits);
}

static void add_shell(struct http_metrics *metrics, const struct views *views)
{
    COUNTER("device_drifts_total", "Times that somebody else had changed the WireGuard device.",
            views->device_drifts);
    COUNTER("ingress_refused_total", "Connections to the ingress that became no stream.",
            views->ingress_refused);
    COUNTER("refused_calls_total", "System calls that the agent may not make.", confine_refused_calls());
}

static void add_operations(struct http_metrics *metrics, const struct history *history)
{
    static const char *const outcomes[HISTORY_OUTCOMES] = {
        [HISTORY_INCLUDED] = "included",
        [HISTORY_REVERTED] = "reverted",
        [HISTORY_DENIED] = "denied",
        [HISTORY_FAILED] = "failed",
    };
    static const char name[] = "attestmesh_operations_total";
    http_metrics_begin(metrics, HTTP_METRIC_COUNTER, name, "Attempts at UserOperations, by how they ended.");
    for (size_t i = 0; i < HISTORY_OUTCOMES; i++) {
        if (outcomes[i])
            http_metrics_sample(metrics, name, HTTP_LABELS({"outcome", outcomes[i]}), history->ended[i]);
    }
}

static void add_api(struct http_metrics *metrics, const struct api_server *api)
{
    struct api_server_counters counters;
    api_server_counters(api, &counters);
    GAUGE("api_clients", "Applications connected to the socket.", counters.clients);
    COUNTER("api_refused_total", "Connections to the socket that were not allowed, or too many.",
            counters.refused);
    COUNTER("api_malformed_total", "Connections to the socket ended because of what they sent.",
            counters.malformed);
    COUNTER("api_events_lost_total", "Events that subscribers read too slowly to get.", counters.events_lost);
}

static void add_indexer(struct http_metrics *metrics, const struct subscription *subscription)
{
    struct subscription_status status;
    subscription_status(subscription, &status);
    GAUGE("indexer_caught_up", "1 while the indexer tells of every event.",
          status.state == SUBSCRIPTION_CAUGHT_UP);
    GAUGE("indexer_checkpoint_block", "Block up to which the indexer has told everything.",
          status.checkpoint_block);
    COUNTER("indexer_pushes_total", "Events that the indexer pushed.", status.pushes);
    COUNTER("indexer_confirmed_total", "Pushes that this node's own RPC confirmed.", status.checked);
    COUNTER("indexer_unconfirmed_total", "Pushes that its own RPC could not be asked about.",
            status.unchecked);
    COUNTER("indexer_alarms_total", "Lies of the indexer.", status.alarms);
}

static void add_mesh(struct http_metrics *metrics, const struct mesh *mesh)
{
    struct mesh_counters counters;
    mesh_counters(mesh, &counters);
    COUNTER("heartbeats_sent_total", "Heartbeats handed to the kernel.", counters.heartbeats_sent);
    COUNTER("heartbeats_received_total", "Valid heartbeats of members.", counters.heartbeats_received);
    COUNTER("heartbeats_refused_total", "Heartbeats of strangers, malformed or wrongly signed.",
            counters.heartbeats_refused);
    COUNTER("csk_served_total", "Answers that gave a member the cluster shared key.", counters.keys_served);
    COUNTER("csk_pulls_failed_total", "Peers that did not give the cluster shared key.",
            counters.pulls_failed);
    COUNTER("csk_false_total", "Peers that gave a key other than the committed one.", counters.keys_false);
}

static void add_messages(struct http_metrics *metrics, const struct messaging *messaging)
{
    struct courier_counters counters;
    courier_counters(messaging_courier(messaging), &counters);
    GAUGE("messages_waiting", "Messages of the application that wait to be sent.", counters.waiting);
    COUNTER("messages_sent_total", "Messages of the application that the chain included.", counters.sent);
    COUNTER("messages_given_up_total", "Messages of the application that could not be sent.",
            counters.given_up);
    COUNTER("messages_refused_total", "Messages of the application that found the queue full.",
            counters.refused);
    COUNTER("messages_unreadable_total", "Envelopes to this node that could not be opened or made no sense.",
            messaging_unreadable(messaging));
}

static void add_endpoints(struct http_metrics *metrics, const struct endpoints *endpoints)
{
    struct endpoints_counters counters;
    endpoints_counters(endpoints, &counters);
    COUNTER("endpoints_sent_total", "Envelopes that told a member this node's endpoint.", counters.sent);
    COUNTER("endpoints_failed_total", "Attempts to send such an envelope that failed.", counters.failed);
    COUNTER("endpoints_received_total", "Endpoints of members taken from the inbox.", counters.received);
}

/* ---- Of each peer, by its mesh address ---- */

struct traffic {
    char peer[sizeof(((api_Peer *)0)->mesh_ipv4)];
    struct transport_counters counters;
};

static size_t read_traffic(const struct views *views, uint32_t members, struct traffic *out)
{
    size_t len = 0;
    for (uint32_t i = 0; i < members; i++) {
        struct core_member member;
        if (transport_read_counters(views->transport, i, &out[len].counters) != 0 ||
            !core_member_at(views->core, i, &member))
            continue;
        api_write_ipv4(member.record.mesh_ip, out[len++].peer);
    }
    return len;
}

#define DROPPED "attestmesh_transport_dropped_datagrams_total"

/* Consecutive lines of one name are one metric, told apart by the cause. */
static const struct {
    const char *name, *help, *cause;
    size_t offset;
} traffic_counters[] = {
    {"attestmesh_transport_sent_datagrams_total", "Datagrams handed to the peer's stream.", NULL,
     offsetof(struct transport_counters, sent)},
    {"attestmesh_transport_sent_bytes_total", "Payload handed to the peer's stream.", NULL,
     offsetof(struct transport_counters, sent_bytes)},
    {"attestmesh_transport_received_datagrams_total", "The peer's datagrams handed to WireGuard.", NULL,
     offsetof(struct transport_counters, received)},
    {"attestmesh_transport_received_bytes_total", "The peer's payload handed to WireGuard.", NULL,
     offsetof(struct transport_counters, received_bytes)},
    {"attestmesh_transport_streams_total", "Streams with the peer that came up.", NULL,
     offsetof(struct transport_counters, streams)},
    {DROPPED, "Datagrams dropped, by cause.", "late", offsetof(struct transport_counters, dropped_late)},
    {DROPPED, "", "full", offsetof(struct transport_counters, dropped_full)},
    {DROPPED, "", "down", offsetof(struct transport_counters, dropped_down)},
    {DROPPED, "", "malformed", offsetof(struct transport_counters, dropped_malformed)},
};

static void add_rtt(struct http_metrics *metrics, const struct traffic *traffic, size_t len)
{
    static const char name[] = "attestmesh_transport_rtt_microseconds";
    http_metrics_begin(metrics, HTTP_METRIC_GAUGE, name,
                       "Of the peer's stream to the gateway, in its last second of traffic.");
    for (size_t i = 0; i < len; i++) {
        if (traffic[i].counters.rtt_us > 0)
            http_metrics_sample(metrics, name, HTTP_LABELS({"peer", traffic[i].peer}),
                                traffic[i].counters.rtt_us);
    }
}

static void add_traffic(struct http_metrics *metrics, const struct traffic *traffic, size_t len)
{
    const char *previous = "";
    for (size_t k = 0; k < sizeof(traffic_counters) / sizeof(traffic_counters[0]); k++) {
        const char *const name = traffic_counters[k].name, *const cause = traffic_counters[k].cause;
        if (strcmp(name, previous) != 0)
            http_metrics_begin(metrics, HTTP_METRIC_COUNTER, name, traffic_counters[k].help);
        previous = name;
        for (size_t i = 0; i < len; i++) {
            const char *const counters = (const char *)&traffic[i].counters;
            const struct http_label labels[] = {{"peer", traffic[i].peer}, {"cause", cause}};
            http_metrics_sample(metrics, name, labels, cause ? 2 : 1,
                                *(const uint64_t *)(counters + traffic_counters[k].offset));
        }
    }
    add_rtt(metrics, traffic, len);
}

static void add_transport(struct http_metrics *metrics, const struct views *views, uint32_t members)
{
    struct traffic *traffic = members ? reallocarray(NULL, members, sizeof(*traffic)) : NULL;
    if (traffic)
        add_traffic(metrics, traffic, read_traffic(views, members, traffic));
    free(traffic);
}

void metrics_add(const struct views *views, struct http_metrics *metrics)
{
    struct core_status status;
    core_status(views->core, &status);
    add_core(metrics, &status);
    add_shell(metrics, views);
    if (views->history)
        add_operations(metrics, views->history);
    if (views->api)
        add_api(metrics, views->api);
    if (views->rpc)
        rpc_view_add_metrics(views->rpc, metrics);
    if (views->subscription)
        add_indexer(metrics, views->subscription);
    if (views->mesh)
        add_mesh(metrics, views->mesh);
    if (views->messaging)
        add_messages(metrics, views->messaging);
    if (views->endpoints)
        add_endpoints(metrics, views->endpoints);
    if (views->transport)
        add_transport(metrics, views, status.members);
}
