/* meshctl: the operator's view of the node's agent, over its application socket. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/meshctl/command.h"

#define SOCKET_DEFAULT "/run/attestmesh/agent.sock"
#define OPTIONS_MAX 16

static void print_option(FILE *out, const struct option_text *option)
{
    char name[32];
    snprintf(name, sizeof(name), "--%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    fprintf(out, "  %-18s %s\n", name, option->text);
}

static void print_options(FILE *out, const char *letters)
{
    for (size_t i = 0; i < options_len; i++) {
        if (strchr(letters, options[i].letter))
            print_option(out, &options[i]);
    }
}

static void print_usage(FILE *out)
{
    fprintf(out, "usage: meshctl [OPTION...] COMMAND\n\n");
    for (size_t i = 0; i < commands_len; i++) {
        char call[32];
        snprintf(call, sizeof(call), "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  %-18s %s\n", call, commands[i].summary);
    }
    fputc('\n', out);
    print_options(out, COMMON_OPTIONS);
    fprintf(out,
            "\nmeshctl COMMAND --help tells more of a command.\n"
            "Exit code: 0 done, 1 failed, 2 wrong usage, 3 done, and what was asked about is not well.\n");
}

static void print_help(const struct command *command)
{
    printf("usage: meshctl %s%s%s [OPTION...]\n\n%s\n%s\n", command->name, *command->arguments ? " " : "",
           command->arguments, command->summary, command->details);
    print_options(stdout, command->options);
    print_options(stdout, COMMON_OPTIONS);
}

static int refuse_usage(const char *complaint, const char *subject)
{
    fprintf(stderr, "meshctl: %s %s\n\n", complaint, subject);
    print_usage(stderr);
    return EXIT_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < commands_len; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int run_command(const struct command *command, struct invocation *invocation)
{
    struct am_err err;
    if (!command->needs_agent)
        return command->run(invocation);
    if (api_client_new(invocation->socket, &invocation->client, &err))
        return command_fail(&err);
    const int code = command->run(invocation);
    api_client_free(invocation->client);
    return code;
}

static void list_options(struct option out[OPTIONS_MAX + 1])
{
    for (size_t i = 0; i < options_len; i++)
        out[i] = (struct option){options[i].name, options[i].argument ? required_argument : no_argument, NULL,
                                 options[i].letter};
    out[options_len] = (struct option){0};
}

static void take_option(struct invocation *invocation, int letter)
{
    switch (letter) {
    case 's': invocation->socket = optarg; break;
    case 'C': invocation->config = optarg; break;
    case 'j': invocation->json = true; break;
    case 'f': invocation->follow = true; break;
    case 'c': invocation->check = true; break;
    case 'y': invocation->yes = true; break;
    case 'm': invocation->from = optarg; break;
    case 'k': invocation->key = optarg; break;
    }
}

/* The first letter of `given` that the command does not know, or 0. */
static char find_foreign_option(const struct command *command, const char *given)
{
    for (; *given; given++) {
        if (!strchr(COMMON_OPTIONS, *given) && !strchr(command->options, *given))
            return *given;
    }
    return '\0';
}

int main(int argc, char **argv)
{
    const char *const socket = getenv("AGENT_SOCKET");
    struct option known[OPTIONS_MAX + 1];
    char given[OPTIONS_MAX + 1] = "";
    struct invocation invocation = {.socket = socket && *socket ? socket : SOCKET_DEFAULT,
                                    .config = CONFIG_FILE_DEFAULT};
    list_options(known);
    for (int letter; (letter = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        if (letter == '?') {
            print_usage(stderr);
            return EXIT_USAGE;
        }
        if (!strchr(given, letter))
            given[strlen(given)] = (char)letter;
        take_option(&invocation, letter);
    }
    if (optind == argc && strchr(given, 'h')) {
        print_usage(stdout);
        return EXIT_OK;
    }
    if (optind == argc)
        return refuse_usage("which command?", "");
    const struct command *command = find_command(argv[optind]);
    if (!command)
        return refuse_usage("there is no command", argv[optind]);
    if (strchr(given, 'h')) {
        print_help(command);
        return EXIT_OK;
    }
    const int words = argc - optind - 1;
    if (words < command->words_min || words > command->words_max || find_foreign_option(command, given))
        return refuse_usage("wrong words for", command->name);
    invocation.words = argv + optind + 1;
    return run_command(command, &invocation);
}
