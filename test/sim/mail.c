/* Envelopes: those by which nodes tell each other their endpoints, and messages that applications write. They
 * are in blocks, and who they are for reads them there. */
#include <stdlib.h>

#include "agent/core/state.h" /* what a node holds for told */
#include "crypto/keccak.h"
#include "test/sim/world.h"

#define MAIL_READ_MS 20000 /* a node has read what is older */
#define MAIL_UNDONE_PCT 50 /* of the endpoints in blocks that are reorganised */

/* An endpoint never changes here: its id follows from sender, recipient and time. */
struct bytes32 mail_endpoint_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms)
{
    const struct core_identity *identity = user;
    uint8_t bytes[72];

    memcpy(bytes, identity->member_id.b, 32);
    memcpy(bytes + 32, recipient->b, 32);
    be64_write(bytes + 64, issued_ms);
    return keccak256(bytes, sizeof(bytes));
}

static bool mail_is_of(const struct sim_mail *mail, const struct bytes32 *from, const struct bytes32 *to)
{
    return bytes32_equal(&mail->from, from) && bytes32_equal(&mail->to, to);
}

static const struct sim_mail *mail_find(const struct world *world, const struct sim_mail *like)
{
    for (uint32_t i = 0; i < world->mails_len; i++)
        if (mail_is_of(&world->mails[i], &like->from, &like->to) &&
            bytes32_equal(&world->mails[i].id, &like->id))
            return &world->mails[i];
    return NULL;
}

/* What an action would send; false when there is nobody to send it to. */
bool mail_of_action(struct world *world, uint32_t n, const struct core_action *action, struct sim_mail *out)
{
    struct sim_node *node = &world->nodes[n];
    struct core_member member;

    *out = (struct sim_mail){.from = node->identity.member_id};
    if (action->type == CORE_DO_SEND_MESSAGE) {
        out->to = world->nodes[node->letters[0]].identity.member_id;
        out->id = world_bytes("letter", world->seed + n, node->letters_sent);
        return node->letters_len != 0;
    }
    if (!core_member_at(node->core, action->envelope.index, &member))
        return false;
    out->is_endpoint = true;
    out->to = member.record.member_id;
    out->id = mail_endpoint_id(&node->identity, &out->to, action->envelope.issued_ms);
    return true;
}

static struct core_inbox_message mail_message(const struct sim_mail *mail)
{
    return (struct core_inbox_message){
        .sender = mail->from, .envelope_id = mail->id, .ciphertext_hash = mail->id};
}

/* The place of an inbox behind the first `len` of all mails that are in blocks up to `block`. */
static struct core_inbox mail_place(const struct world *world, const struct bytes32 *to, uint32_t len,
                                    uint64_t block)
{
    for (uint32_t i = len; i-- > 0;)
        if (world->mails[i].block <= block && bytes32_equal(&world->mails[i].to, to))
            return world->mails[i].place;
    return (struct core_inbox){0};
}

/* Works out the places of inboxes from mail number `first` on. */
static void mail_number(struct world *world, uint32_t first)
{
    for (uint32_t i = first; i < world->mails_len; i++) {
        struct sim_mail *mail = &world->mails[i];
        const struct core_inbox_message message = mail_message(mail);
        mail->place = mail_place(world, &mail->to, i, UINT64_MAX);
        core_inbox_extend(&mail->place, &message);
        world->places =
            array_grow(world->places, world->places_len, &world->places_capacity, sizeof(*world->places));
        world->places[world->places_len++] = (struct sim_place){.to = mail->to, .place = mail->place};
    }
}

/* The call reverts when the chain has it already, or one of the two is no live member. */
void mail_land(struct world *world, uint32_t n, const struct sim_mail *mail)
{
    if (mail_find(world, mail) || !chain_is_live(&world->chain, &mail->from) ||
        !chain_is_live(&world->chain, &mail->to))
        return;
    for (uint32_t i = 0; mail->is_endpoint && i < world->mails_len; i++)
        if (world->mails[i].is_endpoint && mail_is_of(&world->mails[i], &mail->from, &mail->to))
            world_fail(world, n, "pays twice to tell a member its endpoint");
    world->mails = array_grow(world->mails, world->mails_len, &world->mails_capacity, sizeof(*world->mails));
    world->mails[world->mails_len] = *mail;
    world->mails[world->mails_len++].block = world_block(world);
    mail_number(world, world->mails_len - 1);
}

