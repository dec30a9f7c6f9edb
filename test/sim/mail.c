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

/* The call reverts when the chain has it already, or one of the two is no live member. */
void mail_land(struct world *world, uint32_t n, const struct sim_mail *mail)
{
    if (mail_find(world, mail) || !chain_is_live(&world->chain, &mail->from) ||
        !chain_is_live(&world->chain, &mail->to))
        return;
    for (uint32_t i = 0; mail->is_endpoint && i < world->mails_len; i++)
        if (world->mails[i].is_endpoint && mail_is_of(&world->mails[i], &mail->from, &mail->to))
            world_fail(world, n, "pays twice to tell a member its endpoint");
    if (world->mails_len == world->mails_capacity) {
        world->mails_capacity = world->mails_capacity == 0 ? 64 : 2 * world->mails_capacity;
        world->mails = reallocarray(world->mails, world->mails_capacity, sizeof(*world->mails));
        if (!world->mails)
            abort();
    }
    world->mails[world->mails_len] = *mail;
    world->mails[world->mails_len++].block = world_block(world);
}

bool mail_is_settled(const struct world *world, const struct sim_mail *mail)
{
    return mail_find(world, mail) || (!mail->is_endpoint && !chain_is_live(&world->chain, &mail->to));
}

/* What comes after `block` is in block `again` from now on; some endpoints are in no block any more. */
void mail_reorganise(struct world *world, uint64_t block, uint64_t again)
{
    uint32_t len = 0;

    for (uint32_t i = 0; i < world->mails_len; i++) {
        struct sim_mail mail = world->mails[i];
        if (mail.block > block || world->broken == BREAK_DEEP_REORG) {
            if (mail.is_endpoint && world_chance(world, MAIL_UNDONE_PCT))
                continue;
            mail.block = mail.block > block ? again : mail.block;
        }
        world->mails[len++] = mail;
    }
    world->mails_len = len;
}

static struct core_inbox_message mail_message(const struct sim_mail *mail)
{
    return (struct core_inbox_message){
        .sender = mail->from, .envelope_id = mail->id, .ciphertext_hash = mail->id};
}

/* The part of nodeState that is about the inbox of a node. */
void mail_state_at(const struct world *world, uint32_t n, struct core_chain_state *state)
{
    struct core_inbox inbox = {0};

    for (uint32_t i = 0; i < world->mails_len; i++) {
        const struct core_inbox_message message = mail_message(&world->mails[i]);
        if (world->mails[i].block <= state->block &&
            bytes32_equal(&world->mails[i].to, &world->nodes[n].identity.member_id))
            core_inbox_extend(&inbox, &message);
    }
    state->inbox_count = inbox.count;
    state->inbox_head = inbox.head;
}

/* In bad weather a log is left out. */
void mail_read_inbox(struct world *world, uint32_t n, uint64_t from, uint64_t to)
{
    bool lies = world_chance(world, world->faults.rpc_lie_pct) || world->broken == BREAK_LOST_MAIL;

    for (uint32_t i = 0; i < world->mails_len; i++) {
        const struct sim_mail *mail = &world->mails[i];
        const struct core_inbox_message message = mail_message(mail);
        if (mail->block < from || mail->block > to ||
            !bytes32_equal(&mail->to, &world->nodes[n].identity.member_id))
            continue;
        if (!lies)
            shell_step(world, n,
                       &(struct core_event){.type = CORE_EVENT_INBOX_MESSAGES,
                                            .inbox = {.items = &message, .len = 1}});
        lies = false;
    }
    shell_step(world, n, &(struct core_event){.type = CORE_EVENT_INBOX_READ});
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

/* Everybody has read what was for it. */
void mail_check(struct world *world)
{
    for (uint32_t n = 0; n < world->nodes_len; n++) {
        struct core_chain_state state = {.block = (world->now_ms - MAIL_READ_MS) / 1000};
        struct core_inbox inbox = {0};
        if (world->nodes[n].removed || !world->nodes[n].core)
            continue;
        mail_check_told(world, n);
        mail_state_at(world, n, &state);
        core_inbox(world->nodes[n].core, &inbox);
        if (inbox.count < state.inbox_count)
            world_fail(world, n, "has read %llu of %llu messages", (unsigned long long)inbox.count,
                       (unsigned long long)state.inbox_count);
    }
}
