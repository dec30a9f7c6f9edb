#include "agent/transport/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <search.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/bridge.h"
#include "agent/transport/ingress.h"
#include "agent/transport/peer.h"
#include "agent/transport/turn.h"

#define QUEUES_SIZE_MAX ((size_t)64 * 1024 * 1024) /* memory of all queues together */
#define REFUSALS_REPORT_S 1

struct worker {
    struct event_base *base;
    struct event *command; /* the mailbox has something */
    struct event *refusals_due;
    struct mailbox *mailbox;
    struct peer_host host;
    struct ingress *ingress;
    pthread_t thread;
    bool running;
    void *by_member_id; /* search tree of struct transport_peer */
    struct peer *by_index[TRANSPORT_PEERS_MAX];
    uint64_t refusals;
    char refusal_reason[MAIL_REASON_SIZE];
};

static int compare_member_ids(const void *a, const void *b)
{
    const struct transport_peer *left = a;
    const struct transport_peer *right = b;
    return memcmp(left->member_id.b, right->member_id.b, sizeof(left->member_id.b));
}

static const struct transport_peer *worker_find(const struct worker *worker, const struct bytes32 *member_id)
{
    const struct transport_peer key = {.member_id = *member_id};
    const struct transport_peer *const *found = tfind(&key, &worker->by_member_id, compare_member_ids);
    return found ? *found : NULL;
}

static void worker_add_peer(struct worker *worker, struct peer *peer)
{
    peer->host = &worker->host;
    worker->by_index[peer->info.index] = peer;
    /* A member id that is there already stays with the peer that has it: it connects, this one can be dialed.
     */
    (void)tsearch(&peer->info, &worker->by_member_id, compare_member_ids);
}

static void worker_remove_peer(struct worker *worker, struct peer *peer)
{
    peer_hangup(peer, "the member is removed");
    mailbox_withdraw(worker->mailbox, &peer->mail);
    if (worker_find(worker, &peer->info.member_id) == &peer->info)
        (void)tdelete(&peer->info, &worker->by_member_id, compare_member_ids);
    if (worker->by_index[peer->info.index] == peer)
        worker->by_index[peer->info.index] = NULL;
    peer_free(peer);
}

static void worker_obey(struct worker *worker, struct peer *peer, unsigned commands)
{
    if (commands & MAIL_ADD)
        worker_add_peer(worker, peer);
    if (commands & MAIL_REMOVE) {
        worker_remove_peer(worker, peer);
        return;
    }
    if (commands & MAIL_HANGUP)
        peer_hangup(peer, "this node hung up");
    if (commands & MAIL_DIAL)
        peer_dial(peer);
}

static void worker_read_commands(struct worker *worker)
{
    struct mail *mail;
    unsigned commands;
    while ((mail = mailbox_next_command(worker->mailbox, &commands)))
        worker_obey(worker, (struct peer *)(void *)((char *)mail - offsetof(struct peer, mail)), commands);
}

static void on_command(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    struct worker *worker = user;
    mailbox_hear(fd);
    if (mailbox_is_stopped(worker->mailbox))
        event_base_loopbreak(worker->base);
    else
        worker_read_commands(worker);
}

static void on_wireguard_datagram(void *user, uint32_t index, const uint8_t *data, size_t len,
                                  uint64_t waited_ms)
{
    struct worker *worker = user;
    if (index < TRANSPORT_PEERS_MAX && worker->by_index[index])
        peer_send(worker->by_index[index], data, len, waited_ms);
}

static void on_wireguard_batch_end(void *user, bool more)
{
    struct worker *worker = user;
    stream_host_flush(&worker->host.streams, more);
}

static void on_wireguard_handed(void *user, uint32_t index, uint64_t count, uint64_t bytes, int error)
{
    const struct worker *worker = user;
    if (worker->by_index[index])
        peer_count_handed(worker->by_index[index], count, bytes, error);
}

static const struct bridge_events bridge_events = {
    .datagram = on_wireguard_datagram, .batch_end = on_wireguard_batch_end, .handed = on_wireguard_handed};

static const struct transport_peer *on_identify(void *user, const struct bytes32 *member_id)
{
    return worker_find(user, member_id);
}

static void on_admit(void *user, struct stream *stream)
{
    struct worker *worker = user;
    peer_adopt_stream(worker->by_index[stream_remote(stream)->index], stream);
}

