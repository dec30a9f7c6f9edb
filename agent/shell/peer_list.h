/* The device's desired peers in the order of their keys, found by registry index as well. */
#ifndef AGENT_SHELL_PEER_LIST_H
#define AGENT_SHELL_PEER_LIST_H

#include "netlink/device.h"

/* Zero-initialise; owns its memory. */
struct peer_list {
    struct wg_peer *peers; /* strictly ascending by public key */
    size_t len;
    size_t capacity;
    struct bytes32 *keys; /* by registry index: the peer's key, zero for none */
    size_t keys_len;
};

/* Makes room for `peers` more and for indexes below `indexes`. Returns 0 or -ENOMEM. */
int peer_list_reserve(struct peer_list *list, size_t peers, size_t indexes);

/* Removes all peers. */
void peer_list_empty(struct peer_list *list);

/* Adds a peer for which there is room; no other peer has its key or its index. The order is not kept until
 * peer_list_sort. */
void peer_list_append(struct peer_list *list, uint32_t index, const struct wg_peer *peer);
void peer_list_sort(struct peer_list *list);

/* The same for one peer of a list that is in order, which it stays. */
void peer_list_insert(struct peer_list *list, uint32_t index, const struct wg_peer *peer);

/* Takes the peer of this index out into `out`; false when there is none. */
bool peer_list_take(struct peer_list *list, uint32_t index, struct wg_peer *out);

void peer_list_release(struct peer_list *list);

#endif
