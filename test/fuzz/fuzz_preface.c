/* Prefaces from strangers: parsed or refused with a sentence, and never believed without a signature. */
#include <stdlib.h>

#include "agent/transport/preface.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    /* The key and exporter of no session at all: nothing may verify. */
    static const struct bytes32 pubkey = {{0xd7, 0x5a, 0x98, 0x01}};
    static const uint8_t exporter[PREFACE_EXPORTER_SIZE] = {1};
    struct preface preface;
    struct am_err err = {0};
    const int rc = preface_parse(data, len, &preface, &err);
    if (rc && !err.text[0])
        abort();
    if (!rc &&
        preface_check(&preface, &preface.cluster, &preface.from, &preface.to, &pubkey, exporter, &err) == 0)
        abort();
    return 0;
}
