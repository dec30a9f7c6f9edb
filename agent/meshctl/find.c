#include "agent/meshctl/find.h"

#include <errno.h>
#include <stdio.h>

#include "agent/meshctl/command.h"

static int refusal_code(api_Error_Code code)
{
    if (code == api_Error_Code_NOT_FOUND)
        return -ENOENT;
    return code == api_Error_Code_INVALID_ARGUMENT ? -EINVAL : AM_EREMOTE;
}

int find_path(struct api_client *client, const char *name, api_PeerPath *out, struct am_err *err)
{
    static api_Response answer;
    api_Request request = {.id = 1, .which_body = api_Request_explain_peer_tag};
    char *const wanted = request.body.explain_peer.name;
    const size_t room = sizeof(request.body.explain_peer.name);
    if (snprintf(wanted, room, "%s", name) >= (int)room)
        return am_fail(err, -EINVAL, "no member has a name that long");
    const int code = command_ask(client, &request, api_Response_peer_path_tag, &answer, err);
    if (code == AM_EREMOTE)
        return am_fail(err, refusal_code(answer.body.error.code), "%s: %s", name, answer.body.error.text);
    if (code == 0)
        *out = answer.body.peer_path;
    return code;
}
