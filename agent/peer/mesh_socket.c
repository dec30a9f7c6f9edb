#include "agent/peer/mesh_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct sockaddr_in mesh_socket_address(uint32_t ip, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(ip)}};
}

int mesh_socket_bind(int type, uint32_t ip, uint16_t port, struct am_err *err)
{
    static const int on = 1;
    const struct sockaddr_in address = mesh_socket_address(ip, port);
    char text[INET_ADDRSTRLEN];
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    if (fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    const int code = -errno;
    if (fd >= 0)
        close(fd);
    return am_fail(err, code, "mesh address %s, port %u: %s", text, port, strerror(-code));
}
