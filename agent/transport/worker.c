#include "agent/transport/worker.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/bridge.h"
#include "agent/transport/ingress.h"
#include "agent/transport/loopback.h"
#include "agent/transport/peer.h"
#include "agent/transport/turn.h"

#define QUEUES_SIZE_MAX ((size_t)64 * 1024 * 1024) /* memory of all queues together */
#define REFUSALS_REPORT_S 1

struct worker {
    struct event_base *base;
    struct event *command; /* the mailbox has something */
    struct event *refusals_due;
    const struct worker_team *team;
    unsigned number;
    struct mailbox *mailbox;
    struct peer_host host;
    struct ingress *ingress; /* of the first worker */
    pthread_t thread;
    bool running;
    struct peer *by_index[TRANSPORT_PEERS_MAX];
    uint64_t refusals;
    char refusal_reason[MAIL_REASON_SIZE];
};

static void worker_add_peer(struct worker *worker, struct peer *peer)
{
    peer->host = &worker->host;
    worker->by_index[peer->info.index] = peer;
}

static void worker_remove_peer(struct worker *worker, struct peer *peer)
{
    peer_hangup(peer, "the member is removed");
    mailbox_withdraw(worker->mailbox, &peer->mail);
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

/* Commands first: who was known when the stream was verified is known here then, unless removed meanwhile. */
static void worker_adopt_streams(struct worker *worker)
{
    struct stream *stream;
    while ((stream = mailbox_next_stream(worker->mailbox))) {
        worker_read_commands(worker);
        const struct transport_peer *remote = stream_remote(stream);
        struct peer *peer = worker->by_index[remote->index];
        if (peer && peer_is(peer, remote))
            peer_adopt_stream(peer, stream);
        else
            stream_close(stream, "the member is removed");
    }
}

static void on_command(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    struct worker *worker = user;
    mailbox_hear(fd);
    if (mailbox_is_stopped(worker->mailbox)) {
        event_base_loopbreak(worker->base);
        return;
    }
    worker_read_commands(worker);
    worker_adopt_streams(worker);
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

static bool on_identify(void *user, const struct bytes32 *member_id, struct transport_peer *out)
{
    const struct worker *worker = user;
    return directory_find(worker->team->directory, member_id, out);
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

static void on_admit(void *user, struct stream *stream)
{
    struct worker *worker = user;
    const unsigned number = loopback_worker_of_index(stream_remote(stream)->index, worker->team->size);
    if (mailbox_hand_over(&worker->team->mailboxes[number], stream))
        return;
    on_refuse(worker, "too many streams wait for their worker");
    stream_close(stream, "too many streams wait for their worker");
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

static bool worker_open_loop(struct worker *worker)
{
    worker->base = loop_new();
    if (!worker->base)
        return false;
    worker->command =
        event_new(worker->base, worker->mailbox->command_fd, EV_READ | EV_PERSIST, on_command, worker);
    worker->refusals_due = evtimer_new(worker->base, on_refusals_due, worker);
    worker->host.resolver = resolver_new(worker->base);
    return worker->command && !event_add(worker->command, NULL) && worker->refusals_due &&
           worker->host.resolver;
}

static bool worker_open_host(struct worker *worker)
{
    const struct transport_config *config = worker->team->config;
    struct peer_host *host = &worker->host;
    struct stream_host *streams = &host->streams;
    host->mailbox = worker->mailbox;
    host->gateway_port = config->gateway_port;
    host->ingress_port = config->ingress_port;
    host->dial_pacer.sharers = worker->team->size;
    if (config->gateway_domain)
        snprintf(host->gateway_domain, sizeof(host->gateway_domain), "%s", config->gateway_domain);
    streams->base = worker->base;
    streams->tls = worker->team->tls;
    streams->cluster = config->cluster;
    streams->member_id = config->member_id;
    streams->seed = config->seed;
    streams->queue_budget = QUEUES_SIZE_MAX / worker->team->size;
    TAILQ_INIT(&streams->unflushed);
    return !peer_host_init(host);
}

static bool worker_open(struct worker *worker, struct am_err *err)
{
    const struct transport_config *config = worker->team->config;
    struct peer_host *host = &worker->host;
    if (!worker_open_loop(worker) || !worker_open_host(worker)) {
        am_fail(err, -ENOMEM, "transport: out of memory");
        return false;
    }
    const struct bridge_place place = {config->loopback_port, config->wireguard_port, worker->number,
                                       worker->team->size};
    host->bridge = bridge_new(worker->base, &place, &bridge_events, worker, err);
    if (!host->bridge || worker->number)
        return host->bridge;
    worker->ingress = ingress_new(&host->streams, config->ingress_address, config->ingress_port,
                                  &ingress_events, worker, err);
    return worker->ingress;
}

static void *worker_run(void *user)
{
    struct worker *worker = user;
    turn_shorten();
    event_base_dispatch(worker->base);
    return NULL;
}

/* The thread inherits the mask: signals, SIGPIPE among them, are the control thread's. A refused system call
 * is the thread's own. */
int worker_start(struct worker *worker)
{
    char name[16];
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&worker->thread, NULL, worker_run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return -rc;
    snprintf(name, sizeof(name), "am-transport-%u", worker->number);
    pthread_setname_np(worker->thread, name);
    worker->running = true;
    return 0;
}

void worker_stop(struct worker *worker)
{
    if (!worker->running)
        return;
    mailbox_stop(worker->mailbox);
    pthread_join(worker->thread, NULL);
    worker->running = false;
}

struct worker *worker_new(const struct worker_team *team, unsigned number, struct am_err *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        am_fail(err, -ENOMEM, "transport: out of memory");
        return NULL;
    }
    worker->team = team;
    worker->number = number;
    worker->mailbox = &team->mailboxes[number];
    if (worker_open(worker, err))
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
    struct stream *stream;
    if (!worker)
        return;
    worker_read_commands(worker);
    while ((stream = mailbox_next_stream(worker->mailbox)))
        stream_close(stream, "this node stops");
    for (size_t i = 0; i < TRANSPORT_PEERS_MAX; i++) {
        if (worker->by_index[i])
            worker_remove_peer(worker, worker->by_index[i]);
    }
    ingress_free(worker->ingress);
    bridge_free(worker->host.bridge);
    worker_free_loop(worker);
    free(worker);
}
