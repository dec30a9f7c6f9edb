/* Sockets that listen. */
#ifndef AGENT_SOCKET_H
#define AGENT_SOCKET_H

#include <stdint.h>

/* The port that an IP socket is bound to; 0 when it is not. */
uint16_t socket_port(int fd);

#endif
