#include "agent/meshctl/find.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/meshctl/command.h"
#include "crypto/bytes.h"

#define PREFIX_MIN 4

static bool begins_with(const uint8_t *bytes, size_t len, const char *name)
{
    char digits[2 * 32 + 1];
    const char *const prefix = strncasecmp(name, "0x", 2) == 0 ? name + 2 : name;
    hex_encode(bytes, len, digits);
    return strlen(prefix) >= PREFIX_MIN && strncasecmp(digits, prefix, strlen(prefix)) == 0;
}

static bool is_named(const api_Peer *peer, const char *name)
{
    char index[16];
    snprintf(index, sizeof(index), "%u", (unsigned)peer->index);
    return strcmp(name, index) == 0 || strcmp(name, peer->mesh_ipv4) == 0 ||
           strcasecmp(name, peer->mesh_ipv6) == 0 ||
           begins_with(peer->member_id, sizeof(peer->member_id), name) ||
           begins_with(peer->member_contract, sizeof(peer->member_contract), name);
}

int find_peer(struct api_client *client, const char *name, api_Peer *out, struct am_err *err)
{
    static api_Response answer;
    api_Request request = {.id = 1, .which_body = api_Request_list_peers_tag};
    const api_PeerPage *page = &answer.body.peer_page;
    size_t found = 0;
    do {
        const int code = command_ask(client, &request, api_Response_peer_page_tag, &answer, err);
        if (code)
            return code;
        for (pb_size_t i = 0; i < page->peers_count; i++) {
            if (!is_named(&page->peers[i], name))
                continue;
            *out = page->peers[i];
            found++;
        }
        if (page->next_index <= request.body.list_peers.first_index)
            break;
        request.body.list_peers.first_index = page->next_index;
    } while (page->next_index);
    if (found == 0)
        return am_fail(err, -ENOENT, "no live peer is called %s; meshctl peers lists them", name);
    return found == 1 ? 0 : am_fail(err, -EEXIST, "%zu peers are called %s: use more digits", found, name);
}
