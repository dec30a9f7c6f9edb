#include "test/unit/evm/evm_vectors.h"

#include <stdlib.h>

#include "test/unit/vectors.h"

static json_object *section_of(const char *section)
{
    static json_object *all;
    if (!all)
        all = json_object_from_file(VECTORS_DIR "/evm.json");
    cr_assert(all, "%s", json_util_get_last_err());
    return vector_get(all, section);
}

static struct evm_bytes decode(const char *text)
{
    struct evm_bytes bytes = {.data = malloc(strlen(text))};
    cr_assert(bytes.data && hex_decode(text, bytes.data, strlen(text), &bytes.len));
    return bytes;
}

struct evm_bytes evm_vector(const char *section, const char *name)
{
    return decode(vector_text(section_of(section), name));
}

struct evm_log evm_vector_log(const char *name)
{
    json_object *entry = vector_get(section_of("logs"), name), *topics = vector_get(entry, "topics");
    struct evm_log log = {.topics_len = json_object_array_length(topics),
                          .data = decode(vector_text(entry, "data"))};
    cr_assert_leq(log.topics_len, EVM_TOPICS_MAX);
    for (size_t i = 0; i < log.topics_len; i++)
        cr_assert(hex_decode_exact(json_object_get_string(json_object_array_get_idx(topics, i)),
                                   log.topics[i].b, 32));
    return log;
}
