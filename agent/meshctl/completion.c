#include "agent/meshctl/completion.h"

#include <stdio.h>
#include <string.h>

/* Prints the mesh addresses of the peers, which `why` and the like take: a column of `meshctl peers`. */
#define LIST_PEERS "meshctl peers 2>/dev/null | tail -n +2 | cut -c 22-36"

static void print_options(const char *letters)
{
    for (size_t i = 0; i < options_len; i++) {
        if (strchr(letters, options[i].letter))
            printf(" --%s", options[i].name);
    }
}

static void print_commands(void)
{
    for (size_t i = 0; i < commands_len; i++)
        printf(" %s", commands[i].name);
}

static const char *following_words(const struct command *command)
{
    return strcmp(command->completion, "PEER") == 0 ? "$(" LIST_PEERS ")" : command->completion;
}

/* Lines of a case statement, the same in bash and zsh: for each command, the words that may follow it. */
static void print_cases(void)
{
    printf("    '') list=\"");
    print_commands();
    print_options(COMMON_OPTIONS);
    printf("\" ;;\n");
    for (size_t i = 0; i < commands_len; i++) {
        printf("    %s) list=\"%s", commands[i].name, following_words(&commands[i]));
        print_options(commands[i].options);
        print_options(COMMON_OPTIONS);
        printf("\" ;;\n");
    }
}

/* The options whose argument is no command, for a case pattern. */
static void print_argument_options(void)
{
    const char *separator = "";
    for (size_t i = 0; i < options_len; i++) {
        if (!options[i].argument)
            continue;
        printf("%s--%s", separator, options[i].name);
        separator = " | ";
    }
}

static void print_bash(void)
{
    printf("_meshctl() {\n"
           "    local i command= list=\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        ");
    print_argument_options();
    printf(") ((i++)) ;;\n"
           "        -*) ;;\n"
           "        *) command=${COMP_WORDS[i]}; break ;;\n"
           "        esac\n"
           "    done\n"
           "    case $command in\n");
    print_cases();
    printf("    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
           "}\n"
           "complete -o default -F _meshctl meshctl\n");
}

static void print_zsh(void)
{
    printf("_meshctl() {\n"
           "    local i command= list=\n"
           "    for ((i = 2; i < CURRENT; i++)); do\n"
           "        case ${words[i]} in\n"
           "        ");
    print_argument_options();
    printf(") ((i++)) ;;\n"
           "        -*) ;;\n"
           "        *) command=${words[i]}; break ;;\n"
           "        esac\n"
           "    done\n"
           "    case $command in\n");
    print_cases();
    printf("    esac\n"
           "    compadd -- ${=list}\n"
           "}\n"
           "compdef _meshctl meshctl\n");
}

static void print_fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++)
        printf(*text == '\'' ? "\\%c" : "%c", *text);
    puts("'");
}

static void print_fish_option(const struct option_text *option, const char *condition)
{
    printf("complete -c meshctl -n '%s' -l %s%s -d ", condition, option->name, option->argument ? " -r" : "");
    print_fish_text(option->text);
}

static void print_fish_command(const struct command *command)
{
    char condition[96];
    snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", command->name);
    printf("complete -c meshctl -f -n __fish_use_subcommand -a %s -d ", command->name);
    print_fish_text(command->summary);
    if (strcmp(command->completion, "PEER") == 0)
        printf("complete -c meshctl -f -n '%s' -a '(" LIST_PEERS ")'\n", condition);
    else if (*command->completion)
        printf("complete -c meshctl -f -n '%s' -a '%s'\n", condition, command->completion);
    for (size_t i = 0; i < options_len; i++) {
        if (strchr(command->options, options[i].letter))
            print_fish_option(&options[i], condition);
    }
}

static void print_fish(void)
{
    for (size_t i = 0; i < commands_len; i++)
        print_fish_command(&commands[i]);
    for (size_t i = 0; i < options_len; i++) {
        if (strchr(COMMON_OPTIONS, options[i].letter))
            print_fish_option(&options[i], "true");
    }
}

int completion_print(const struct invocation *invocation)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].shell, invocation->words[0]) == 0) {
            shells[i].print();
            return EXIT_OK;
        }
    }
    fprintf(stderr, "meshctl: there is no completion for %s, only for bash, zsh and fish\n",
            invocation->words[0]);
    return EXIT_USAGE;
}
