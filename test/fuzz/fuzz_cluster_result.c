/* What eth_call returns, and revert data; the first byte chooses the reader. */
#include <stdint.h>
#include <stdlib.h>

#include "evm/cluster.h"
#include "evm/revert.h"

#define PAGE_MAX 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_page(const uint8_t *data, size_t len)
{
    struct cluster_member members[PAGE_MAX];
    size_t count;
    uint64_t total;
    if (cluster_take_members_page(data, len, PAGE_MAX, members, &count, &total, NULL) == 0 &&
        count > PAGE_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct address address;
    struct cluster_member member;
    struct cluster_state state;
    char text[REVERT_TEXT_SIZE];
    if (len == 0)
        return 0;
    switch (data[0] % 5) {
    case 0: cluster_take_cluster(data + 1, len - 1, &address, NULL); break;
    case 1: cluster_take_member(data + 1, len - 1, &member, NULL); break;
    case 2: read_page(data + 1, len - 1); break;
    case 3: cluster_take_node_state(data + 1, len - 1, &state, NULL); break;
    case 4: revert_describe(data + 1, len - 1, text); break;
    }
    return 0;
}
