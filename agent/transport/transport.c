#include "agent/transport/transport.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transport/mailbox.h"
#include "agent/transport/peer.h"
#include "agent/transport/worker.h"

struct transport {
    struct transport_callbacks callbacks;
    void *user;
    struct mailbox mailbox;
    struct event *report; /* the mailbox has something */
    struct worker *worker;

    /* The worker owns and frees the peers. A pointer is here until MAIL_REMOVE is posted, so it is always
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
    struct transport *transport = user;
    struct mail copy;
    const struct mail *mail;
    mailbox_hear(fd);
    while ((mail = mailbox_next_report(&transport->mailbox, &copy))) {
        if (transport_knows(transport, copy.index, mail))
            transport_tell(transport, copy.index, mail, &copy);
    }
    const struct mail_refusals refusals = mailbox_take_refusals(&transport->mailbox);
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
    return 0;
}

struct transport *transport_new(struct event_base *base, const struct transport_config *config,
                                const struct transport_callbacks *callbacks, void *user, struct am_err *err)
{
    if (config_check(config, err))
        return NULL;
    struct transport *transport = calloc(1, sizeof(*transport));
    int rc = transport ? mailbox_init(&transport->mailbox) : -ENOMEM;
    if (rc) {
        am_fail(err, rc, "transport: %s", strerror(-rc));
        free(transport);
        return NULL;
    }
    transport->callbacks = *callbacks;
    transport->user = user;
    transport->report =
        event_new(base, transport->mailbox.report_fd, EV_READ | EV_PERSIST, on_report, transport);
    if (!transport->report || event_add(transport->report, NULL))
        am_fail(err, -ENOMEM, "transport: out of memory");
    else
        transport->worker = worker_new(config, &transport->mailbox, err);
    if (transport->worker)
        return transport;
    transport_free(transport);
    return NULL;
}

void transport_free(struct transport *transport)
{
    if (!transport)
        return;
    worker_free(transport->worker);
    if (transport->report)
        event_free(transport->report);
    mailbox_clear(&transport->mailbox);
    free(transport);
}

static struct peer *transport_peer_at(const struct transport *transport, uint32_t index)
{
    return index < TRANSPORT_PEERS_MAX ? transport->peers[index] : NULL;
}

static bool peers_equal(const struct transport_peer *a, const struct transport_peer *b)
{
    return bytes32_equal(&a->member_id, &b->member_id) &&
           address_equal(&a->member_contract, &b->member_contract) &&
           bytes32_equal(&a->ed25519_pubkey, &b->ed25519_pubkey);
}

int transport_set_peer(struct transport *transport, const struct transport_peer *info)
{
    if (info->index >= TRANSPORT_PEERS_MAX)
        return -EINVAL;
    struct peer *known = transport->peers[info->index];
    if (known && peers_equal(&known->info, info))
        return 0;
    struct peer *peer = peer_new(info);
    if (!peer)
        return -ENOMEM;
    transport_remove_peer(transport, info->index);
    transport->peers[info->index] = peer;
    mailbox_command(&transport->mailbox, &peer->mail, MAIL_ADD);
    return 0;
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
    mailbox_command(&transport->mailbox, &peer->mail, MAIL_REMOVE);
}

static int transport_command(struct transport *transport, uint32_t index, enum mail_command command)
{
    struct peer *peer = transport_peer_at(transport, index);
    if (!peer)
        return -ENOENT;
    mailbox_command(&transport->mailbox, &peer->mail, command);
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
