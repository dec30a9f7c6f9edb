/* Runs a fuzz target over every file of its corpus folder, and over every prefix of each: what a fuzzer found
 * once stays found, without a fuzzer. Fails when the folder is missing or empty. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)
#define PREFIXES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void run_exactly(const uint8_t *data, size_t len)
{
    /* A copy of the exact size lets the sanitizer see a read past the end. */
    uint8_t *copy = malloc(len ? len : 1);
    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void run_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    const size_t len = fread(data, 1, sizeof(data), file);
    fclose(file);
    for (size_t prefix = 0; prefix < len && prefix < PREFIXES_MAX; prefix++)
        run_exactly(data, prefix);
    run_exactly(data, len);
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        run_file(path);
        files++;
    }
    closedir(dir);
    printf("%u inputs replayed\n", files);
    return files ? 0 : 1;
}
