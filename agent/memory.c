#include "agent/memory.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

struct mapping {
    uintptr_t start, end;
    bool of_file; /* private, readable, not writable, with a path */
};

/* The first line of an entry of /proc/self/smaps (proc(5)); false for the lines of figures below it. */
static bool parse_mapping(const char *line, struct mapping *out)
{
    char permissions[5], path[2];
    struct mapping mapping;
    const int fields = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %1s", &mapping.start,
                              &mapping.end, permissions, path);
    if (fields < 3)
        return false;
    mapping.of_file = fields == 4 && path[0] == '/' && permissions[0] == 'r' && permissions[1] == '-' &&
                      permissions[3] == 'p';
    *out = mapping;
    return true;
}

/* Relocated read-only data hold pages of our own ("Anonymous"), which can not be read again: they stay. */
void memory_release_cold(void)
{
    char line[512];
    struct mapping mapping = {0};
    unsigned long anonymous_kb;
    malloc_trim(0);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps)
        return;
    while (fgets(line, sizeof(line), smaps)) {
        if (parse_mapping(line, &mapping))
            continue;
        if (mapping.of_file && sscanf(line, "Anonymous: %lu", &anonymous_kb) == 1 && anonymous_kb == 0)
            madvise((void *)mapping.start, mapping.end - mapping.start, MADV_DONTNEED);
    }
    fclose(smaps);
}
