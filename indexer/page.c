#include "indexer/page.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/frame.h"
#include "agent/core/address.h"
#include "evm/cluster_event.h"
#include "indexer/page_style.h"
#include "indexer/wire/event_kind.h"

#define CLUSTER_PATH "/cluster/"
#define CENTRE 200.0
#define RADIUS 165.0

struct member {
    uint64_t block;
    struct bytes32 id;
    struct address contract;
    struct cluster_keys keys;
    bool removed;
    bool subscribed;
};

struct roll {
    struct member *members;
    size_t len;
    size_t history;
    bool cut; /* there are more */
};

/* ---- Pieces ---- */

static void add(struct evbuffer *out, const char *text)
{
    evbuffer_add(out, text, strlen(text));
}

/* Text that is not ours. */
static void add_escaped(struct evbuffer *out, const char *text)
{
    char *const escaped = evhttp_htmlescape(text);
    if (escaped)
        add(out, escaped);
    free(escaped);
}

static void add_hash(struct evbuffer *out, const char *hex)
{
    evbuffer_add_printf(out, "<td><code title=\"%s\">%.10s…%s</code></td>", hex, hex, hex + strlen(hex) - 6);
}

static void add_bytes32(struct evbuffer *out, const struct bytes32 *value)
{
    char hex[BYTES32_HEX_SIZE];
    add_hash(out, bytes32_hex(value, hex));
}

static void begin(struct evbuffer *out, const struct page_source *source, const char *title)
{
    const struct ops_view *const view = &source->view;
    evbuffer_add_printf(out,
                        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\">"
                        "<meta http-equiv=\"refresh\" content=\"5\"><title>%s · AttestMesh</title>"
                        "<link rel=\"stylesheet\" href=\"/page.css\"></head><body>"
                        "<header><a href=\"/\">AttestMesh</a> <span class=\"%s\">%s</span><p>",
                        title, view->healthy ? "good" : "bad", view->phase);
    evbuffer_add_printf(out,
                        "block %" PRIu64 " of %" PRIu64 " · clusters %" PRIu64 " · events %" PRIu64
                        " · connected %" PRIu64,
                        view->watcher.tip.number, view->watcher.head, view->watcher.clusters,
                        view->stored_logs, view->hub.sessions);
    if (view->reason[0]) {
        add(out, " · ");
        add_escaped(out, view->reason);
    }
    add(out, "</p></header><main>");
}

static void end(struct evbuffer *out)
{
    add(out, "</main></body></html>\n");
}

/* ---- All clusters ---- */

struct listing {
    const struct page_source *source;
    struct evbuffer *out;
    size_t count;
};

static void add_cluster(void *user, const struct store_cluster *cluster)
{
    struct listing *listing = user;
    char hex[ADDRESS_HEX_SIZE];
    if (listing->count++ >= PAGE_CLUSTERS_MAX)
        return;
    address_hex(&cluster->address, hex);
    evbuffer_add_printf(listing->out,
                        "<tr><td><a href=\"" CLUSTER_PATH "%s\"><code>%s</code></a></td><td>%" PRIu64
                        "</td><td>%zu</td></tr>",
                        hex, hex, cluster->block, hub_count(listing->source->hub, &cluster->address));
}

static void write_clusters(const struct page_source *source, struct evbuffer *out)
{
    struct listing listing = {.source = source, .out = out};
    struct am_err err = {0};
    begin(out, source, "Clusters");
    add(out, "<h1>Clusters</h1><table><tr><th>address</th><th>since block</th><th>connected</th></tr>");
    if (source->store && store_each_cluster(source->store, add_cluster, &listing, &err) != 0)
        add_escaped(out, err.text);
    add(out, "</table>");
    if (listing.count > PAGE_CLUSTERS_MAX)
        evbuffer_add_printf(out, "<p>and %zu more</p>", listing.count - PAGE_CLUSTERS_MAX);
    end(out);
}

/* ---- Members ---- */

