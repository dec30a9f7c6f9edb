/* A log: the first byte is the number of topics, then these, then the data. A message's ciphertext must lie
 * inside the data. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evm/cluster_event.h"

#define TOPICS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes32 topics[TOPICS_MAX];
    struct cluster_event event;
    struct am_err err;
    const size_t topics_len = len ? data[0] % (TOPICS_MAX + 1) : 0;
    const size_t start = 1 + topics_len * sizeof(topics[0]);
    if (len < start)
        return 0;
    memcpy(topics, data + 1, topics_len * sizeof(topics[0]));
    if (cluster_event_parse(topics, topics_len, data + start, len - start, &event, &err) == 0 &&
        event.type == CLUSTER_EVENT_MESSAGE_SENT) {
        const uint8_t *end = data + len;
        if (event.message.ciphertext < data + start || event.message.ciphertext > end ||
            event.message.ciphertext_len > (size_t)(end - event.message.ciphertext))
            abort();
    }
    return 0;
}
