#include "agent/shell/mesh.h"

#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

#include "agent/core/view.h"
#include "agent/log.h"
#include "agent/peer/beacon.h"
#include "agent/peer/csk_pull.h"
#include "agent/peer/csk_server.h"
#include "agent/peer/heartbeat.h"
#include "crypto/box.h"

#define TARGETS_MAX 256 /* addresses per call of the beacon */

struct pull {
    struct mesh *mesh;
    struct csk_pull *handle; /* NULL: free, or failed to begin */
    bool busy;
    struct core_csk csk;
};

struct mesh {
    struct event_base *base;
    const struct core *core;
    const struct onchain *onchain;
    struct vault *vault;
    mesh_answer_fn answer;
    void *user;
    struct core_identity identity;
    uint32_t mesh_ip; /* that the sockets are bound to; 0: none */
    struct beacon *beacon;
    struct csk_server *server;
    struct pull pulls[CORE_PULLS_MAX];
    struct event *unstarted; /* answers pulls that could not even begin */
    struct mesh_counters counters;
};

/* ---- Heartbeats ---- */

static void refuse_heartbeat(struct mesh *mesh, const char *reason)
{
    mesh->counters.heartbeats_refused++;
    log_debug("heartbeat.refused", log_text("reason", reason));
}

static void on_datagram(void *user, uint32_t source_ip, const uint8_t *data, size_t len)
{
    struct mesh *mesh = user;
    const uint32_t index = core_find_peer(mesh->core, source_ip);
    struct core_member member;
    struct heartbeat heartbeat;
    struct am_err err = {.text = "out of memory"};
    if (index == CORE_NO_INDEX || !core_member_at(mesh->core, index, &member)) {
        refuse_heartbeat(mesh, "its source is no member's address");
        return;
    }
    if (heartbeat_parse(data, len, &heartbeat, &err) != 0 ||
        heartbeat_check(&heartbeat, data, len, &mesh->identity.cluster, &member.record.member_id,
                        &member.record.ed25519_pubkey, &err) != 0) {
        refuse_heartbeat(mesh, err.text);
        return;
    }
    mesh->counters.heartbeats_received++;
    mesh->answer(mesh->user, &(struct core_event){.type = CORE_EVENT_HEARTBEAT,
                                                  .heartbeat = {
                                                      .index = index,
                                                      .boot_nonce = heartbeat.boot_nonce,
                                                      .sequence = heartbeat.sequence,
                                                      .version = heartbeat.registry_version,
                                                      .view = heartbeat.view,
                                                      .view_len = heartbeat.view_len,
                                                      .csk_held = heartbeat.csk_held,
                                                      .csk_generation = heartbeat.csk_generation,
                                                  }});
}

static int build_heartbeat(const struct mesh *mesh, uint8_t out[HEARTBEAT_SIZE_MAX], size_t *len)
{
    struct core_heartbeat from;
    struct timespec now;
    core_heartbeat(mesh->core, &from);
    clock_gettime(CLOCK_REALTIME, &now);
    struct heartbeat heartbeat = {
        .member_id = mesh->identity.member_id,
        .boot_nonce = from.boot_nonce,
        .sequence = from.sequence,
        .unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        .registry_version = from.version,
        .csk_held = from.csk_held,
        .csk_generation = from.csk_generation,
        .view_len = from.view_len,
    };
    memcpy(heartbeat.view, from.view, from.view_len);
    return heartbeat_build(&heartbeat, &mesh->identity.cluster, onchain_seed(mesh->onchain), out, len);
}

static void send_to_all(struct mesh *mesh, const uint8_t *data, size_t len)
{
    uint32_t ips[TARGETS_MAX];
    struct core_desired_peer peer;
    size_t count = 0;
    for (uint32_t cursor = 0; core_next_desired_peer(mesh->core, &cursor, &peer);) {
        if (!peer.carried)
            continue;
        ips[count++] = peer.mesh_ip;
        if (count == TARGETS_MAX) {
            mesh->counters.heartbeats_sent += beacon_send(mesh->beacon, data, len, ips, count);
            count = 0;
        }
    }
    mesh->counters.heartbeats_sent += beacon_send(mesh->beacon, data, len, ips, count);
}

/* ---- Serving the key ---- */

static bool is_member(void *user, uint32_t source_ip)
{
    return core_find_peer(((struct mesh *)user)->core, source_ip) != CORE_NO_INDEX;
}

static bool seal_key(void *user, uint32_t source_ip, uint64_t generation, uint8_t out[CSK_SEALED_SIZE])
{
    struct mesh *mesh = user;
    const struct secret *key = vault_key(mesh->vault, generation);
    struct core_member member;
    if (!key || !core_member_at(mesh->core, core_find_peer(mesh->core, source_ip), &member) ||
        box_seal(&member.record.x_pubkey, key->b, sizeof(key->b), out) != 0)
        return false;
    mesh->counters.keys_served++;
    log_info("csk.served", log_uint("index", member.index), log_uint("generation", generation));
    return true;
}

/* ---- Sockets ---- */

static void close_sockets(struct mesh *mesh)
{
    beacon_free(mesh->beacon);
    csk_server_free(mesh->server);
    mesh->beacon = NULL;
    mesh->server = NULL;
    mesh->mesh_ip = 0;
}

