#include "test/bench/indexer/crowd.h"

#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/api/frame.h"

#define EVENTS_MAX 256
#define READ_SIZE (256u << 10)
#define PATIENCE_NS 60000000000u

struct subscriber {
    SSL *ssl;
    uint8_t *rest; /* of a message that is not complete */
    size_t rest_len;
};

struct crowd {
    crowd_take_fn take;
    SSL_CTX *tls;
    int epoll;
    size_t len, capacity;
    struct subscriber *subscribers;
    uint64_t messages;
    uint64_t *arrivals_ns;
};

uint64_t crowd_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct crowd *crowd_new(crowd_take_fn take, size_t capacity)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    if (!crowd)
        err(1, "crowd");
    *crowd = (struct crowd){.take = take, .tls = SSL_CTX_new(TLS_client_method()), .capacity = capacity};
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->subscribers = calloc(capacity, sizeof(*crowd->subscribers));
    crowd->arrivals_ns = calloc(capacity, sizeof(*crowd->arrivals_ns));
    if (!crowd->tls || crowd->epoll < 0 || !crowd->subscribers || !crowd->arrivals_ns)
        err(1, "crowd");
    SSL_CTX_set_mode(crowd->tls, SSL_MODE_RELEASE_BUFFERS);
    return crowd;
}

void crowd_free(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->len; i++) {
        close(SSL_get_fd(crowd->subscribers[i].ssl));
        SSL_free(crowd->subscribers[i].ssl);
        free(crowd->subscribers[i].rest);
    }
    SSL_CTX_free(crowd->tls);
    close(crowd->epoll);
    free(crowd->subscribers);
    free(crowd->arrivals_ns);
    free(crowd);
}

/* ---- Joining ---- */

static int connect_to(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        err(1, "port %u", port);
    return fd;
}

void crowd_write(SSL *ssl, const void *data, size_t len)
{
    if (SSL_write(ssl, data, (int)len) != (int)len)
        errx(1, "a connection is gone");
}

static SSL *handshake(const struct crowd *crowd, int fd)
{
    SSL *ssl = SSL_new(crowd->tls);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
        errx(1, "no TLS handshake");
    return ssl;
}

static void join(struct crowd *crowd, SSL *ssl)
{
    struct subscriber *subscriber = &crowd->subscribers[crowd->len++];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = subscriber};
    const int fd = SSL_get_fd(ssl);
    subscriber->ssl = ssl;
    if (crowd->len > crowd->capacity || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "subscriber");
}

SSL *crowd_join_hub(struct crowd *crowd, uint16_t port, const struct secret *seed, struct wire_hello *hello)
{
    uint8_t exporter[WIRE_EXPORTER_SIZE], frame[WIRE_HELLO_MAX];
    SSL *ssl = handshake(crowd, connect_to(port));
    if (SSL_export_keying_material(ssl, exporter, sizeof(exporter), WIRE_EXPORTER_LABEL,
                                   sizeof(WIRE_EXPORTER_LABEL) - 1, NULL, 0, 0) != 1)
        errx(1, "no exporter");
    crowd_write(ssl, frame, wire_build_hello(seed, hello, exporter, frame));
    join(crowd, ssl);
    return ssl;
}

SSL *crowd_join_nats(struct crowd *crowd, uint16_t port)
{
    static const char words[] = "CONNECT {\"verbose\":false}\r\nSUB e 1\r\n";
    const int fd = connect_to(port);
    for (char c = 0; c != '\n';) {
        if (read(fd, &c, 1) != 1)
            err(1, "nats-server");
    }
    SSL *ssl = handshake(crowd, fd);
    crowd_write(ssl, words, sizeof(words) - 1);
    join(crowd, ssl);
    return ssl;
}

/* ---- Reading ---- */

