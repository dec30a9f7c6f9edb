/* The cached cluster shared key: with a label and a wrap key of its own, what is accepted is what was
 * written. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/shell/csk_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct secret wrap, key, found;
    static const struct csk_cache_label label = {.generation = 3};
    uint8_t file[CSK_CACHE_SIZE];
    csk_cache_build(&wrap, &label, &key, file);
    if (csk_cache_parse(&wrap, &label, file, sizeof(file), &found) != 0)
        abort();
    /* The input is laid over a good file: every change to it is noticed, every length but one refused. */
    const size_t part = len < sizeof(file) ? len : sizeof(file);
    const bool changed = memcmp(file, data, part) != 0;
    memcpy(file, data, part);
    if ((csk_cache_parse(&wrap, &label, file, sizeof(file), &found) == 0) == changed)
        abort();
    if (len != sizeof(file) && csk_cache_parse(&wrap, &label, data, len, &found) != AM_EFORMAT)
        abort();
    return 0;
}