static bool open_sockets(struct mesh *mesh, uint32_t mesh_ip)
{
    const struct csk_source source = {.is_member = is_member, .seal = seal_key, .user = mesh};
    struct am_err err;
    if (mesh->mesh_ip == mesh_ip)
        return true;
    close_sockets(mesh);
    mesh->beacon = beacon_new(mesh->base, mesh_ip, on_datagram, mesh, &err);
    mesh->server = mesh->beacon ? csk_server_new(mesh->base, mesh_ip, &source, &err) : NULL;
    if (mesh->server) {
        mesh->mesh_ip = mesh_ip;
        return true;
    }
    log_warn("mesh.not_listening", log_text("reason", err.text));
    close_sockets(mesh);
    return false;
}

void mesh_send_heartbeat(struct mesh *mesh)
{
    uint8_t data[HEARTBEAT_SIZE_MAX];
    size_t len;
    struct core_status status;
    core_status(mesh->core, &status);
    if (!open_sockets(mesh, status.mesh_ip))
        return;
    const int code = build_heartbeat(mesh, data, &len);
    if (code == 0)
        send_to_all(mesh, data, len);
    else
        log_warn("heartbeat.not_sent", log_text("reason", am_error_name(code)));
}

/* ---- Pulling the key ---- */

static void answer_pull_failed(struct pull *pull, const char *text)
{
    struct mesh *mesh = pull->mesh;
    pull->busy = false;
    mesh->counters.pulls_failed++;
    log_warn("csk.pull_failed", log_uint("index", pull->csk.index), log_text("reason", text));
    mesh->answer(
        mesh->user,
        &(struct core_event){.type = CORE_EVENT_CSK_FAILED,
                             .csk_failure = {.what = CORE_CSK_PULL, .index = pull->csk.index, .text = text}});
}

static const char *open_failure(struct mesh *mesh, int code)
{
    if (code == AM_EMISMATCH) {
        mesh->counters.keys_false++;
        return "what it gave is not the committed key";
    }
    return code == AM_EAUTH ? "what it gave is not sealed to this node" : am_error_name(code);
}

static void on_pulled(void *user, const struct csk_response *response, const char *error)
{
    struct pull *pull = user;
    struct mesh *mesh = pull->mesh;
    pull->handle = NULL;
    const int code = response ? vault_open(mesh->vault, onchain_seed(mesh->onchain), &pull->csk,
                                           response->sealed, sizeof(response->sealed))
                              : 0;
    if (!response || code != 0) {
        answer_pull_failed(pull, response ? open_failure(mesh, code) : error);
        return;
    }
    pull->busy = false;
    log_info("csk.pulled", log_uint("index", pull->csk.index), log_uint("generation", pull->csk.generation));
    mesh->answer(mesh->user, &(struct core_event){.type = CORE_EVENT_CSK_PULLED, .csk = pull->csk});
}

static void on_unstarted(evutil_socket_t fd, short what, void *user)
{
    struct mesh *mesh = user;
    (void)fd, (void)what;
    for (size_t i = 0; i < CORE_PULLS_MAX; i++)
        if (mesh->pulls[i].busy && !mesh->pulls[i].handle)
            answer_pull_failed(&mesh->pulls[i], "no connection can be begun");
}

/* A pull that the core has given up for (its member was removed) may still take its place here. */
static struct pull *free_pull(struct mesh *mesh)
{
    for (size_t i = 0; i < CORE_PULLS_MAX; i++)
        if (!mesh->pulls[i].busy)
            return &mesh->pulls[i];
    csk_pull_cancel(mesh->pulls[0].handle);
    return &mesh->pulls[0];
}

void mesh_pull(struct mesh *mesh, const struct core_csk *csk)
{
    struct pull *pull = free_pull(mesh);
    struct core_status status;
    struct core_member member;
    core_status(mesh->core, &status);
    *pull = (struct pull){.mesh = mesh, .busy = true, .csk = *csk};
    if (core_member_at(mesh->core, csk->index, &member))
        pull->handle = csk_pull_start(mesh->base, status.mesh_ip, member.record.mesh_ip, csk->generation,
                                      on_pulled, pull);
    if (!pull->handle)
        event_active(mesh->unstarted, EV_TIMEOUT, 0);
}

/* ---- Life ---- */

void mesh_counters(const struct mesh *mesh, struct mesh_counters *out)
{
    *out = mesh->counters;
}

void mesh_set_identity(struct mesh *mesh, const struct core_identity *identity)
{
    mesh->identity = *identity;
}

struct mesh *mesh_new(struct event_base *base, const struct core *core, const struct onchain *onchain,
                      struct vault *vault, mesh_answer_fn answer, void *user)
{
    struct mesh *mesh = calloc(1, sizeof(*mesh));
    if (!mesh)
        return NULL;
    mesh->base = base;
    mesh->core = core;
    mesh->onchain = onchain;
    mesh->vault = vault;
    mesh->answer = answer;
    mesh->user = user;
    mesh->unstarted = evtimer_new(base, on_unstarted, mesh);
    if (mesh->unstarted)
        return mesh;
    free(mesh);
    return NULL;
}

void mesh_free(struct mesh *mesh)
{
    if (!mesh)
        return;
    close_sockets(mesh);
    for (size_t i = 0; i < CORE_PULLS_MAX; i++)
        if (mesh->pulls[i].busy)
            csk_pull_cancel(mesh->pulls[i].handle);
    event_free(mesh->unstarted);
    free(mesh);
}
