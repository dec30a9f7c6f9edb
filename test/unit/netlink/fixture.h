/* Devices that the tests of this folder share. */
#ifndef TEST_UNIT_NETLINK_FIXTURE_H
#define TEST_UNIT_NETLINK_FIXTURE_H

#include "netlink/device.h"

/* Peer `index`: keys ascend with the index; endpoint 127.64.0.1 and up, two allowed IPs, keepalive 25. */
struct wg_peer fixture_peer(uint32_t index);

/* A device of `peers_len` such peers, one address, two routes. The key is a static one, for tests only. */
struct wg_device_desired fixture_desired(const struct wg_peer *peers, size_t peers_len);

/* The device as it is observed once `desired` is in place; free with wg_device_clear. */
struct wg_device_observed fixture_observed(const struct wg_device_desired *desired);

/* A file of the fuzz corpus, read into static memory that the next call overwrites. */
const uint8_t *fixture_corpus(const char *name, size_t *len);

#endif
