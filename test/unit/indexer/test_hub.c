#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "contracts_abi.h"
#include "indexer/hub.h"
#include "indexer/identity.h"
#include "indexer/ledger.h"
#include "test/unit/indexer/member.h"

#define CHAIN_ID 31337
#define PUSH indexer_ServerFrame_push_tag
#define CHECKPOINT indexer_ServerFrame_checkpoint_tag
#define REFUSAL indexer_ServerFrame_refusal_tag
#define RETRACTION indexer_ServerFrame_retraction_tag

static const struct address cluster = {{0xc1}}, other_cluster = {{0xc2}};
static const struct bytes32 alice_id = {{0xa1}}, bob_id = {{0xb0}};

/* A hub over a store, with a ledger to feed it as the watcher would. */
struct rig {
    struct event_base *base;
    struct secret *seed, *alice_seed, *bob_seed;
    struct bytes32 key;
    SSL_CTX *tls;
    struct store *store;
    struct hub *hub;
    struct ledger *ledger;
    struct watcher_sink sink;
    uint64_t block;
    uint64_t fork;
};

static void appended(void *user, const struct eth_header *tip, const struct store_log *logs, size_t logs_len)
{
    const struct rig *rig = user;
    hub_tell_appended(rig->hub, &(struct store_tip){tip->number, tip->hash}, tip->timestamp, logs, logs_len);
}

static void retracted(void *user, const struct address *at, const struct wire_cursor *block)
{
    const struct rig *rig = user;
    hub_tell_retracted(rig->hub, at, block);
}

static struct secret *seed_new(uint8_t first)
{
    struct secret *seed = secret_new();
    seed->b[0] = first;
    return seed;
}

static struct bytes32 hash_of(const struct rig *rig, uint64_t block)
{
    struct bytes32 hash = {{0xbb, (uint8_t)rig->fork}};
    be64_write(hash.b + 24, block);
    return hash;
}

static void open_hub(struct rig *rig)
{
    uint8_t *welcome;
    size_t welcome_len;
    struct am_err err = {0};
    cr_assert_eq(wire_build_welcome((const uint8_t *)"quote", 5, &welcome, &welcome_len), 0);
    const struct hub_config config = {.host = "127.0.0.1",
                                      .chain_id = CHAIN_ID,
                                      .seed = rig->seed,
                                      .tls = rig->tls,
                                      .store = rig->store,
                                      .welcome = welcome,
                                      .welcome_len = welcome_len};
    cr_assert_eq(hub_new(rig->base, &config, &rig->hub, &err), 0, "%s", err.text);
    free(welcome);
}

static void append(struct rig *rig, struct eth_log *logs, size_t len)
{
    const struct eth_header tip = {.number = ++rig->block, .hash = hash_of(rig, rig->block), .timestamp = 1};
    for (size_t i = 0; i < len; i++) {
        logs[i].block = tip.number;
        logs[i].block_hash = tip.hash;
        logs[i].index = (uint32_t)i;
    }
    cr_assert_eq(rig->sink.append(rig->sink.user, &tip, NULL, 0, logs, len), 0);
}

/* The data last until the next call. */
static struct eth_log registration(const struct bytes32 *member, const struct bytes32 *key)
{
    static const struct bytes32 topic = ABI_MEMBER_REGISTERED_TOPIC;
    static uint8_t data[96];
    struct eth_log log = {.address = cluster, .topics = {topic, *member, {{0}}, {{1}}}, .topics_len = 4};
    memcpy(data + 64, key->b, 32);
    log.data = data;
    log.data_len = sizeof(data);
    return log;
}

static struct eth_log removal(const struct bytes32 *member)
{
    static const struct bytes32 topic = ABI_MEMBER_REMOVED_TOPIC;
    return (struct eth_log){
        .address = cluster, .topics = {topic, *member}, .topics_len = 2, .data = (const uint8_t *)""};
}

static struct eth_log message_to(const struct bytes32 *recipient)
{
    static const struct bytes32 topic = ABI_MESSAGE_SENT_TOPIC;
    static const uint8_t data[96] = {[31] = 32, [63] = 1, [64] = 0xc1};
    return (struct eth_log){.address = cluster,
                            .topics = {topic, {{5}}, *recipient, {{6}}},
                            .topics_len = 4,
                            .data = data,
                            .data_len = sizeof(data)};
}

static struct eth_log device_added(const struct address *at)
{
    static const struct bytes32 topic = ABI_DEVICE_ADDED_TOPIC;
    static const uint8_t data[32] = {1};
    return (struct eth_log){.address = *at, .topics = {topic}, .topics_len = 1, .data = data, .data_len = 32};
}

