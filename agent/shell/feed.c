#include "agent/shell/feed.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/view.h"
#include "agent/log.h"
#include "agent/message/envelope.h"
#include "crypto/keccak.h"

#define RETRY_MS_MIN 1000
#define RETRY_MS_MAX 30000
#define END_OF_BLOCK UINT32_MAX

struct cursor {
    uint64_t block;
    uint32_t log_index;
};

struct feed {
    struct feed_services services;
    struct api_ticket ticket;
    struct archive_reader *reader;
    struct event *retry;
    uint32_t retry_ms;
    bool reading, paused, waiting; /* at most one of them */
    bool caught_up;                /* and told so */
    bool rolled_back;              /* and not told so yet */
    struct cursor told;            /* everything up to here was told */
    struct cursor named;           /* the client's cursor, while it is to be found; block 0: not, or found */
    struct core_inbox at;          /* where the next run begins */
    struct core_inbox run, target; /* the run in flight: where it is, where it must lead */
    struct core_inbox whole;       /* of the run: at the end of the block before */
};

static bool is_after(const struct cursor *a, const struct cursor *b)
{
    return a->block != b->block ? a->block > b->block : a->log_index > b->log_index;
}

/* ---- Telling ---- */

static bool tell(struct feed *feed, const api_MessageEvent *event)
{
    if (feed->services.tell(feed->services.user, &feed->ticket, event))
        return true;
    feed->paused = true;
    return false;
}

/* Protocol envelopes and what can not be opened are nothing for an application. */
static bool tell_message(struct feed *feed, const struct archive_message *message)
{
    static struct envelope envelope;
    static api_MessageEvent event;
    if (envelope_open(feed->services.seed, message->ciphertext, message->ciphertext_len, &envelope, NULL) ||
        envelope.kind != ENVELOPE_APPLICATION)
        return true;
    event = (api_MessageEvent){
        .kind = api_MessageEvent_Kind_MESSAGE,
        .has_cursor = true,
        .cursor = {.block = message->block, .log_index = message->log_index},
        .payload.size = (pb_size_t)envelope.len,
    };
    memcpy(event.sender, message->sender.b, sizeof(event.sender));
    memcpy(event.envelope_id, message->envelope_id.b, sizeof(event.envelope_id));
    memcpy(event.payload.bytes, envelope.payload, envelope.len);
    const bool told = tell(feed, &event);
    secret_wipe(&envelope, sizeof(envelope));
    secret_wipe(&event, sizeof(event));
    return told;
}

/* ---- Going back ---- */

/* What was told of blocks after `block` is told again. */
static void roll_back(struct feed *feed, uint64_t block)
{
    const struct cursor floor = {.block = block, .log_index = END_OF_BLOCK};
    if (is_after(&feed->told, &floor))
        feed->told = floor;
    feed->named = (struct cursor){0};
    feed->caught_up = false;
    feed->at = core_inbox_before(feed->services.core, block + CORE_PROVISIONAL_BLOCKS);
    feed->rolled_back = true;
    log_info("messages.rolled_back", log_uint("block", feed->told.block));
}

/* Whether that is told, if there is something to be told. */
static bool tell_rolled_back(struct feed *feed)
{
    const api_MessageEvent event = {
        .kind = api_MessageEvent_Kind_ROLLED_BACK,
        .has_cursor = true,
        .cursor = {.block = feed->told.block, .log_index = feed->told.log_index},
    };
    feed->rolled_back = feed->rolled_back && !tell(feed, &event);
    return !feed->rolled_back;
}

static uint64_t before(uint64_t block)
{
    return block > CORE_PROVISIONAL_BLOCKS ? block - CORE_PROVISIONAL_BLOCKS : 0;
}

/* The client's cursor is not where it was: the chain has changed since. */
static bool is_lost(const struct feed *feed, const struct cursor *place)
{
    return feed->named.block != 0 && is_after(place, &feed->named);
}

static void wait_a_while(struct feed *feed, const char *reason)
{
    const struct timeval delay = {(time_t)(feed->retry_ms / 1000),
                                  (suseconds_t)(feed->retry_ms % 1000 * 1000)};
    log_warn("messages.read_failed", log_text("reason", reason));
    feed->waiting = true;
    feed->retry_ms = feed->retry_ms * 2 < RETRY_MS_MAX ? feed->retry_ms * 2 : RETRY_MS_MAX;
    event_add(feed->retry, &delay);
}

/* ---- Reading ---- */

static void stop_reading(struct feed *feed)
{
    archive_reader_cancel(feed->reader);
    feed->reading = false;
    feed->at = feed->whole;
}

