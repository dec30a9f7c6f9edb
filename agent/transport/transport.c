#include "agent/transport/transport.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/directory.h"
#include "agent/transport/loopback.h"
#include "agent/transport/mailbox.h"
#include "agent/transport/peer.h"
#include "agent/transport/tls.h"
#include "agent/transport/worker.h"

/* What the transport has for each worker, beside its mailbox. */
struct post {
    struct transport *transport;
    struct event *report; /* the mailbox has something */
    struct worker *worker;
};

struct transport {
    struct transport_callbacks callbacks;
    void *user;
    struct tls tls;
    struct directory directory;
    struct worker_team team;
    struct mailbox mailboxes[TRANSPORT_WORKERS_MAX];
    struct post posts[TRANSPORT_WORKERS_MAX];

    /* The workers own and free the peers. A pointer is here until MAIL_REMOVE is posted, so it is always
     * good. */
    struct peer *peers[TRANSPORT_PEERS_MAX];
};

int transport_host_name(const struct address *member_contract, uint16_t port, const char *domain,
                        char out[TRANSPORT_HOST_SIZE])
{
    char hex[2 * sizeof(member_contract->b) + 1];
    hex_encode(member_contract->b, sizeof(member_contract->b), hex);
    const int len = snprintf(out, TRANSPORT_HOST_SIZE, "%s-%us.%s", hex, port, domain);
    return len < TRANSPORT_HOST_SIZE ? 0 : -EINVAL;
}

static bool transport_knows(const struct transport *transport, uint32_t index, const struct mail *mail)
{
    return transport->peers[index] && &transport->peers[index]->mail == mail;
}

/* Tells what `reports` of `copy` say; stops when a callback has removed the peer. What is so now comes last.
 */
static void transport_tell(struct transport *transport, uint32_t index, const struct mail *mail,
                           const struct mail *copy)
{
    const struct transport_callbacks *callbacks = &transport->callbacks;
    const enum transport_direction last =
        copy->state == MAIL_UP_DIALED ? TRANSPORT_DIALED : TRANSPORT_ACCEPTED;
    const enum transport_direction first = last == TRANSPORT_DIALED ? TRANSPORT_ACCEPTED : TRANSPORT_DIALED;
    const enum transport_direction order[] = {first, last};

    if (copy->reports & MAIL_DIAL_FAILED)
        callbacks->dial_failed(transport->user, index, copy->dial_reason);
    for (size_t i = 0; i < 2; i++) {
        const unsigned flag = order[i] == TRANSPORT_DIALED ? MAIL_UP_DIALED : MAIL_UP_ACCEPTED;
        if (copy->reports & flag && transport_knows(transport, index, mail))
            callbacks->stream_up(transport->user, index, order[i]);
    }
    if (copy->reports & MAIL_DOWN && copy->state == MAIL_DOWN && transport_knows(transport, index, mail))
        callbacks->stream_down(transport->user, index, copy->down_reason);
}

static void on_report(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    const struct post *post = user;
    struct transport *transport = post->transport;
    struct mailbox *mailbox = &transport->mailboxes[post - transport->posts];
    struct mail copy;
    const struct mail *mail;
    mailbox_hear(fd);
    while ((mail = mailbox_next_report(mailbox, &copy))) {
        if (transport_knows(transport, copy.index, mail))
            transport_tell(transport, copy.index, mail, &copy);
    }
    const struct mail_refusals refusals = mailbox_take_refusals(mailbox);
    if (refusals.count)
        transport->callbacks.ingress_refused(transport->user, refusals.count, refusals.reason);
}

static bool domain_is_plausible(const char *domain)
{
    char host[TRANSPORT_HOST_SIZE];
    const struct address longest = {{0}};
    if (!domain[0] || transport_host_name(&longest, UINT16_MAX, domain, host))
        return false;
    for (const char *at = domain; *at; at++) {
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '.')
            return false;
    }
    return true;
}

static int config_check(const struct transport_config *config, struct am_err *err)
{
    if (config->gateway_domain && !domain_is_plausible(config->gateway_domain))
        return am_fail(err, AM_ECONFIG, "gateway domain \"%s\" is not a domain name", config->gateway_domain);
    if (!config->gateway_port || !config->ingress_port || !config->wireguard_port || !config->loopback_port)
        return am_fail(err, AM_ECONFIG, "a port of the transport is 0");
    if (config->workers > TRANSPORT_WORKERS_MAX)
        return am_fail(err, AM_ECONFIG, "%u workers are too many: %u at most", config->workers,
                       TRANSPORT_WORKERS_MAX);
    return 0;
}

/* One for each CPU that this process may use. */
static unsigned default_workers(void)
{
    cpu_set_t cpus;
    const int count = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);
    return count < TRANSPORT_WORKERS_MAX ? (unsigned)count : TRANSPORT_WORKERS_MAX;
}

static bool post_open(struct post *post, struct transport *transport, struct event_base *base)
{
    struct mailbox *mailbox = &transport->mailboxes[post - transport->posts];
    if (mailbox_init(mailbox))
        return false;
    post->transport = transport;
    post->report = event_new(base, mailbox->report_fd, EV_READ | EV_PERSIST, on_report, post);
    return post->report && !event_add(post->report, NULL);
}