/* Alice is registered in block 1, bob in block 2. */
static struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct bytes32 key;
    struct am_err err = {0};
    bool fresh;
    secret_init();
    signal(SIGPIPE, SIG_IGN);
    rig->base = event_base_new();
    rig->seed = seed_new(1);
    rig->alice_seed = seed_new(2);
    rig->bob_seed = seed_new(3);
    sign_pubkey_of_seed(rig->seed, &rig->key);
    rig->tls = identity_tls_new(rig->seed);
    const struct store_identity identity = {.chain_id = CHAIN_ID, .key = rig->key};
    cr_assert_eq(store_open(":memory:", &identity, &rig->store, &fresh, &err), 0, "%s", err.text);
    open_hub(rig);
    const struct ledger_config config = {.chain_id = CHAIN_ID, .seed = rig->seed, .key = rig->key};
    rig->ledger = ledger_new(&config, rig->store, &(struct ledger_listener){appended, retracted, rig});
    rig->sink = ledger_sink(rig->ledger);
    sign_pubkey_of_seed(rig->alice_seed, &key);
    append(rig, (struct eth_log[]){registration(&alice_id, &key)}, 1);
    sign_pubkey_of_seed(rig->bob_seed, &key);
    append(rig, (struct eth_log[]){registration(&bob_id, &key)}, 1);
    return rig;
}

static void rig_free(struct rig *rig)
{
    hub_free(rig->hub);
    ledger_free(rig->ledger);
    store_close(rig->store);
    SSL_CTX_free(rig->tls);
    secret_free(rig->seed);
    secret_free(rig->alice_seed);
    secret_free(rig->bob_seed);
    event_base_free(rig->base);
    free(rig);
}

static struct member *member_new(const struct rig *rig, bool is_bob)
{
    struct member *member = calloc(1, sizeof(*member));
    member->seed = is_bob ? rig->bob_seed : rig->alice_seed;
    member->server_key = rig->key;
    member->hello = (struct wire_hello){.protocol = WIRE_PROTOCOL,
                                        .chain_id = CHAIN_ID,
                                        .cluster = cluster,
                                        .member_id = is_bob ? bob_id : alice_id};
    return member;
}

static void member_free(struct member *member)
{
    member_close(member);
    free(member);
}

static void expect_refusal(struct rig *rig, struct member *member, indexer_RefusalCode code)
{
    member_connect(member, rig->base, hub_port(rig->hub));
    member_await(member, REFUSAL, 1);
    cr_assert_eq(member->len, 1, "nothing but the refusal");
    cr_assert_eq(member->frames[0].refusal, code);
    member_await_close(member);
    member_free(member);
}