/* The event of a stored frame; false when it has another shape. */
static bool read_frame(const struct store_log *log, struct wire_event *pushed, struct cluster_event *event)
{
    struct frame frame;
    struct wire_server_frame parsed;
    return frame_parse(log->frame, log->frame_len, WIRE_FRAME_MAX, &frame) == 1 &&
           wire_parse_server(frame.message, frame.message_len, &parsed, NULL) == 0 &&
           parsed.type == indexer_ServerFrame_push_tag && wire_parse_push(&parsed.push, pushed, NULL) == 0 &&
           cluster_event_parse(pushed->log.topics, pushed->log.topics_len, pushed->log.data,
                               pushed->log.data_len, event, NULL) == 0;
}

static struct member *find(const struct roll *roll, const struct bytes32 *id)
{
    for (size_t i = 0; i < roll->len; i++) {
        if (bytes32_equal(&roll->members[i].id, id))
            return &roll->members[i];
    }
    return NULL;
}

static bool take_log(void *user, const struct store_log *log)
{
    struct roll *roll = user;
    struct wire_event pushed;
    struct cluster_event event;
    roll->cut = roll->history++ == PAGE_HISTORY_MAX;
    if (roll->cut || !read_frame(log, &pushed, &event))
        return !roll->cut;
    if (event.type == CLUSTER_EVENT_MEMBER_REGISTERED) {
        roll->cut = roll->len == PAGE_MEMBERS_MAX;
        if (!roll->cut)
            roll->members[roll->len++] = (struct member){.id = event.registered.member_id,
                                                         .contract = event.registered.member_contract,
                                                         .keys = event.registered.keys,
                                                         .block = log->at.block};
        return !roll->cut;
    }
    struct member *const member = find(roll, &log->subject);
    if (!member)
        return true;
    if (event.type == CLUSTER_EVENT_MEMBER_REMOVED)
        member->removed = true;
    else if (event.type == CLUSTER_EVENT_WG_KEY_PUBLISHED)
        member->keys.wg = event.key_published.key;
    else if (event.type == CLUSTER_EVENT_ED25519_KEY_PUBLISHED)
        member->keys.ed25519 = event.key_published.key;
    return true;
}

static void add_member(struct evbuffer *out, const struct address *cluster, const struct member *member,
                       size_t index)
{
    uint8_t ip[16];
    char ip_text[INET6_ADDRSTRLEN], hex[ADDRESS_HEX_SIZE];
    mesh_ipv6(cluster, &member->id, ip);
    inet_ntop(AF_INET6, ip, ip_text, sizeof(ip_text));
    evbuffer_add_printf(out, "<tr%s><td>%zu</td><td>%s</td>", member->removed ? " class=\"gone\"" : "", index,
                        member->removed      ? "removed"
                        : member->subscribed ? "connected"
                                             : "away");
    add_bytes32(out, &member->id);
    add_hash(out, address_hex(&member->contract, hex));
    evbuffer_add_printf(out, "<td><code>%s</code></td>", ip_text);
    add_bytes32(out, &member->keys.wg);
    add_bytes32(out, &member->keys.ed25519);
    evbuffer_add_printf(out, "<td>%" PRIu64 "</td></tr>", member->block);
}

static void add_members(struct evbuffer *out, const struct address *cluster, const struct roll *roll)
{
    add(out, "<h2>Members</h2><table><tr><th>index</th><th>indexer</th><th>member id</th><th>contract</th>"
             "<th>mesh address</th><th>WireGuard key</th><th>Ed25519 key</th><th>since block</th></tr>");
    for (size_t i = 0; i < roll->len; i++)
        add_member(out, cluster, &roll->members[i], i);
    evbuffer_add_printf(out, "</table>%s", roll->cut ? "<p>and more</p>" : "");
}

/* ---- The mesh: every member has a tunnel to every other ---- */

struct point {
    double x, y;
};

static struct point place(size_t index, size_t count)
{
    const double angle = 2 * M_PI * (double)index / (double)count - M_PI / 2;
    return (struct point){CENTRE + RADIUS * cos(angle), CENTRE + RADIUS * sin(angle)};
}

static size_t drawn_members(const struct roll *roll, size_t drawn[PAGE_DRAWN_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < roll->len && count < PAGE_DRAWN_MAX; i++) {
        if (!roll->members[i].removed)
            drawn[count++] = i;
    }
    return count;
}

