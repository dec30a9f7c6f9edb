#include "agent/shell/feed.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/view.h"
#include "agent/message/envelope.h"

/* The chain is this file: message n, from 1 on, is in block 10 * n, and its text is its number. The chained
 * head is the sum of the messages. */
#define CHAIN_BLOCK(n) (10 * (uint64_t)(n))

static struct {
    uint32_t len;
    uint32_t hidden; /* the RPC leaves this one out */
    uint32_t moved;  /* this one is a block later than it was */
    struct secret *secret;
    struct bytes32 x_pubkey;
} chain;

struct archive_reader {
    uint64_t from, to;
    archive_take_fn take;
    archive_done_fn done;
    void *user;
};
static struct archive_reader reader;

struct archive_reader *archive_reader_new(struct archive *archive, enum archive_side side)
{
    (void)archive, (void)side;
    return &reader;
}

void archive_reader_free(struct archive_reader *r)
{
    (void)r;
}

void archive_reader_cancel(struct archive_reader *r)
{
    r->take = NULL;
}

int archive_reader_start(struct archive_reader *r, uint64_t from, uint64_t to, archive_take_fn take,
                         archive_done_fn done, void *user)
{
    cr_assert_null(r->take, "one read at a time");
    *r = (struct archive_reader){from, to, take, done, user};
    return 0;
}

bool core_inbox(const struct core *core, struct core_inbox *out)
{
    (void)core;
    *out = (struct core_inbox){.block = CHAIN_BLOCK(chain.len) + 5, .count = chain.len};
    for (uint32_t n = 1; n <= chain.len; n++)
        out->head.b[0] = (uint8_t)(out->head.b[0] + n);
    return true;
}

struct core_inbox core_inbox_before(const struct core *core, uint64_t block)
{
    (void)core, (void)block;
    return (struct core_inbox){0};
}

void core_inbox_extend(struct core_inbox *position, const struct core_inbox_message *message)
{
    position->count++;
    position->head.b[0] = (uint8_t)(position->head.b[0] + message->envelope_id.b[31]);
}

static void give(uint32_t n)
{
    char text[16];
    uint8_t sealed[ENVELOPE_CIPHERTEXT_MAX];
    size_t len;
    const uint64_t block = CHAIN_BLOCK(n) + (n == chain.moved);
    if (block < reader.from || block > reader.to || n == chain.hidden)
        return;
    snprintf(text, sizeof(text), "%u", n);
    envelope_seal(&chain.x_pubkey, ENVELOPE_APPLICATION, (const uint8_t *)text, strlen(text), sealed, &len);
    const struct archive_message message = {
        .block = block,
        .log_index = 1,
        .envelope_id = {.b[31] = (uint8_t)n},
        .ciphertext = sealed,
        .ciphertext_len = len,
    };
    reader.take(reader.user, &message);
}

/* Answers reads until there are no more. */
static void serve(void)
{
    while (reader.take) {
        for (uint32_t n = 1; n <= chain.len && reader.take; n++)
            give(n);
        if (!reader.take)
            return;
        reader.take = NULL;
        reader.done(reader.user, NULL);
    }
}

static struct event_base *base;
static struct feed *feed;
static char told[256]; /* numbers, "!" for caught up, "<" for rolled back */
static unsigned room;  /* events that the subscriber takes before it is full */

static bool tell(void *user, const struct api_ticket *ticket, const api_MessageEvent *event)
{
    (void)user, (void)ticket;
    if (room == 0)
        return false;
    room--;
    if (event->kind == api_MessageEvent_Kind_MESSAGE)
        strncat(told, (const char *)event->payload.bytes, event->payload.size);
    else
        strcat(told, event->kind == api_MessageEvent_Kind_CAUGHT_UP ? "!" : "<");
    return true;
}

static void start(void)
{
    cr_assert_eq(secret_init(), 0);
    chain.secret = secret_new();
    memset(chain.secret->b, 3, sizeof(chain.secret->b));
    cr_assert_eq(box_pubkey_of_secret(chain.secret, &chain.x_pubkey), 0);
    chain.len = 5;
    room = 100;
    base = event_base_new();
}

static void stop(void)
{
    feed_free(feed);
    event_base_free(base);
    secret_free(chain.secret);
}

TestSuite(feed, .init = start, .fini = stop, .timeout = 20);

static void subscribe(const api_Cursor *after)
{
    const struct feed_services services = {.base = base, .seed = chain.secret, .tell = tell};
    feed = feed_new(&services, &(struct api_ticket){1, 2}, after);
    feed_pump(feed);
    serve();
}

Test(feed, tells_everything_then_what_is_new)
{
    subscribe(NULL);
    cr_assert_str_eq(told, "12345!");
    chain.len = 7;
    feed_pump(feed);
    serve();
    cr_assert_str_eq(told, "12345!67");
    feed_pump(feed);
    cr_assert_null(reader.take, "nothing is read when nothing is new");
}

Test(feed, begins_behind_a_cursor_or_a_block)
{
    subscribe(&(api_Cursor){.block = CHAIN_BLOCK(3), .log_index = 1});
    cr_assert_str_eq(told, "45!");
    feed_free(feed);
    told[0] = '\0';
    subscribe(&(api_Cursor){.block = CHAIN_BLOCK(4) - 1, .log_index = UINT32_MAX});
    cr_assert_str_eq(told, "45!");
}

Test(feed, a_slow_subscriber_loses_nothing)
{
    room = 2;
    subscribe(NULL);
    cr_assert_str_eq(told, "12");
    feed_pump(feed);
    cr_assert_null(reader.take, "it is not read for before it has read");
    for (int i = 0; i < 4; i++) {
        room = 1;
        feed_resume(feed);
        serve();
    }
    cr_assert_str_eq(told, "12345!");
}

Test(feed, a_cursor_that_names_nothing_was_reorganised_away_and_32_blocks_come_again)
{
    chain.moved = 5;
    subscribe(&(api_Cursor){.block = CHAIN_BLOCK(5), .log_index = 1});
    cr_assert_str_eq(told, "");
    event_base_loop(base, EVLOOP_NONBLOCK);
    serve();
    cr_assert_str_eq(told, "<2345!");
}

Test(feed, what_the_rpc_leaves_out_is_missed_and_comes_later)
{
    chain.hidden = 3;
    subscribe(NULL);
    cr_assert_str_eq(told, "1245");
    chain.hidden = 0;
    event_base_loop(base, EVLOOP_ONCE);
    serve();
    cr_assert_str_eq(told, "1245<12345!");
}