Test(hub, replays_from_the_registration_then_pushes_live)
{
    struct rig *rig = rig_new();
    struct member *bob = member_new(rig, true);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    cr_assert_eq(bob->frames[0].type, indexer_ServerFrame_welcome_tag);
    cr_assert_eq(member_count(bob, PUSH), 1, "nothing from before his registration");
    cr_assert_eq(bob->frames[1].at.block, 2);
    append(rig, (struct eth_log[]){device_added(&cluster), device_added(&other_cluster)}, 2);
    member_await(bob, PUSH, 2);
    cr_assert_eq(bob->frames[bob->len - 1].at.block, 3);
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_message_goes_to_its_recipient_only)
{
    struct rig *rig = rig_new();
    struct member *alice = member_new(rig, false), *bob = member_new(rig, true);
    member_connect(alice, rig->base, hub_port(rig->hub));
    member_await(alice, CHECKPOINT, 1);
    const size_t before = member_count(alice, PUSH);
    append(rig, (struct eth_log[]){message_to(&bob_id), device_added(&cluster)}, 2);
    member_await(alice, PUSH, before + 1);
    cr_assert_eq(alice->frames[alice->len - 1].kind, indexer_EventKind_EVENT_DEVICE_ADDED, "live");
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    cr_assert_eq(member_count(bob, PUSH), 3, "replayed, the message included");
    member_free(alice);
    alice = member_new(rig, false);
    member_connect(alice, rig->base, hub_port(rig->hub));
    member_await(alice, CHECKPOINT, 1);
    cr_assert_eq(member_count(alice, PUSH), before + 1, "replayed, without the message");
    member_free(alice);
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_session_resumes_behind_its_cursor)
{
    struct rig *rig = rig_new();
    for (int i = 0; i < 10; i++)
        append(rig, (struct eth_log[]){device_added(&cluster), device_added(&cluster)}, 2);
    struct member *bob = member_new(rig, true);
    bob->hello.has_cursor = true;
    bob->hello.cursor = (struct wire_cursor){.block = 7, .log_index = 0, .block_hash = hash_of(rig, 7)};
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    cr_assert_eq(member_count(bob, PUSH), 1 + 2 * 5);
    cr_assert(bob->frames[1].at.block == 7 && bob->frames[1].at.log_index == 1);
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_cursor_on_a_fork_that_is_gone_goes_back_before_it)
{
    struct rig *rig = rig_new();
    append(rig, (struct eth_log[]){device_added(&cluster)}, 1);
    append(rig, (struct eth_log[]){device_added(&cluster)}, 1);
    struct member *bob = member_new(rig, true);
    bob->hello.has_cursor = true;
    bob->hello.cursor = (struct wire_cursor){.block = 4, .log_index = 0, .block_hash = {{0xdd}}};
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    cr_assert_eq(member_count(bob, PUSH), 3);
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_reorganisation_retracts_and_pushes_again)
{
    struct rig *rig = rig_new();
    struct store_tip tip;
    append(rig, (struct eth_log[]){device_added(&cluster)}, 1);
    struct member *bob = member_new(rig, true);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    const size_t before = member_count(bob, PUSH);
    cr_assert_eq(rig->sink.retract(rig->sink.user, &tip), 0);
    cr_assert_eq(tip.number, 2);
    rig->block = tip.number;
    rig->fork++;
    append(rig, (struct eth_log[]){message_to(&bob_id)}, 1);
    member_await(bob, PUSH, before + 1);
    cr_assert_eq(member_count(bob, RETRACTION), 1);
    cr_assert_eq(bob->frames[bob->len - 2].type, RETRACTION);
    cr_assert_eq(bob->frames[bob->len - 2].at.block, 3);
    const struct bytes32 new_hash = hash_of(rig, 3);
    cr_assert(bytes32_equal(&bob->frames[bob->len - 1].at.block_hash, &new_hash));
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_removed_member_hears_of_it_and_is_cut_off)
{
    struct rig *rig = rig_new();
    struct member *bob = member_new(rig, true);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    append(rig, (struct eth_log[]){removal(&bob_id), device_added(&cluster)}, 2);
    member_await_close(bob);
    cr_assert_eq(bob->frames[bob->len - 2].kind, indexer_EventKind_EVENT_MEMBER_REMOVED);
    cr_assert_eq(bob->frames[bob->len - 1].refusal, indexer_RefusalCode_REFUSAL_REMOVED);
    member_free(bob);
    expect_refusal(rig, member_new(rig, true), indexer_RefusalCode_REFUSAL_REMOVED);
    rig_free(rig);
}

Test(hub, bad_hellos_are_refused_with_a_code)
{
    struct rig *rig = rig_new();
    struct member *member = member_new(rig, false);
    member->hello.chain_id = 1;
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_BAD_HELLO);
    member = member_new(rig, false);
    member->hello.protocol = 9;
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_BAD_HELLO);
    member = member_new(rig, false);
    member->hello.cluster = other_cluster;
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_NOT_A_MEMBER);
    member = member_new(rig, false);
    member->seed = rig->bob_seed;
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_BAD_SIGNATURE);
    member = member_new(rig, false);
    member->spoiled = true; /* replayed from another session */
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_BAD_SIGNATURE);
    member = member_new(rig, false);
    member->hello.has_cursor = true;
    member->hello.cursor.block = 1000;
    expect_refusal(rig, member, indexer_RefusalCode_REFUSAL_CURSOR_AHEAD);
    rig_free(rig);
}

Test(hub, garbage_and_oversized_frames_end_the_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
    } inputs[] = {
        {"\xff\xff\xff\x7f", 4}, {"\x05hello", 6}, {"\x02\x12\x00", 3}, {"\xff\xff\xff\xff\xff\xff", 6}};
    struct rig *rig = rig_new();
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct member *stranger = member_new(rig, false);
        stranger->silent = true;
        member_connect(stranger, rig->base, hub_port(rig->hub));
        member_send(stranger, inputs[i].bytes, inputs[i].len);
        member_await(stranger, REFUSAL, 1);
        cr_assert_eq(stranger->frames[0].refusal, indexer_RefusalCode_REFUSAL_BAD_FRAME);
        member_await_close(stranger);
        member_free(stranger);
    }
    rig_free(rig);
}