bool mail_is_settled(const struct world *world, const struct sim_mail *mail)
{
    return mail_find(world, mail) || (!mail->is_endpoint && !chain_is_live(&world->chain, &mail->to));
}

/* What comes after `block` is in block `again` from now on, in the opposite order; some endpoints are in no
 * block any more. */
void mail_reorganise(struct world *world, uint64_t block, uint64_t again)
{
    const bool is_deep = world->broken == BREAK_DEEP_REORG;
    uint32_t len = 0, first = 0;

    for (uint32_t i = 0; i < world->mails_len; i++) {
        struct sim_mail mail = world->mails[i];
        const bool is_after = mail.block > block;
        if ((is_after || is_deep) && mail.is_endpoint && world_chance(world, MAIL_UNDONE_PCT))
            continue;
        if (is_after)
            mail.block = again;
        else
            first = len + 1;
        world->mails[len++] = mail;
    }
    world->mails_len = len;
    for (uint32_t i = first, j = len; i + 1 < j; i++) {
        const struct sim_mail mail = world->mails[--j];
        world->mails[j] = world->mails[i];
        world->mails[i] = mail;
    }
    mail_number(world, is_deep ? 0 : first);
}

/* What nobody ever sent. */
static struct core_inbox_message mail_forgery(const struct world *world, uint32_t n)
{
    return (struct core_inbox_message){.sender = world->nodes[n].identity.member_id};
}

/* The part of nodeState that is about the inbox of a node. */
void mail_state_at(const struct world *world, uint32_t n, struct core_chain_state *state)
{
    struct core_inbox inbox =
        mail_place(world, &world->nodes[n].identity.member_id, world->mails_len, state->block);
    const struct core_inbox_message forgery = mail_forgery(world, n);

    if (world->broken == BREAK_FORGED_MAIL)
        core_inbox_extend(&inbox, &forgery);
    state->inbox_count = inbox.count;
    state->inbox_head = inbox.head;
}

/* Another head, one message too many, or an inbox of twenty blocks before. */
void mail_lie_about_state(struct world *world, uint32_t n, struct core_chain_state *state)
{
    const uint64_t draw = rng_between(&world->rng, 0, 2);
    struct core_chain_state older = {.block = state->block > 20 ? state->block - 20 : 0};

    if (draw == 0) {
        state->inbox_head.b[0] ^= 1;
    } else if (draw == 1) {
        state->inbox_count++;
    } else {
        mail_state_at(world, n, &older);
        state->inbox_count = older.inbox_count;
        state->inbox_head = older.inbox_head;
    }
}

/* The messages to a node in some blocks, in order; `out` has room for all there are. Returns their number. */
static uint32_t mail_logs(const struct world *world, uint32_t n, uint64_t from, uint64_t to,
                          struct core_inbox_message *out)
{
    uint32_t len = 0;

    for (uint32_t i = 0; i < world->mails_len; i++)
        if (world->mails[i].block >= from && world->mails[i].block <= to &&
            bytes32_equal(&world->mails[i].to, &world->nodes[n].identity.member_id))
            out[len++] = mail_message(&world->mails[i]);
    return len;
}

/* A log is left out, comes twice, or before its time. `logs` has room for one more. Returns their number. */
static uint32_t mail_lie_about_logs(struct world *world, struct core_inbox_message *logs, uint32_t len)
{
    const uint64_t draw = world->broken == BREAK_LOST_MAIL ? 0 : rng_between(&world->rng, 0, 2);

    if (len == 0)
        return 0;
    const uint32_t at = (uint32_t)rng_between(&world->rng, 0, len - 1);
    const struct core_inbox_message log = logs[at];
    if (draw == 0) {
        memmove(logs + at, logs + at + 1, (len - at - 1) * sizeof(*logs));
        return len - 1;
    }
    if (draw == 1) {
        logs[len] = log;
        return len + 1;
    }
    logs[at] = logs[0];
    logs[0] = log;
    return len;
}

