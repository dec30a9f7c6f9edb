#include "agent/shell/explain.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define INDEX_DIGITS_MAX 5
#define HEX_DIGITS_MIN 4

/* A name of a member, taken apart. */
struct name {
    enum { NAME_NONE, NAME_INDEX, NAME_IPV4, NAME_IPV6, NAME_HEX } kind;
    uint32_t number; /* index, or IPv4 in host order */
    uint8_t ipv6[16];
    const char *digits;
    size_t digits_len;
};

static struct name parse_name(const char *text)
{
    struct name name = {.digits_len = strlen(text), .digits = text};
    struct in_addr ipv4;
    if (name.digits_len > 0 && name.digits_len <= INDEX_DIGITS_MAX &&
        strspn(text, "0123456789") == name.digits_len) {
        name.kind = NAME_INDEX;
        name.number = (uint32_t)strtoul(text, NULL, 10);
    } else if (inet_pton(AF_INET, text, &ipv4) == 1) {
        name.kind = NAME_IPV4;
        name.number = ntohl(ipv4.s_addr);
    } else if (inet_pton(AF_INET6, text, name.ipv6) == 1) {
        name.kind = NAME_IPV6;
    } else {
        name.digits += strncasecmp(text, "0x", 2) == 0 ? 2 : 0;
        name.digits_len = strlen(name.digits);
        if (name.digits_len >= HEX_DIGITS_MIN &&
            strspn(name.digits, "0123456789abcdefABCDEF") == name.digits_len)
            name.kind = NAME_HEX;
    }
    return name;
}

static bool begins(const struct name *name, const uint8_t *bytes, size_t len)
{
    char digits[2 * 32 + 1];
    hex_encode(bytes, len, digits);
    return strncasecmp(digits, name->digits, name->digits_len) == 0;
}

static bool is_called(const struct core_member *member, const struct name *name)
{
    switch (name->kind) {
    case NAME_INDEX: return member->index == name->number;
    case NAME_IPV4: return member->record.mesh_ip == name->number;
    case NAME_IPV6: return memcmp(member->mesh_ip6, name->ipv6, sizeof(name->ipv6)) == 0;
    case NAME_HEX:
        return begins(name, member->record.member_id.b, sizeof(member->record.member_id.b)) ||
               begins(name, member->record.member_contract.b, sizeof(member->record.member_contract.b));
    case NAME_NONE: break;
    }
    return false;
}

api_Error_Code explain_find(const struct core *core, uint32_t count, const char *name,
                            struct core_member *out)
{
    const struct name wanted = parse_name(name);
    struct core_member member;
    uint32_t found = 0;
    if (wanted.kind == NAME_NONE)
        return api_Error_Code_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < count && core_member_at(core, i, &member); i++) {
        if (!is_called(&member, &wanted))
            continue;
        *out = member;
        found++;
    }
    if (found > 1)
        return api_Error_Code_INVALID_ARGUMENT;
    return found == 1 ? api_Error_Code_UNSPECIFIED : api_Error_Code_NOT_FOUND;
}

static void fill_stream(const struct core_member *member, uint64_t now_ms, api_PeerPath *out)
{
    out->dial_is_ours = member->link_ours;
    out->stream_is_dialed = member->link_dialed;
    out->stream_since_s = (now_ms - member->link_since_ms) / 1000;
    out->stream_failures = member->link_failures;
    out->dialing = member->link == CORE_LINK_DIALING;
    out->has_next_dial_s = member->next_dial_ms != CORE_NEVER;
    if (out->has_next_dial_s && member->next_dial_ms > now_ms)
        out->next_dial_s = (member->next_dial_ms - now_ms) / 1000;
    snprintf(out->stream_error, sizeof(out->stream_error), "%s", member->link_text);
}

static void fill_refusal(const struct core_member *member, char *out, size_t size)
{
    if (member->older_index == CORE_NO_INDEX)
        snprintf(out, size, "%s", core_refusal_name(member->refusal));
    else
        snprintf(out, size, "%s (member %u)", core_refusal_name(member->refusal), member->older_index);
}

api_Error_Code explain_fill_path(const struct views *views, const char *name, api_PeerPath *out)
{
    struct core_status status;
    struct core_member member;
    core_status(views->core, &status);
    const api_Error_Code code = explain_find(views->core, status.members, name, &member);
    if (code != api_Error_Code_UNSPECIFIED)
        return code;
    out->has_peer = true;
    views_fill_peer(views, &member, &out->peer);
    out->self = member.is_self;
    if (member.refusal != CORE_REFUSAL_NONE)
        fill_refusal(&member, out->refusal, sizeof(out->refusal));
    out->device_in_place = status.device_in_place;
    snprintf(out->device_error, sizeof(out->device_error), "%s", status.device_error);
    fill_stream(&member, views_now_ms(), out);
    out->heard = member.heard;
    out->has_heartbeat_age_ms = member.heartbeat_age_ms != CORE_NEVER;
    if (out->has_heartbeat_age_ms)
        out->heartbeat_age_ms = member.heartbeat_age_ms;
    out->hears_us = member.hears_us;
    return api_Error_Code_UNSPECIFIED;
}