static void on_message(void *user, const struct archive_message *message)
{
    struct feed *feed = user;
    const struct cursor place = {.block = message->block, .log_index = message->log_index};
    const struct core_inbox_message link = {
        .sender = message->sender,
        .envelope_id = message->envelope_id,
        .ciphertext_hash = keccak256(message->ciphertext, message->ciphertext_len),
    };
    if (message->block > feed->run.block) {
        feed->whole = feed->run;
        feed->whole.block = message->block - 1;
        feed->run.block = message->block;
    }
    core_inbox_extend(&feed->run, &link);
    if (is_lost(feed, &place)) {
        stop_reading(feed);
        roll_back(feed, before(feed->named.block));
        event_active(feed->retry, EV_TIMEOUT, 0);
        return;
    }
    if (place.block == feed->named.block && place.log_index == feed->named.log_index)
        feed->named = (struct cursor){0};
    if (!is_after(&place, &feed->told))
        return;
    if (tell_message(feed, message))
        feed->told = place;
    else
        stop_reading(feed);
}

/* A run that leads elsewhere was of a chain that is no more, or the RPC left something out. */
static void on_read(void *user, const char *error)
{
    struct feed *feed = user;
    const struct cursor end = {.block = feed->target.block, .log_index = END_OF_BLOCK};
    feed->reading = false;
    if (error) {
        feed->at = feed->whole;
        wait_a_while(feed, error);
        return;
    }
    feed->run.block = feed->target.block;
    if (feed->run.count != feed->target.count || !bytes32_equal(&feed->run.head, &feed->target.head)) {
        roll_back(feed, before(feed->at.block < feed->target.block ? feed->at.block : feed->target.block));
        wait_a_while(feed, "the logs do not lead to the inbox's head");
        return;
    }
    feed->retry_ms = RETRY_MS_MIN;
    feed->at = feed->run;
    if (is_lost(feed, &end))
        roll_back(feed, before(feed->named.block));
    feed_pump(feed);
}

static void read_to(struct feed *feed, const struct core_inbox *target)
{
    feed->target = *target;
    feed->run = feed->whole = feed->at;
    feed->reading = true;
    if (archive_reader_start(feed->reader, feed->at.block == 0 ? 0 : feed->at.block + 1, target->block,
                             on_message, on_read, feed)) {
        feed->reading = false;
        wait_a_while(feed, "out of memory, or too many requests under way");
    }
}

static bool is_there(const struct feed *feed, const struct core_inbox *place)
{
    return feed->at.count == place->count && bytes32_equal(&feed->at.head, &place->head) &&
           feed->named.block == 0;
}

void feed_pump(struct feed *feed)
{
    struct core_inbox verified;
    if (feed->reading || feed->paused || feed->waiting || !core_inbox(feed->services.core, &verified) ||
        verified.block < feed->named.block)
        return;
    const bool there = is_there(feed, &verified);
    if (!there && feed->at.block >= verified.block)
        roll_back(feed, before(verified.block));
    if (!tell_rolled_back(feed))
        return;
    if (!there) {
        read_to(feed, &verified);
        return;
    }
    feed->at.block = verified.block;
    feed->caught_up =
        feed->caught_up || tell(feed, &(api_MessageEvent){.kind = api_MessageEvent_Kind_CAUGHT_UP});
}

void feed_resume(struct feed *feed)
{
    if (!feed->paused)
        return;
    feed->paused = false;
    feed_pump(feed);
}

static void on_retry(evutil_socket_t fd, short what, void *user)
{
    struct feed *feed = user;
    (void)fd, (void)what;
    feed->waiting = false;
    feed_pump(feed);
}

/* ---- Life ---- */

const struct api_ticket *feed_ticket(const struct feed *feed)
{
    return &feed->ticket;
}

struct feed *feed_new(const struct feed_services *services, const struct api_ticket *ticket,
                      const api_Cursor *after)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return NULL;
    *feed = (struct feed){.services = *services, .ticket = *ticket, .retry_ms = RETRY_MS_MIN};
    feed->reader = archive_reader_new(services->archive, ARCHIVE_RECEIVED);
    feed->retry = evtimer_new(services->base, on_retry, feed);
    if (!feed->reader || !feed->retry) {
        feed_free(feed);
        return NULL;
    }
    if (after) {
        feed->told = (struct cursor){.block = after->block, .log_index = after->log_index};
        feed->at = core_inbox_before(services->core, after->block);
        if (after->log_index != END_OF_BLOCK)
            feed->named = feed->told;
    }
    return feed;
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    archive_reader_free(feed->reader);
    if (feed->retry)
        event_free(feed->retry);
    free(feed);
}
