#include "indexer/room.h"

#include <errno.h>
#include <stdlib.h>

/* Addresses and ids come out of a hash function already; whoever grinds for collisions slows down lookups of
 * his own bucket only. */
static size_t bucket_of(const struct address *cluster)
{
    return be32_read(cluster->b + 16) % ROOM_BUCKETS;
}

static size_t member_bucket_of(const struct bytes32 *member_id)
{
    return be32_read(member_id->b + 28) % ROOM_MEMBER_BUCKETS;
}

struct room *rooms_find(const struct rooms *rooms, const struct address *cluster)
{
    struct room *room;
    LIST_FOREACH(room, &rooms->buckets[bucket_of(cluster)], link)
    {
        if (address_equal(&room->cluster, cluster))
            return room;
    }
    return NULL;
}

struct room_seat *rooms_find_member(const struct rooms *rooms, const struct address *cluster,
                                    const struct bytes32 *member_id)
{
    struct room_seat *seat;
    LIST_FOREACH(seat, &rooms->members[member_bucket_of(member_id)], member_link)
    {
        if (bytes32_equal(&seat->member_id, member_id) && address_equal(&seat->room->cluster, cluster))
            return seat;
    }
    return NULL;
}

int rooms_enter(struct rooms *rooms, const struct address *cluster, const struct bytes32 *member_id,
                struct room_seat *seat)
{
    struct room *room = rooms_find(rooms, cluster);
    if (!room) {
        room = calloc(1, sizeof(*room));
        if (!room)
            return -ENOMEM;
        room->cluster = *cluster;
        LIST_INSERT_HEAD(&rooms->buckets[bucket_of(cluster)], room, link);
    }
    room->count++;
    seat->room = room;
    seat->member_id = *member_id;
    LIST_INSERT_HEAD(&room->seats, seat, link);
    LIST_INSERT_HEAD(&rooms->members[member_bucket_of(member_id)], seat, member_link);
    return 0;
}

void rooms_leave(struct room_seat *seat)
{
    struct room *room = seat->room;
    if (!room)
        return;
    LIST_REMOVE(seat, link);
    LIST_REMOVE(seat, member_link);
    seat->room = NULL;
    room->count--;
    if (LIST_EMPTY(&room->seats)) {
        LIST_REMOVE(room, link);
        free(room);
    }
}
