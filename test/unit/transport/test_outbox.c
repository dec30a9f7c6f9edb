/* What the outbox sends, seen by a plain socket: every datagram by itself, in order. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "agent/transport/loopback.h"
#include "agent/transport/outbox.h"

static struct outbox outbox;
static size_t told;
static size_t failed;

static void on_sent(void *user, const struct outbox_run *run, int error)
{
    (void)user;
    told += run->count;
    if (error)
        failed += run->count;
}

static int udp_socket(struct sockaddr_in *bound)
{
    socklen_t size = sizeof(*bound);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *bound = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(bind(fd, (const struct sockaddr *)bound, sizeof(*bound)), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)bound, &size), 0);
    return fd;
}

static int sender_socket(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&any, sizeof(any)), 0);
    return fd;
}

static void expect(int fd, uint32_t index, uint8_t mark, size_t len)
{
    uint8_t data[2000];
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    cr_assert_eq(recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size), (ssize_t)len);
    cr_assert_eq(data[0], mark);
    cr_assert_eq(ntohl(from.sin_addr.s_addr), loopback_address_of_index(index));
}

Test(outbox, datagrams_arrive_one_by_one_in_order)
{
    static const struct {
        uint32_t index;
        size_t len;
    } sent[] = {{1, 1452}, {1, 1452}, {1, 700}, {1, 1452}, {2, 1452}, {2, 1500}, {1, 32}, {1, 32}, {1, 32}};
    const size_t count = sizeof(sent) / sizeof(sent[0]);
    struct sockaddr_in to;
    const int receiver = udp_socket(&to);
    const int sender = sender_socket();
    for (size_t i = 0; i < count; i++) {
        const uint8_t data[2000] = {(uint8_t)i};
        cr_assert(outbox_put(&outbox, sent[i].index, data, sent[i].len));
    }
    cr_assert_eq(outbox.run_count, 5);
    outbox_send(&outbox, sender, if_nametoindex("lo"), &to, on_sent, NULL);
    cr_assert_eq(told, count);
    cr_assert_eq(failed, 0);
    for (size_t i = 0; i < count; i++)
        expect(receiver, sent[i].index, (uint8_t)i, sent[i].len);
    close(sender);
    close(receiver);
}

Test(outbox, takes_what_fits_and_the_longest_datagram_when_empty)
{
    static const uint8_t data[65507];
    size_t bytes = 0;
    while (outbox_put(&outbox, 1, data, sizeof(data)))
        bytes += sizeof(data);
    cr_assert_leq(bytes, OUTBOX_SIZE);
    cr_assert_gt(bytes, OUTBOX_SIZE - sizeof(data));
    memset(&outbox, 0, sizeof(outbox));
    size_t count = 0;
    while (outbox_put(&outbox, (uint32_t)count, data, 32))
        count++;
    cr_assert_eq(count, OUTBOX_RUNS);
}

Test(outbox, run_ends_at_the_kernels_limits)
{
    static const uint8_t data[1452];
    for (unsigned i = 0; i < OUTBOX_SEGMENTS_MAX + 1; i++)
        cr_assert(outbox_put(&outbox, 1, data, 32));
    cr_assert_eq(outbox.run_count, 2);
    for (unsigned i = 0; i < OUTBOX_SEGMENTS_MAX; i++)
        cr_assert(outbox_put(&outbox, 2, data, sizeof(data)));
    cr_assert_leq(outbox.runs[2].len, OUTBOX_RUN_SIZE_MAX);
    cr_assert_eq(outbox.run_count, 4);
}

Test(outbox, failure_is_told_for_each_run)
{
    const uint8_t data[64] = {4};
    const struct sockaddr_in nowhere = {.sin_family = AF_INET};
    for (uint32_t i = 0; i < 5; i++)
        cr_assert(outbox_put(&outbox, i, data, sizeof(data)));
    outbox_send(&outbox, -1, 1, &nowhere, on_sent, NULL);
    cr_assert_eq(failed, 5);
    cr_assert_eq(outbox.run_count, 0);
}
