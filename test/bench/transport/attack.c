/* Strangers at an ingress: CONNECTIONS of them in MS milliseconds, all kept open by this side. A third says
 * nothing, a third sends garbage, a third begins a ClientHello and stops.
 *
 *   bench_attack ADDRESS PORT CONNECTIONS MS
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BURST 10

static void sleep_us(long us)
{
    const struct timespec delay = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&delay, NULL);
}

static void stranger_start(const struct sockaddr_in *to, unsigned number)
{
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: mesh\r\n\r\n";
    static const uint8_t slow_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    struct pollfd ready = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                           .events = POLLOUT};
    if (ready.fd < 0)
        err(1, "stranger %u", number);
    if (connect(ready.fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
        err(1, "stranger %u", number);
    if (number % 3 == 0 || poll(&ready, 1, 10) != 1)
        return;
    if (number % 3 == 1)
        (void)send(ready.fd, garbage, sizeof(garbage) - 1, MSG_NOSIGNAL);
    else
        (void)send(ready.fd, slow_hello, sizeof(slow_hello), MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        errx(2, "usage: bench_attack ADDRESS PORT CONNECTIONS MS");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    const unsigned count = (unsigned)atoi(argv[3]);
    const long pause_us = atol(argv[4]) * 1000 / (long)(count / BURST + 1);
    for (unsigned i = 0; i < count; i++) {
        stranger_start(&to, i);
        if (i % BURST == BURST - 1)
            sleep_us(pause_us);
    }
    return 0;
}
