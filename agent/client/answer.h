/* From the messages of agent.proto to the structures of attestmesh.h. Internal to the library. Pure. */
#ifndef AGENT_CLIENT_ANSWER_H
#define AGENT_CLIENT_ANSWER_H

#include "agent/api/api.h"
#include "agent/client/attestmesh.h"

/* An answer with everything that it points to, except the texts. */
struct answer {
    struct attestmesh_answer public;
    struct attestmesh_peer peers[API_PAGE_MAX];
    const struct attestmesh_peer *pointers[API_PAGE_MAX];
};

/* The texts of `out` are those in `response`. */
void answer_set(struct answer *out, const api_Response *response);

#endif
