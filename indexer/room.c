#include "indexer/room.h"

#include <errno.h>
#include <stdlib.h>

/* Addresses come out of a hash function already; whoever grinds for collisions slows down lookups of his own
 * bucket only. */
static size_t bucket_of(const struct address *cluster)
{
    return be32_read(cluster->b + 16) % ROOM_BUCKETS;
}

struct room *rooms_find(struct rooms *rooms, const struct address *cluster)
{
    struct room *room;
    LIST_FOREACH(room, &rooms->buckets[bucket_of(cluster)], link)
    {
        if (address_equal(&room->cluster, cluster))
            return room;
    }
    return NULL;
}

int rooms_enter(struct rooms *rooms, const struct address *cluster, struct room_seat *seat)
{
    struct room *room = rooms_find(rooms, cluster);
    if (!room) {
        room = calloc(1, sizeof(*room));
        if (!room)
            return -ENOMEM;
        room->cluster = *cluster;
        LIST_INSERT_HEAD(&rooms->buckets[bucket_of(cluster)], room, link);
    }
    seat->room = room;
    LIST_INSERT_HEAD(&room->seats, seat, link);
    return 0;
}

void rooms_leave(struct room_seat *seat)
{
    struct room *room = seat->room;
    if (!room)
        return;
    LIST_REMOVE(seat, link);
    seat->room = NULL;
    if (LIST_EMPTY(&room->seats)) {
        LIST_REMOVE(room, link);
        free(room);
    }
}
