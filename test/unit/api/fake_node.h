/* A node of invented members for tests of the application socket: index 0 is the node itself. */
#ifndef TEST_UNIT_API_FAKE_NODE_H
#define TEST_UNIT_API_FAKE_NODE_H

#include "agent/api/api.h"

#define FAKE_MEMBERS_MAX 1024

struct fake_node {
    bool identity_known;
    uint32_t members;
    uint32_t operations; /* made so far */
    struct {
        bool up;
        bool removed;
    } member[FAKE_MEMBERS_MAX];
    const char *problem; /* of every peer */
    bool unhealthy;
    bool key_held;
    uint64_t key_generation;
    struct api_ticket waiting; /* of the message accepted last */
    size_t payload_len;        /* its */
    uint32_t rotations;
    api_Error_Code rotation_refusal;
    uint32_t messages;         /* in the inbox, each as long as can be, one in a block */
    struct api_server *server; /* that subscribers are told through */
    uint64_t told;             /* the last block that the subscriber was told of */
    bool caught_up;            /* and was told so */
};

struct api_source fake_node_source(struct fake_node *node);

#endif
