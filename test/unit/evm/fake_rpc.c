#include "test/unit/evm/fake_rpc.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

struct fake_method *fake_rpc_method(struct fake_rpc *fake, const char *method)
{
    for (size_t i = 0; i < FAKE_RPC_METHODS_MAX && fake->methods[i].name; i++) {
        if (strcmp(fake->methods[i].name, method) == 0)
            return &fake->methods[i];
    }
    cr_assert_fail("unexpected call of %s", method);
    return NULL;
}

static char *fill_hash(const char *fragment, const struct bytes32 *hash)
{
    char *filled = calloc(1, strlen(fragment) + 8 * BYTES32_HEX_SIZE), *end = filled, text[BYTES32_HEX_SIZE];
    cr_assert(filled);
    for (const char *at = fragment; *at;) {
        if (hash && strncmp(at, "$HASH", 5) == 0) {
            end = stpcpy(end, bytes32_hex(hash, text));
            at += 5;
        } else {
            *end++ = *at++;
        }
    }
    return filled;
}

static void handle(void *user, const struct fake_request *request, struct fake_reply *reply)
{
    struct fake_rpc *fake = user;
    json_object *root = json_tokener_parse(request->body);
    const char *name = json_object_get_string(json_object_object_get(root, "method"));
    struct fake_method *method = fake_rpc_method(fake, name);
    unsigned index = method->calls++;
    while (index > 0 && (index >= FAKE_RPC_ANSWERS_MAX || !method->answers[index]))
        index--;
    if (fake->observe)
        fake->observe(fake->user, name, json_object_object_get(root, "params"));
    const char *answer = method->answers[index];
    if (strcmp(answer, FAKE_NEVER) == 0) {
        reply->never = true;
    } else if (strcmp(answer, FAKE_GARBAGE) == 0) {
        reply->body = strdup("<html>");
    } else if (strcmp(answer, FAKE_HTTP_ERROR) == 0) {
        reply->status = 502;
    } else if (strcmp(answer, FAKE_BUSY) == 0) {
        reply->status = 429;
        reply->retry_after = "60";
    } else {
        char *fragment = fill_hash(answer, fake->hash);
        fake_reply_rpc(reply, request, fragment);
        free(fragment);
    }
    json_object_put(root);
}

void fake_rpc_start(struct fake_rpc *fake, struct event_base *base, struct http_client *http)
{
    fake->server = fake_server_new(base, NULL, handle, fake);
    const char *const urls[] = {fake_server_url(fake->server)};
    fake->rpc = rpc_new(http, urls, 1);
    cr_assert(fake->rpc);
}

void fake_rpc_stop(struct fake_rpc *fake)
{
    rpc_free(fake->rpc);
    fake_server_free(fake->server);
}

void fake_rpc_answer(struct fake_rpc *fake, const char *method, const char *fragment)
{
    struct fake_method *m = fake_rpc_method(fake, method);
    memset(m->answers, 0, sizeof(m->answers));
    m->answers[0] = fragment;
}
