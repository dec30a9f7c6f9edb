/* The dstack client against the guest agent simulator, which is written in another language with other
 * libraries. */
#include "agent/attest/dstack.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/box.h"
#include "evm/http_client.h"

#define APP_ID "0x1111111111111111111111111111111111111111"

static char folder[] = "/tmp/attestmesh-dstack-XXXXXX";
static char endpoint[64];
static pid_t simulator;
static struct event_base *base;
static struct http_client *http;
static struct attestor *attestor;

static struct am_err err;
static const struct attest_identity *identity;
static struct secret *key;
static unsigned answers;

static void run_simulator(int out, const char *listen, const char *fault)
{
    const char *argv[] = {NODE,     GUEST_AGENT, "--listen", listen, "--app-id", APP_ID,
                          "--seed", "0x01",      "--fault",  fault,  NULL};
    if (!fault)
        argv[8] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out, STDOUT_FILENO);
    execv(NODE, (char *const *)argv);
    _exit(127);
}

/* Starts the simulator and waits for its first line, which ends with where it listens. */
static void start_simulator(const char *listen, const char *fault)
{
    int ends[2];
    char line[256] = "";
    cr_assert_eq(pipe(ends), 0);
    simulator = fork();
    if (simulator == 0)
        run_simulator(ends[1], listen, fault);
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    cr_assert_not_null(fgets(line, sizeof(line), out), "the simulator does not start");
    fclose(out);
    line[strcspn(line, "\n")] = '\0';
    snprintf(endpoint, sizeof(endpoint), "%s%s", listen[0] == '/' ? "" : "http://", strrchr(line, ' ') + 1);
}

static void set_up(void)
{
    cr_assert_eq(secret_init(), 0);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(endpoint, sizeof(endpoint), "%s/dstack.sock", folder);
    base = event_base_new();
    http = http_client_new(base);
}

static void tear_down(void)
{
    attestor_free(attestor);
    http_client_free(http);
    event_base_free(base);
    if (simulator > 0) {
        kill(simulator, SIGKILL);
        waitpid(simulator, NULL, 0);
    }
    unlink(endpoint);
    rmdir(folder);
}

TestSuite(dstack, .init = set_up, .fini = tear_down, .timeout = 60);

static void take_identity(void *user, const struct attest_identity *found, const struct am_err *failure)
{
    (void)user;
    answers++;
    identity = found;
    if (failure)
        err = *failure;
    event_base_loopbreak(base);
}

static void take_key(void *user, struct secret *found, const struct am_err *failure)
{
    (void)user;
    answers++;
    secret_free(key);
    key = found;
    if (failure)
        err = *failure;
    event_base_loopbreak(base);
}

static void read_identity(void)
{
    attestor = dstack_new(http, endpoint);
    cr_assert_eq(attestor_read_identity(attestor, take_identity, NULL), 0);
    cr_assert_eq(answers, 0, "no callback from within the call");
    event_base_dispatch(base);
    cr_assert_eq(answers, 1);
}

static void expect_failure(const char *fault, const char *sentence)
{
    start_simulator(endpoint, fault);
    read_identity();
    cr_assert_null(identity);
    cr_assert(strstr(err.text, sentence), "\"%s\" is not in: %s", sentence, err.text);
    cr_assert(strstr(err.text, endpoint), "the endpoint is not in: %s", err.text);
    cr_assert_eq(attestor_build_registration(attestor, &(struct address){{0}}, &(struct address){{0}},
                                             &(struct cluster_keys){0}, &(struct abi_writer){0}, NULL),
                 -EAGAIN);
}

static void check_registration(void)
{
    const struct address cluster = {{0xaa}};
    struct abi_writer calldata = {0};
    cr_assert_eq(
        attestor_build_registration(attestor, &cluster, &identity->app_id, &identity->keys, &calldata, NULL),
        0);

    bool ok = true;
    struct abi_reader call = abi_reader_of(calldata.data + 4, calldata.len - 4, &ok);
    const size_t proof_offset = (size_t)abi_take_u64(&call);
    struct abi_reader proof = abi_reader_of(call.data + proof_offset, call.len - proof_offset, &ok);
    const struct bytes32 code_id = abi_take_bytes32(&proof), message_hash = abi_take_bytes32(&proof);
    const struct bytes32 bind_hash = cluster_bind_hash(&cluster, &identity->app_id, &identity->keys);
    size_t len;
    struct secp_signature signature;
    const uint8_t *bytes = abi_take_bytes(&proof, &len);
    cr_assert(ok);
    cr_assert_eq(len, sizeof(signature.b));
    memcpy(signature.b, bytes, len);

    struct address signer;
    const struct bytes32 digest = secp_personal_digest(&message_hash);
    cr_assert_arr_eq(code_id.b, identity->app_id.b, 20);
    cr_assert(bytes32_equal(&message_hash, &bind_hash));
    cr_assert_eq(secp_recover_address(&digest, &signature, &signer), 0);
    cr_assert(address_equal(&signer, &identity->owner_address));
    abi_writer_free(&calldata);
}

