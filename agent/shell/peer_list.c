#include "agent/shell/peer_list.h"

#include <errno.h>
#include <stdlib.h>

static int compare_peers(const void *a, const void *b)
{
    const struct wg_peer *left = a, *right = b;
    return memcmp(left->pubkey.b, right->pubkey.b, sizeof(left->pubkey.b));
}

/* At least doubles, so that growing one by one costs O(1) each. */
static size_t grown(size_t capacity, size_t needed)
{
    return 2 * capacity > needed ? 2 * capacity : needed;
}

static int reserve_keys(struct peer_list *list, size_t indexes)
{
    if (indexes <= list->keys_len)
        return 0;
    const size_t len = grown(list->keys_len, indexes);
    struct bytes32 *keys = reallocarray(list->keys, len, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    memset(keys + list->keys_len, 0, (len - list->keys_len) * sizeof(*keys));
    list->keys = keys;
    list->keys_len = len;
    return 0;
}

int peer_list_reserve(struct peer_list *list, size_t peers, size_t indexes)
{
    if (list->len + peers > list->capacity) {
        const size_t capacity = grown(list->capacity, list->len + peers);
        struct wg_peer *larger = reallocarray(list->peers, capacity, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        list->peers = larger;
        list->capacity = capacity;
    }
    return reserve_keys(list, indexes);
}

void peer_list_empty(struct peer_list *list)
{
    list->len = 0;
    if (list->keys)
        memset(list->keys, 0, list->keys_len * sizeof(*list->keys));
}

void peer_list_append(struct peer_list *list, uint32_t index, const struct wg_peer *peer)
{
    list->keys[index] = peer->pubkey;
    list->peers[list->len++] = *peer;
}

void peer_list_sort(struct peer_list *list)
{
    if (list->len > 1)
        qsort(list->peers, list->len, sizeof(*list->peers), compare_peers);
}

/* Where a peer with this key stands or would stand. */
static size_t place_of(const struct peer_list *list, const struct bytes32 *key)
{
    size_t low = 0, high = list->len;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (memcmp(list->peers[middle].pubkey.b, key->b, sizeof(key->b)) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void peer_list_insert(struct peer_list *list, uint32_t index, const struct wg_peer *peer)
{
    const size_t at = place_of(list, &peer->pubkey);
    memmove(&list->peers[at + 1], &list->peers[at], (list->len - at) * sizeof(*list->peers));
    list->len++;
    list->peers[at] = *peer;
    list->keys[index] = peer->pubkey;
}

bool peer_list_take(struct peer_list *list, uint32_t index, struct wg_peer *out)
{
    if (index >= list->keys_len || bytes32_is_zero(&list->keys[index]))
        return false;
    const size_t at = place_of(list, &list->keys[index]);
    *out = list->peers[at];
    list->len--;
    memmove(&list->peers[at], &list->peers[at + 1], (list->len - at) * sizeof(*list->peers));
    list->keys[index] = (struct bytes32){0};
    return true;
}

void peer_list_release(struct peer_list *list)
{
    free(list->peers);
    free(list->keys);
    *list = (struct peer_list){0};
}