size_t crowd_take_hub(const uint8_t *data, size_t len, bool *counts)
{
    struct frame frame;
    struct wire_server_frame parsed;
    const int code = frame_parse(data, len, WIRE_FRAME_MAX, &frame);
    if (code == 0)
        return 0;
    if (code < 0 || wire_parse_server(frame.message, frame.message_len, &parsed, NULL) != 0)
        errx(1, "the hub sends nonsense");
    if (parsed.type == indexer_ServerFrame_refusal_tag)
        errx(1, "the hub refuses: %s", parsed.refusal.text);
    *counts = parsed.type == indexer_ServerFrame_push_tag;
    return frame.len;
}

size_t crowd_take_nats(const uint8_t *data, size_t len, bool *counts)
{
    char line[512];
    size_t payload_len = 0;
    const uint8_t *const end = memchr(data, '\n', len);
    if (!end)
        return 0;
    const size_t line_len = (size_t)(end + 1 - data);
    snprintf(line, sizeof(line), "%.*s", (int)line_len, (const char *)data);
    *counts = sscanf(line, "MSG e 1 %zu", &payload_len) == 1;
    const size_t message_len = line_len + (*counts ? payload_len + 2 : 0);
    return message_len <= len ? message_len : 0;
}

/* Counts the complete messages of `data`; returns how much that was. */
static size_t take_all(struct crowd *crowd, const uint8_t *data, size_t len)
{
    const uint64_t now_ns = crowd_now_ns();
    size_t at = 0;
    bool counts = false;
    for (size_t taken; at < len && (taken = crowd->take(data + at, len - at, &counts)) > 0; at += taken) {
        if (counts && crowd->messages < crowd->capacity)
            crowd->arrivals_ns[crowd->messages] = now_ns;
        crowd->messages += counts;
    }
    return at;
}

static void read_one(struct crowd *crowd, struct subscriber *subscriber)
{
    static uint8_t buffer[READ_SIZE];
    size_t len = subscriber->rest_len;
    int got = 0;
    memcpy(buffer, subscriber->rest ? subscriber->rest : buffer, len);
    while (len < sizeof(buffer) &&
           (got = SSL_read(subscriber->ssl, buffer + len, (int)(sizeof(buffer) - len))) > 0)
        len += (size_t)got;
    if (got <= 0 && SSL_get_error(subscriber->ssl, got) != SSL_ERROR_WANT_READ)
        errx(1, "a subscriber was closed");
    const size_t taken = take_all(crowd, buffer, len);
    free(subscriber->rest);
    subscriber->rest = NULL;
    subscriber->rest_len = len - taken;
    if (subscriber->rest_len == 0)
        return;
    subscriber->rest = malloc(subscriber->rest_len);
    if (!subscriber->rest)
        err(1, "crowd");
    memcpy(subscriber->rest, buffer + taken, subscriber->rest_len);
}

static void read_some(struct crowd *crowd, int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    const int count = epoll_wait(crowd->epoll, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < count; i++)
        read_one(crowd, events[i].data.ptr);
}

void crowd_read(struct crowd *crowd, int wait_ms)
{
    const uint64_t until_ns = crowd_now_ns() + (uint64_t)wait_ms * 1000000u;
    uint64_t now_ns = crowd_now_ns();
    do {
        read_some(crowd, (int)((until_ns - now_ns) / 1000000u));
        now_ns = crowd_now_ns();
    } while (now_ns < until_ns);
}

void crowd_await(struct crowd *crowd, uint64_t count)
{
    const uint64_t until_ns = crowd_now_ns() + PATIENCE_NS;
    while (crowd->messages < count) {
        if (crowd_now_ns() > until_ns)
            errx(1, "%llu of %llu messages came", (unsigned long long)crowd->messages,
                 (unsigned long long)count);
        read_some(crowd, 100);
    }
}

void crowd_reset(struct crowd *crowd)
{
    crowd->messages = 0;
}

const uint64_t *crowd_arrivals(const struct crowd *crowd)
{
    return crowd->arrivals_ns;
}