/* Threads start when everything is open: they know each other. False with `err` set. */
static bool transport_open(struct transport *transport, struct event_base *base, struct am_err *err)
{
    const unsigned count = transport->team.size;
    if (tls_init(&transport->tls, err))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!post_open(&transport->posts[i], transport, base)) {
            am_fail(err, -ENOMEM, "transport: no mailbox: %s", strerror(errno));
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (!(transport->posts[i].worker = worker_new(&transport->team, i, err)))
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        const int rc = worker_start(transport->posts[i].worker);
        if (rc) {
            am_fail(err, rc, "transport: thread: %s", strerror(-rc));
            return false;
        }
    }
    return true;
}

struct transport *transport_new(struct event_base *base, const struct transport_config *config,
                                const struct transport_callbacks *callbacks, void *user, struct am_err *err)
{
    if (config_check(config, err))
        return NULL;
    struct transport *transport = calloc(1, sizeof(*transport));
    if (!transport) {
        am_fail(err, -ENOMEM, "transport: out of memory");
        return NULL;
    }
    transport->callbacks = *callbacks;
    transport->user = user;
    transport->team = (struct worker_team){.config = config,
                                           .tls = &transport->tls,
                                           .directory = &transport->directory,
                                           .mailboxes = transport->mailboxes,
                                           .size = config->workers ? config->workers : default_workers()};
    directory_init(&transport->directory);
    const bool ok = transport_open(transport, base, err);
    transport->team.config = NULL;
    if (ok)
        return transport;
    transport_free(transport);
    return NULL;
}

static void post_close(struct post *post)
{
    if (!post->transport)
        return;
    if (post->report)
        event_free(post->report);
    mailbox_clear(&post->transport->mailboxes[post - post->transport->posts]);
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    for (unsigned i = 0; i < transport->team.size; i++) {
        if (transport->posts[i].worker)
            worker_stop(transport->posts[i].worker);
    }
    for (unsigned i = 0; i < transport->team.size; i++)
        worker_free(transport->posts[i].worker);
    for (unsigned i = 0; i < transport->team.size; i++)
        post_close(&transport->posts[i]);
    directory_clear(&transport->directory);
    tls_clear(&transport->tls);
    free(transport);
}

static struct peer *transport_peer_at(const struct transport *transport, uint32_t index)
{
    return index < TRANSPORT_PEERS_MAX ? transport->peers[index] : NULL;
}

static struct mailbox *transport_mailbox_of(struct transport *transport, uint32_t index)
{
    return &transport->mailboxes[loopback_worker_of_index(index, transport->team.size)];
}

int transport_set_peer(struct transport *transport, const struct transport_peer *info)
{
    if (info->index >= TRANSPORT_PEERS_MAX)
        return -EINVAL;
    struct peer *known = transport->peers[info->index];
    if (known && peer_is(known, info))
        return 0;
    struct peer *peer = peer_new(info);
    if (!peer)
        return -ENOMEM;
    transport_remove_peer(transport, info->index);
    transport->peers[info->index] = peer;
    mailbox_command(transport_mailbox_of(transport, info->index), &peer->mail, MAIL_ADD);
    const int rc = directory_add(&transport->directory, &peer->info);
    if (rc)
        transport_remove_peer(transport, info->index);
    return rc;
}

int transport_set_endpoint(struct transport *transport, uint32_t index, const char *host, uint16_t port)
{
    struct peer *peer = transport_peer_at(transport, index);
    struct peer_endpoint endpoint = {.port = port};
    if (!peer)
        return -ENOENT;
    if (host && strlen(host) >= sizeof(endpoint.host))
        return -EINVAL;
    if (host)
        memcpy(endpoint.host, host, strlen(host));
    return peer_offer_endpoint(peer, &endpoint);
}

void transport_remove_peer(struct transport *transport, uint32_t index)
{
    struct peer *peer = transport_peer_at(transport, index);
    if (!peer)
        return;
    transport->peers[index] = NULL;
    directory_remove(&transport->directory, &peer->info);
    mailbox_command(transport_mailbox_of(transport, index), &peer->mail, MAIL_REMOVE);
}

static int transport_command(struct transport *transport, uint32_t index, enum mail_command command)
{
    struct peer *peer = transport_peer_at(transport, index);
    if (!peer)
        return -ENOENT;
    mailbox_command(transport_mailbox_of(transport, index), &peer->mail, command);
    return 0;
}

int transport_dial(struct transport *transport, uint32_t index)
{
    return transport_command(transport, index, MAIL_DIAL);
}

int transport_hangup(struct transport *transport, uint32_t index)
{
    return transport_command(transport, index, MAIL_HANGUP);
}

int transport_read_counters(const struct transport *transport, uint32_t index, struct transport_counters *out)
{
    const struct peer *peer = transport_peer_at(transport, index);
    if (!peer)
        return -ENOENT;
    peer_read_counters(peer, out);
    return 0;
}