Test(dstack, identity_over_unix_socket_builds_a_registration)
{
    char text[ADDRESS_HEX_SIZE];
    start_simulator(endpoint, NULL);
    read_identity();
    cr_assert_not_null(identity, "%s", err.text);
    cr_assert_str_eq(address_hex(&identity->app_id, text), APP_ID);
    check_registration();
}

Test(dstack, identity_over_http_is_the_same_again)
{
    unlink(endpoint);
    start_simulator("0", NULL);
    read_identity();
    cr_assert_not_null(identity, "%s", err.text);
    const struct cluster_keys first = identity->keys;
    cr_assert_eq(attestor_read_identity(attestor, take_identity, NULL), 0);
    event_base_dispatch(base);
    cr_assert_not_null(identity, "%s", err.text);
    cr_assert_arr_eq(&identity->keys, &first, sizeof(first));
}

Test(dstack, keys_differ_by_generation)
{
    struct bytes32 generation_0, generation_1;
    start_simulator(endpoint, NULL);
    read_identity();
    cr_assert_eq(attestor_derive_key(attestor, ATTEST_KEY_WIREGUARD, 0, take_key, NULL), 0);
    event_base_dispatch(base);
    cr_assert_not_null(key, "%s", err.text);
    box_pubkey_of_secret(key, &generation_0);
    cr_assert(bytes32_equal(&generation_0, &identity->keys.wg));
    cr_assert_eq(attestor_derive_key(attestor, ATTEST_KEY_WIREGUARD, 1, take_key, NULL), 0);
    event_base_dispatch(base);
    box_pubkey_of_secret(key, &generation_1);
    cr_assert_not(bytes32_equal(&generation_0, &generation_1));
    secret_free(key);
}

Test(dstack, free_drops_what_is_in_flight)
{
    start_simulator(endpoint, "hang");
    attestor = dstack_new(http, endpoint);
    attestor_read_identity(attestor, take_identity, NULL);
    attestor_derive_key(attestor, ATTEST_KEY_CSK_CACHE, 0, take_key, NULL);
    attestor_derive_key(attestor, ATTEST_KEY_WIREGUARD, 7, take_key, NULL);
    event_base_loop(base, EVLOOP_ONCE);
    attestor_free(attestor);
    attestor = NULL;
    event_base_loop(base, EVLOOP_NONBLOCK);
    cr_assert_eq(answers, 0);
}

Test(dstack, absent_guest_agent_says_what_to_check)
{
    read_identity();
    cr_assert_null(identity);
    cr_assert(strstr(err.text, "Info"), "%s", err.text);
    cr_assert(strstr(err.text, "check DSTACK_ENDPOINT"), "%s", err.text);
}

Test(dstack, key_failure_names_the_path)
{
    start_simulator(endpoint, "missing-field");
    attestor = dstack_new(http, endpoint);
    attestor_derive_key(attestor, ATTEST_KEY_WIREGUARD, 7, take_key, NULL);
    event_base_dispatch(base);
    cr_assert_null(key);
    cr_assert(strstr(err.text, "GetKey attestmesh.wireguard.v1/7: field key is missing"), "%s", err.text);
}

Test(dstack, fault_is_refused_missing_app_id)
{
    expect_failure("missing-field@Info", "Info: field app_id is missing");
}

Test(dstack, fault_is_refused_missing_key)
{
    expect_failure("missing-field", "GetKey attestmesh.identity.v1: field key is missing");
}

Test(dstack, fault_is_refused_missing_chain)
{
    expect_failure("missing-chain@attestmesh.binding.v1",
                   "GetKey attestmesh.binding.v1: field signature_chain is missing");
}

Test(dstack, fault_is_refused_wrong_length)
{
    expect_failure("wrong-length@attestmesh.wireguard.v1",
                   "GetKey attestmesh.wireguard.v1: field key is not 64 hexadecimal digits");
}

Test(dstack, fault_is_refused_broken_link)
{
    expect_failure("broken-link@attestmesh.binding.v1", "not vouched for by the same app key and KMS");
}

Test(dstack, fault_is_refused_foreign_key)
{
    expect_failure("foreign-key", "not vouched for by the same app key and KMS");
}

Test(dstack, fault_is_refused_http_500)
{
    expect_failure("http-500", "HTTP status 500");
}

Test(dstack, fault_is_refused_garbage)
{
    expect_failure("garbage", "the answer is not a JSON object");
}

Test(dstack, fault_is_refused_truncated)
{
    expect_failure("truncated", "the answer is not a JSON object");
}

Test(dstack, fault_is_refused_huge)
{
    expect_failure("huge", "GetKey attestmesh.identity.v1: ");
}

Test(dstack, fault_is_refused_close)
{
    expect_failure("close", "GetKey attestmesh.identity.v1: ");
}
