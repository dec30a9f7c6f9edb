#include "agent/meshctl/command.h"

#include <stdio.h>
#include <unistd.h>

#include "agent/meshctl/act.h"
#include "agent/meshctl/completion.h"
#include "agent/meshctl/doctor.h"
#include "agent/meshctl/look.h"
#include "agent/meshctl/message.h"
#include "agent/meshctl/why.h"

#define ANSWER_TIMEOUT_MS 5000

const struct option_text options[] = {
    {'s', "socket", "PATH", "the agent's socket (AGENT_SOCKET, else /run/attestmesh/agent.sock)"},
    {'j', "json", NULL, "one JSON object per line"},
    {'h', "help", NULL, "this text"},
    {'c', "check", NULL, "exit with 3 unless the node is healthy"},
    {'C', "config", "FILE", "the agent's configuration instead of /etc/attestmesh/agent.env"},
    {'f', "follow", NULL, "go on with every change from now on"},
    {'y', "yes", NULL, "do it without asking"},
    {'m', "from", "CURSOR", "what comes after BLOCK or BLOCK:INDEX"},
    {'k', "key", "KEY", "a message with the same KEY is delivered once, however often it is sent"},
};
const size_t options_len = sizeof(options) / sizeof(options[0]);

const struct command commands[] = {
    {"status", "", 0, 0, "", "c", true, look_at_status, "what the node is and does", ""},
    {"peers", "", 0, 0, "", "", true, look_at_peers, "the other members: address, state, transport, traffic",
     ""},
    {"why", "PEER", 1, 1, "PEER", "", true, why_explain,
     "the path to a member, and the first layer of it that fails",
     "PEER is an index, a mesh address, or the first digits of a member id or a member contract.\nExit code "
     "3 when the path does not work.\n"},
    {"events", "", 0, 0, "", "f", true, look_at_events, "the peers as an application is told of them", ""},
    {"indexer", "", 0, 0, "", "", true, look_at_indexer,
     "where its events come from: endpoint, key, lag, last checkpoint", ""},
    {"ops", "", 0, 0, "", "", true, look_at_operations,
     "this node's operations: purpose, outcome, gas, cost, sponsor", ""},
    {"csk", "", 0, 0, "", "y", true, act_csk, "print the cluster shared key",
     "Whoever sees the cluster shared key can read what the cluster keeps secret with it, so this asks "
     "first.\n"},
    {"send", "PEER [TEXT|-]", 1, 2, "PEER", "k", true, message_send, "send a message to a peer's application",
     "PEER is an index, a mesh address, or the beginning of a member id or contract. Without TEXT, or with "
     "-,\n"
     "the message is read from standard input; it has at most 8,143 bytes. Ends when the chain has included "
     "it.\n"},
    {"recv", "", 0, 0, "", "fm", true, message_receive, "print the messages to this node's application",
     "A line begins with the message's cursor: recv --from CURSOR goes on behind it. Without --from, with "
     "the\n"
     "first message ever sent to this node. Ends with the newest, unless --follow.\n"},
    {"rotate-wg-key", "", 0, 0, "", "", true, act_rotate_wg_key,
     "publish the next WireGuard key and take it into use",
     "Waits for the end of it; interrupted, the agent goes on. Traffic pauses for moments while the peers "
     "and this\n"
     "node change over. Only for root and the agent's user.\n"},
    {"down", "", 0, 0, "", "C", false, act_down, "remove the WireGuard device of an agent that was stopped",
     "Addresses and routes go with the device. Which one it is, the agent's configuration says, or "
     "WG_INTERFACE and\n"
     "WG_BACKEND alone; attestmesh0 and auto otherwise. Nothing else is touched.\n"},
    {"doctor", "", 0, 0, "", "C", false, doctor_run,
     "check what the agent needs of this machine and its services, and say what to fix",
     "Reads the agent's configuration from the environment and the file, and changes nothing. The agent need "
     "not\n"
     "run. One line for each check: ok, warn or FAIL; exit code 3 when one fails.\n"},
    {"completion", "SHELL", 1, 1, "bash zsh fish", "", false, completion_print,
     "print the completion script for bash, zsh or fish",
     "bash: source <(meshctl completion bash)\n"
     "zsh:  source <(meshctl completion zsh), after compinit\n"
     "fish: meshctl completion fish >~/.config/fish/completions/meshctl.fish\n"},
};
const size_t commands_len = sizeof(commands) / sizeof(commands[0]);

int command_ask(struct api_client *client, const api_Request *request, pb_size_t expected,
                api_Response *response, struct am_err *err)
{
    int code = api_client_send(client, request, err);
    if (code == 0)
        code = api_client_receive(client, ANSWER_TIMEOUT_MS, response, err);
    if (code == 0 && (response->which_body != expected || response->id != request->id))
        code = am_fail(err, AM_EFORMAT, "the agent's answer is not of the kind that was asked for");
    return code;
}

int command_fail(const struct am_err *err)
{
    fflush(stdout);
    fprintf(stderr, "meshctl: %s\n", err->text);
    return EXIT_ERROR;
}

bool command_confirm(const char *question)
{
    char answer[8];
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return false;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
