#include "agent/meshctl/doctor.h"

#include <stdio.h>
#include <unistd.h>

#include "crypto/secret.h"

#define CONFIG_ADVICE                                                                                        \
    "correct the variable in the environment or in the file; cluster-mesh-agent --help lists them"

/* What the agent says of itself, if it runs. */
static void check_agent(const struct config *config, struct findings *findings)
{
    static api_Response answer;
    struct api_client *client;
    struct am_err err;
    const api_Request request = {.id = 1, .which_body = api_Request_get_status_tag};
    struct finding *finding = finding_open(findings, "agent");
    if (api_client_new(config->agent_socket, &client, &err) != 0) {
        finding_close(findings, finding, FINDING_WARN, "start cluster-mesh-agent", "%s", err.text);
        return;
    }
    const api_Status *status = &answer.body.status;
    if (command_ask(client, &request, api_Response_status_tag, &answer, &err) != 0)
        finding_close(findings, finding, FINDING_FAIL, "look at the agent's log", "%s", err.text);
    else if (status->phase == api_Status_Phase_HEALTHY)
        finding_close(findings, finding, FINDING_OK, "", "%s, healthy", config->agent_socket);
    else
        finding_close(findings, finding, FINDING_WARN, "meshctl status tells more as it goes on", "%s: %s",
                      api_phase_name(status->phase), status->reason);
    api_client_free(client);
}

int doctor_run(const struct invocation *invocation)
{
    static struct findings findings;
    struct am_err err = {.text = "out of memory"};
    struct config *config;
    struct finding *finding = finding_open(&findings, "config");
    if (config_load(invocation->config, environ, &config, &err) != 0) {
        finding_close(&findings, finding, FINDING_FAIL, CONFIG_ADVICE, "%s", err.text);
        findings_show(&findings, invocation->json);
        return EXIT_UNHEALTHY;
    }
    finding_close(&findings, finding, FINDING_OK, "", "%s and the environment",
                  access(invocation->config, R_OK) == 0 ? invocation->config : "no file");
    if (secret_init() != 0) { /* the guest agent's keys pass through here */
        config_free(config);
        am_fail(&err, -1, "the cryptographic library does not start");
        return command_fail(&err);
    }
    doctor_check_machine(config, &findings);
    if (doctor_check_services(config, &findings) != 0) {
        config_free(config);
        return command_fail(&(struct am_err){.text = "out of memory"});
    }
    check_agent(config, &findings);
    config_free(config);
    return findings_show(&findings, invocation->json) ? EXIT_OK : EXIT_UNHEALTHY;
}