Test(hub, a_slow_reader_loses_nothing_and_bothers_nobody, .timeout = 60)
{
    enum { BLOCKS = 60, LOGS = 50 };
    static const uint8_t much[3000]; /* in all, more than the sockets' buffers and the queue hold */
    static struct eth_log logs[LOGS];
    struct rig *rig = rig_new();
    struct member *slow = member_new(rig, true), *other = member_new(rig, false);
    member_connect(slow, rig->base, hub_port(rig->hub));
    member_connect(other, rig->base, hub_port(rig->hub));
    member_await(slow, CHECKPOINT, 1);
    member_await(other, CHECKPOINT, 1);
    bufferevent_disable(slow->stream, EV_READ);
    for (int block = 0; block < BLOCKS; block++) {
        for (int i = 0; i < LOGS; i++) {
            logs[i] = device_added(&cluster);
            logs[i].data = much;
            logs[i].data_len = sizeof(much);
        }
        append(rig, logs, LOGS);
    }
    struct hub_status status;
    hub_status(rig->hub, &status);
    cr_assert_gt(status.fallbacks, 0, "the queue was never full");
    member_await(other, PUSH, 2 + BLOCKS * LOGS);
    bufferevent_enable(slow->stream, EV_READ);
    member_await(slow, PUSH, 1 + BLOCKS * LOGS);
    cr_assert_eq(member_count(slow, PUSH), 1 + BLOCKS * LOGS);
    for (size_t i = 1, next = 0; i < slow->len; i++) {
        if (slow->frames[i].type != PUSH || slow->frames[i].at.block <= 2)
            continue;
        cr_assert_eq(slow->frames[i].at.block, 3 + next / LOGS);
        cr_assert_eq(slow->frames[i].at.log_index, next % LOGS);
        next++;
    }
    member_free(slow);
    member_free(other);
    rig_free(rig);
}

static int connect_silently(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

Test(hub, connections_without_a_hello_are_few_and_the_oldest_gives_way, .timeout = 60)
{
    enum { CONNECTIONS = HUB_STRANGERS_MAX + 100 };
    static int strangers[CONNECTIONS];
    const struct rlimit limit = {4096, 4096};
    struct rig *rig = rig_new();
    struct hub_status status;
    struct member *bob = member_new(rig, true);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < CONNECTIONS; i++)
        strangers[i] = connect_silently(hub_port(rig->hub));
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    hub_status(rig->hub, &status);
    cr_assert_eq(status.strangers, HUB_STRANGERS_MAX - 1, "all places taken, but bob's");
    cr_assert_eq(status.refused, 101);
    append(rig, (struct eth_log[]){device_added(&cluster)}, 1);
    member_await(bob, PUSH, 2);
    for (size_t i = 0; i < CONNECTIONS; i++)
        close(strangers[i]);
    member_free(bob);
    rig_free(rig);
}

Test(hub, a_members_new_session_replaces_its_older_one)
{
    struct rig *rig = rig_new();
    struct hub_status status;
    struct member *older = member_new(rig, true), *newer = member_new(rig, true);
    struct member *alice = member_new(rig, false);
    member_connect(alice, rig->base, hub_port(rig->hub));
    member_connect(older, rig->base, hub_port(rig->hub));
    member_await(alice, CHECKPOINT, 1);
    member_await(older, CHECKPOINT, 1);
    member_connect(newer, rig->base, hub_port(rig->hub));
    member_await_close(older);
    cr_assert_eq(older->frames[older->len - 1].refusal, indexer_RefusalCode_REFUSAL_REPLACED);
    member_await(newer, CHECKPOINT, 1);
    hub_status(rig->hub, &status);
    cr_assert_eq(status.sessions, 2);
    cr_assert_not(alice->closed, "another member's");
    member_free(alice);
    member_free(older);
    member_free(newer);
    rig_free(rig);
}

Test(hub, keeps_members_when_it_is_full)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit small = {HUB_FILES_RESERVED + 2, limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
    struct rig *rig = rig_new();
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    struct member *alice = member_new(rig, false), *bob = member_new(rig, true);
    struct member *late = member_new(rig, true);
    struct hub_status status;
    member_connect(alice, rig->base, hub_port(rig->hub));
    member_await(alice, CHECKPOINT, 1);
    member_connect(late, rig->base, hub_port(rig->hub));
    member_await(late, CHECKPOINT, 1);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await_close(bob);
    cr_assert_eq(bob->len, 0);
    cr_assert(!alice->closed && !late->closed);
    member_free(late);
    do {
        event_base_loop(rig->base, EVLOOP_ONCE);
        hub_status(rig->hub, &status);
    } while (status.sessions > 1);
    member_close(bob);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    member_free(alice);
    member_free(bob);
    rig_free(rig);
}

Test(hub, stopping_tells_the_members)
{
    struct rig *rig = rig_new();
    struct member *bob = member_new(rig, true);
    member_connect(bob, rig->base, hub_port(rig->hub));
    member_await(bob, CHECKPOINT, 1);
    hub_stop(rig->hub);
    member_await_close(bob);
    cr_assert_eq(bob->frames[bob->len - 1].refusal, indexer_RefusalCode_REFUSAL_STOPPING);
    member_free(bob);
    rig_free(rig);
}