void mail_read_inbox(struct world *world, uint32_t n, uint64_t from, uint64_t to)
{
    struct core_inbox_message *logs = calloc(world->mails_len + 1, sizeof(*logs));

    if (!logs)
        abort();
    uint32_t len = mail_logs(world, n, from, to, logs);
    if (world_chance(world, world->faults.rpc_lie_pct) || world->broken == BREAK_LOST_MAIL)
        len = mail_lie_about_logs(world, logs, len);
    if (world->broken == BREAK_FORGED_MAIL)
        logs[len++] = mail_forgery(world, n);
    for (uint32_t i = 0; i < len; i++)
        shell_step(
            world, n,
            &(struct core_event){.type = CORE_EVENT_INBOX_MESSAGES, .inbox = {.items = &logs[i], .len = 1}});
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_INBOX_READ});
    free(logs);
}

void mail_read_sent(struct world *world, uint32_t n, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < world->mails_len; i++) {
        const struct sim_mail *mail = &world->mails[i];
        struct core_sent sent = {.recipient = mail->to, .envelope_id = mail->id};
        if (!mail->is_endpoint || mail->block < from || mail->block > to ||
            !bytes32_equal(&mail->from, &world->nodes[n].identity.member_id))
            continue;
        if (world->broken == BREAK_FORGED_SENT)
            sent.envelope_id.b[0] ^= 1;
        shell_step(
            world, n,
            &(struct core_event){.type = CORE_EVENT_SENT_ENVELOPES, .sent = {.items = &sent, .len = 1}});
    }
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_SENT_READ});
}

/* An application writes to another node. */
void mail_write(struct world *world, uint32_t n, uint32_t to)
{
    struct sim_node *node = &world->nodes[n];

    if (!node->core || node->letters_len == SIM_LETTERS_MAX || n == to)
        return;
    world_say(world, n, "has a message for node %u", to);
    node->letters[node->letters_len++] = to;
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_MESSAGE_QUEUED});
}

void mail_settled(struct world *world, uint32_t n)
{
    struct sim_node *node = &world->nodes[n];

    memmove(node->letters, node->letters + 1, --node->letters_len * sizeof(node->letters[0]));
    node->letters_sent++;
}

void mail_moved(struct world *world, uint32_t n)
{
    struct core_inbox inbox;

    core_inbox(world->nodes[n].core, &inbox);
    if (inbox.count == 0 && bytes32_is_zero(&inbox.head))
        return;
    for (uint32_t i = world->places_len; i-- > 0;)
        if (world->places[i].place.count == inbox.count &&
            bytes32_equal(&world->places[i].to, &world->nodes[n].identity.member_id) &&
            bytes32_equal(&world->places[i].place.head, &inbox.head))
            return;
    world_fail(world, n, "takes in %llu messages that were never all of its inbox",
               (unsigned long long)inbox.count);
}

/* Whom a node need not tell again, has been told. */
static void mail_check_told(struct world *world, uint32_t n)
{
    const struct sim_node *node = &world->nodes[n];
    const struct members *members = &node->core->members;

    for (uint32_t i = 0; i < members->count; i++) {
        const struct errand *errand = &members->rows[i].errand;
        const struct sim_mail mail = {
            .from = node->identity.member_id, .to = errand->member_id, .id = errand->last};
        if (errand->is_current && errand->fresh == 0 && !mail_find(world, &mail))
            world_fail(world, n, "counts member %u as told, which the chain does not", i);
    }
}

/* Everybody has read what was for it, up to moments ago, and that alone. */
void mail_check(struct world *world)
{
    for (uint32_t n = 0; n < world->nodes_len; n++) {
        struct core_inbox inbox = {0};
        if (world->nodes[n].removed || !world->nodes[n].core)
            continue;
        mail_check_told(world, n);
        core_inbox(world->nodes[n].core, &inbox);
        struct core_chain_state state = {.block = inbox.block};
        mail_state_at(world, n, &state);
        if (inbox.block < (world->now_ms - MAIL_READ_MS) / 1000 || inbox.count != state.inbox_count ||
            !bytes32_equal(&inbox.head, &state.inbox_head))
            world_fail(world, n, "has read %llu of %llu messages, up to block %llu",
                       (unsigned long long)inbox.count, (unsigned long long)state.inbox_count,
                       (unsigned long long)inbox.block);
    }
}