static void add_picture(struct evbuffer *out, const struct roll *roll)
{
    size_t drawn[PAGE_DRAWN_MAX];
    const size_t count = drawn_members(roll, drawn);
    add(out, "<h2>Mesh</h2><svg viewBox=\"0 0 400 400\" role=\"img\" aria-label=\"the members and their "
             "tunnels\">");
    for (size_t i = 0; i < count; i++) {
        const struct point from = place(i, count);
        for (size_t j = i + 1; j < count; j++) {
            const struct point to = place(j, count);
            const bool both = roll->members[drawn[i]].subscribed && roll->members[drawn[j]].subscribed;
            evbuffer_add_printf(out, "<line x1=\"%.0f\" y1=\"%.0f\" x2=\"%.0f\" y2=\"%.0f\"%s/>", from.x,
                                from.y, to.x, to.y, both ? "" : " class=\"away\"");
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct point at = place(i, count);
        evbuffer_add_printf(out,
                            "<g%s><circle cx=\"%.0f\" cy=\"%.0f\" r=\"13\"/><text x=\"%.0f\" y=\"%.0f\">%zu"
                            "</text></g>",
                            roll->members[drawn[i]].subscribed ? "" : " class=\"away\"", at.x, at.y, at.x,
                            at.y + 4, drawn[i]);
    }
    add(out,
        "</svg><p>Green: connected to this indexer. It sees who is to have a tunnel, not the tunnels.</p>");
}

/* ---- Events ---- */

struct timeline {
    struct evbuffer *out;
    size_t count;
};

static bool add_event(void *user, const struct store_log *log)
{
    struct timeline *timeline = user;
    char hex[BYTES32_HEX_SIZE];
    if (timeline->count++ == PAGE_EVENTS_MAX)
        return false;
    bytes32_hex(&log->subject, hex);
    evbuffer_add_printf(timeline->out, "<li><time>block %" PRIu64 ", log %" PRIu32 "</time> <b>%s</b>",
                        log->at.block, log->at.log_index, event_kind_name(log->kind));
    if (!bytes32_is_zero(&log->subject))
        evbuffer_add_printf(timeline->out, " <code title=\"%s\">%.10s…</code>", hex, hex);
    add(timeline->out, "</li>");
    return true;
}

static void mark_subscribed(const struct page_source *source, const struct address *cluster,
                            const struct roll *roll)
{
    for (size_t i = 0; i < roll->len; i++)
        roll->members[i].subscribed = hub_serves(source->hub, cluster, &roll->members[i].id);
}

static void write_cluster(const struct page_source *source, const struct address *cluster,
                          struct evbuffer *out)
{
    static struct member members[PAGE_MEMBERS_MAX];
    struct roll roll = {.members = members};
    struct timeline timeline = {.out = out};
    struct am_err err = {0};
    char hex[ADDRESS_HEX_SIZE];
    begin(out, source, "Cluster");
    evbuffer_add_printf(out, "<h1>Cluster <code>%s</code></h1>", address_hex(cluster, hex));
    if (store_each_membership(source->store, cluster, take_log, &roll, &err) != 0)
        add_escaped(out, err.text);
    mark_subscribed(source, cluster, &roll);
    add(out, "<div class=\"pair\"><section>");
    add_picture(out, &roll);
    add(out, "</section><section><h2>Latest events</h2><ol>");
    if (store_each_recent_log(source->store, cluster, add_event, &timeline, &err) != 0)
        add_escaped(out, err.text);
    add(out, "</ol></section></div>");
    add_members(out, cluster, &roll);
    end(out);
}

/* ---- All ---- */

enum page_result page_write(const struct page_source *source, const char *path, struct evbuffer *out)
{
    struct address cluster;
    if (strcmp(path, "/page.css") == 0) {
        add(out, page_style);
        return PAGE_STYLE;
    }
    if (strcmp(path, "/") == 0) {
        write_clusters(source, out);
        return PAGE_HTML;
    }
    if (!source->store || strncmp(path, CLUSTER_PATH, sizeof(CLUSTER_PATH) - 1) != 0 ||
        !hex_decode_exact(path + sizeof(CLUSTER_PATH) - 1, cluster.b, sizeof(cluster.b)))
        return PAGE_UNKNOWN;
    write_cluster(source, &cluster, out);
    return PAGE_HTML;
}
