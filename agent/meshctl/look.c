#include "agent/meshctl/look.h"

#include <stdio.h>

#include "agent/meshctl/show.h"

#define SYNC_TIMEOUT_MS 5000

int look_at_status(const struct invocation *invocation)
{
    static api_Response answer, self;
    struct am_err err;
    const api_Request ask_status = {.id = 1, .which_body = api_Request_get_status_tag};
    const api_Request ask_self = {.id = 2, .which_body = api_Request_get_self_tag};
    if (command_ask(invocation->client, &ask_status, api_Response_status_tag, &answer, &err))
        return command_fail(&err);
    const int code = command_ask(invocation->client, &ask_self, api_Response_self_tag, &self, &err);
    const bool unknown = code == AM_EREMOTE && self.body.error.code == api_Error_Code_UNAVAILABLE;
    if (code && !unknown)
        return command_fail(&err);
    const api_Status *status = &answer.body.status;
    (invocation->json ? show_status_json : show_status_text)(status, unknown ? NULL : &self.body.self);
    return invocation->check && status->phase != api_Status_Phase_HEALTHY ? EXIT_UNHEALTHY : EXIT_OK;
}

int look_at_indexer(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_get_status_tag};
    if (command_ask(invocation->client, &request, api_Response_status_tag, &answer, &err))
        return command_fail(&err);
    const api_Status *status = &answer.body.status;
    (invocation->json ? show_indexer_json : show_indexer_text)(status->has_indexer ? &status->indexer : NULL);
    return EXIT_OK;
}

int look_at_peers(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    api_Request request = {.id = 1, .which_body = api_Request_list_peers_tag};
    const api_PeerPage *page = &answer.body.peer_page;
    if (!invocation->json)
        show_peers_header();
    do {
        if (command_ask(invocation->client, &request, api_Response_peer_page_tag, &answer, &err))
            return command_fail(&err);
        for (pb_size_t i = 0; i < page->peers_count; i++)
            (invocation->json ? show_peer_json : show_peer_text)(&page->peers[i]);
        if (page->next_index && page->next_index <= request.body.list_peers.first_index) {
            am_fail(&err, AM_EFORMAT, "the agent's pages do not move on");
            return command_fail(&err);
        }
        request.body.list_peers.first_index = page->next_index;
    } while (page->next_index);
    return EXIT_OK;
}

int look_at_operations(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_list_operations_tag};
    if (command_ask(invocation->client, &request, api_Response_operation_list_tag, &answer, &err))
        return command_fail(&err);
    if (!invocation->json)
        show_operations_header();
    const api_OperationList *list = &answer.body.operation_list;
    for (pb_size_t i = 0; i < list->operations_count; i++)
        (invocation->json ? show_operation_json : show_operation_text)(&list->operations[i]);
    return EXIT_OK;
}

int look_at_events(const struct invocation *invocation)
{
    static api_Response answer;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_subscribe_peer_events_tag};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (api_client_send(invocation->client, &request, &err))
        return command_fail(&err);
    bool synced = false;
    while (!synced || invocation->follow) {
        if (api_client_receive(invocation->client, synced ? -1 : SYNC_TIMEOUT_MS, &answer, &err))
            return command_fail(&err);
        if (answer.which_body != api_Response_peer_event_tag)
            continue;
        (invocation->json ? show_event_json : show_event_text)(&answer.body.peer_event);
        synced = synced || answer.body.peer_event.kind == api_PeerEvent_Kind_SYNCED;
    }
    return EXIT_OK;
}
