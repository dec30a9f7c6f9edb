#include "agent/transport/directory.h"

#include <errno.h>
#include <search.h>
#include <string.h>

static int compare_member_ids(const void *a, const void *b)
{
    const struct transport_peer *left = a;
    const struct transport_peer *right = b;
    return memcmp(left->member_id.b, right->member_id.b, sizeof(left->member_id.b));
}

static const struct transport_peer *directory_look_up(const struct directory *directory,
                                                      const struct transport_peer *key)
{
    const struct transport_peer *const *found = tfind(key, &directory->by_member_id, compare_member_ids);
    return found ? *found : NULL;
}

static void leave_alone(void *entry)
{
    (void)entry;
}

void directory_init(struct directory *directory)
{
    *directory = (struct directory){0};
    pthread_mutex_init(&directory->lock, NULL);
}

void directory_clear(struct directory *directory)
{
    tdestroy(directory->by_member_id, leave_alone);
    pthread_mutex_destroy(&directory->lock);
}

int directory_add(struct directory *directory, const struct transport_peer *info)
{
    pthread_mutex_lock(&directory->lock);
    const void *entry = tsearch(info, &directory->by_member_id, compare_member_ids);
    pthread_mutex_unlock(&directory->lock);
    return entry ? 0 : -ENOMEM;
}

void directory_remove(struct directory *directory, const struct transport_peer *info)
{
    pthread_mutex_lock(&directory->lock);
    if (directory_look_up(directory, info) == info)
        (void)tdelete(info, &directory->by_member_id, compare_member_ids);
    pthread_mutex_unlock(&directory->lock);
}

bool directory_find(struct directory *directory, const struct bytes32 *member_id, struct transport_peer *out)
{
    const struct transport_peer key = {.member_id = *member_id};
    pthread_mutex_lock(&directory->lock);
    const struct transport_peer *found = directory_look_up(directory, &key);
    if (found)
        *out = *found;
    pthread_mutex_unlock(&directory->lock);
    return found;
}
