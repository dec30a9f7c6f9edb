#include "agent/meshctl/finding.h"

#include <json-c/json_object.h>
#include <stdarg.h>
#include <stdio.h>

#include "agent/meshctl/show.h"

struct finding *finding_open(struct findings *findings, const char *name)
{
    if (findings->len == FINDINGS_MAX)
        return NULL;
    struct finding *finding = &findings->list[findings->len++];
    *finding = (struct finding){.advice = ""};
    snprintf(finding->name, sizeof(finding->name), "%s", name);
    findings->open++;
    return finding;
}

void finding_close(struct findings *findings, struct finding *finding, enum finding_state state,
                   const char *advice, const char *format, ...)
{
    va_list args;
    if (!finding || finding->state != FINDING_OPEN)
        return;
    va_start(args, format);
    vsnprintf(finding->fact, sizeof(finding->fact), format, args);
    va_end(args);
    finding->state = state;
    finding->advice = advice;
    findings->open--;
}

static const char *state_name(enum finding_state state)
{
    switch (state) {
    case FINDING_OPEN: break;
    case FINDING_OK: return "ok";
    case FINDING_WARN: return "warn";
    case FINDING_FAIL: return "FAIL";
    }
    return "";
}

static void show_json(const struct finding *finding)
{
    json_object *object = json_object_new_object();
    json_object_object_add(object, "check", json_object_new_string(finding->name));
    json_object_object_add(object, "state", json_object_new_string(state_name(finding->state)));
    json_object_object_add(object, "fact", json_object_new_string(finding->fact));
    json_object_object_add(object, "advice", json_object_new_string(finding->advice));
    show_object(object);
}

static void show_text(const struct finding *finding)
{
    printf("%-4s  %s: %s%s%s\n", state_name(finding->state), finding->name, finding->fact,
           *finding->advice ? " — " : "", finding->advice);
}

bool findings_show(struct findings *findings, bool json)
{
    bool well = true;
    for (size_t i = 0; i < findings->len; i++) {
        struct finding *finding = &findings->list[i];
        finding_close(findings, finding, FINDING_FAIL,
                      "see whether it is overloaded, or whether a firewall drops packets",
                      "no answer in time");
        (json ? show_json : show_text)(finding);
        well = well && finding->state != FINDING_FAIL;
    }
    return well;
}