static void on_refuse(void *user, const char *reason)
{
    struct worker *worker = user;
    const struct timeval delay = {.tv_sec = REFUSALS_REPORT_S};
    worker->refusals++;
    snprintf(worker->refusal_reason, sizeof(worker->refusal_reason), "%s", reason);
    if (!evtimer_pending(worker->refusals_due, NULL))
        evtimer_add(worker->refusals_due, &delay);
}

static void on_refusals_due(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct worker *worker = user;
    mailbox_report_refusals(worker->mailbox, worker->refusals, worker->refusal_reason);
    worker->refusals = 0;
}

static const struct ingress_events ingress_events = {
    .identify = on_identify, .admit = on_admit, .refuse = on_refuse};

static struct event_base *loop_new(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        return NULL;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static int worker_open_loop(struct worker *worker, struct am_err *err)
{
    worker->base = loop_new();
    if (!worker->base)
        return am_fail(err, -ENOMEM, "transport: no event loop");
    worker->command =
        event_new(worker->base, worker->mailbox->command_fd, EV_READ | EV_PERSIST, on_command, worker);
    worker->refusals_due = evtimer_new(worker->base, on_refusals_due, worker);
    worker->host.resolver = resolver_new(worker->base);
    if (!worker->command || event_add(worker->command, NULL) || !worker->refusals_due ||
        !worker->host.resolver)
        return am_fail(err, -ENOMEM, "transport: out of memory");
    return 0;
}

static int worker_open(struct worker *worker, const struct transport_config *config, struct am_err *err)
{
    struct peer_host *host = &worker->host;
    struct stream_host *streams = &host->streams;
    int rc = worker_open_loop(worker, err);
    if (rc)
        return rc;
    host->mailbox = worker->mailbox;
    host->gateway_port = config->gateway_port;
    host->ingress_port = config->ingress_port;
    if (config->gateway_domain)
        snprintf(host->gateway_domain, sizeof(host->gateway_domain), "%s", config->gateway_domain);
    streams->base = worker->base;
    streams->cluster = config->cluster;
    streams->member_id = config->member_id;
    streams->seed = config->seed;
    streams->queue_budget = QUEUES_SIZE_MAX;
    TAILQ_INIT(&streams->unflushed);
    if (peer_host_init(host))
        return am_fail(err, -ENOMEM, "transport: out of memory");
    rc = tls_init(&streams->tls, err);
    if (rc)
        return rc;
    struct am_err cause = {0};
    host->bridge = bridge_new(worker->base, config->loopback_port, config->wireguard_port, &bridge_events,
                              worker, &cause);
    if (host->bridge)
        worker->ingress = ingress_new(streams, config->ingress_address, config->ingress_port, &ingress_events,
                                      worker, &cause);
    return worker->ingress ? 0 : am_fail(err, cause.code, "%s", cause.text);
}

static void *worker_run(void *user)
{
    struct worker *worker = user;
    turn_hasten();
    event_base_dispatch(worker->base);
    return NULL;
}

/* The thread inherits the mask: signals, SIGPIPE among them, are the control thread's. A refused system call is
 * the thread's own. */
static int worker_start(struct worker *worker, struct am_err *err)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&worker->thread, NULL, worker_run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return am_fail(err, -rc, "transport: thread: %s", strerror(rc));
    pthread_setname_np(worker->thread, "am-transport");
    worker->running = true;
    return 0;
}

struct worker *worker_new(const struct transport_config *config, struct mailbox *mailbox, struct am_err *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        am_fail(err, -ENOMEM, "transport: out of memory");
        return NULL;
    }
    worker->mailbox = mailbox;
    if (!worker_open(worker, config, err) && !worker_start(worker, err))
        return worker;
    worker_free(worker);
    return NULL;
}

static void worker_free_loop(struct worker *worker)
{
    peer_host_clear(&worker->host);
    if (worker->refusals_due)
        event_free(worker->refusals_due);
    if (worker->command)
        event_free(worker->command);
    if (worker->base) /* a cancelled dial is freed by a callback that the loop still owes */
        event_base_loop(worker->base, EVLOOP_NONBLOCK);
    resolver_free(worker->host.resolver);
    if (worker->base)
        event_base_free(worker->base);
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    if (worker->running) {
        mailbox_stop(worker->mailbox);
        pthread_join(worker->thread, NULL);
    }
    worker_read_commands(worker);
    for (size_t i = 0; i < TRANSPORT_PEERS_MAX; i++) {
        if (worker->by_index[i])
            worker_remove_peer(worker, worker->by_index[i]);
    }
    ingress_free(worker->ingress);
    bridge_free(worker->host.bridge);
    worker_free_loop(worker);
    tls_clear(&worker->host.streams.tls);
    free(worker);
}
