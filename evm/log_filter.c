#include "evm/log_filter.h"

#include <json-c/json.h>

#include "evm/field.h"

static json_object *quantity(uint64_t value)
{
    const struct uint256 wide = uint256_of_u64(value);
    return field_of_quantity(&wide);
}

static json_object *address_list(const struct log_filter *filter)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < filter->addresses_len; i++) {
        if (!field_append(list, field_of_address(&filter->addresses[i]))) {
            json_object_put(list);
            return NULL;
        }
    }
    return list;
}

static json_object *topic_list(const struct bytes32 *any, size_t len)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < len; i++) {
        if (!field_append(list, field_of_bytes(any[i].b, sizeof(any[i].b)))) {
            json_object_put(list);
            return NULL;
        }
    }
    return list;
}

/* Positions behind the last one that is asked about are left out: they match anything. */
static size_t topics_len(const struct log_filter *filter)
{
    size_t len = ETH_LOG_TOPICS_MAX;
    while (len > 0 && filter->topics[len - 1].len == 0)
        len--;
    return len;
}

/* JSON null, an unasked position, is NULL in json-c: field_append would take it for a lack of memory. */
static bool append_topic(json_object *topics, const struct log_filter *filter, size_t position)
{
    const size_t len = filter->topics[position].len;
    return len > 0 ? field_append(topics, topic_list(filter->topics[position].any, len))
                   : json_object_array_add(topics, NULL) == 0;
}

static bool add_topics(json_object *object, const struct log_filter *filter)
{
    const size_t len = topics_len(filter);
    if (len == 0)
        return true;
    json_object *topics = json_object_new_array();
    bool complete = topics;
    for (size_t i = 0; complete && i < len; i++)
        complete = append_topic(topics, filter, i);
    if (complete)
        return field_add(object, "topics", topics);
    json_object_put(topics);
    return false;
}

static bool add_place(json_object *object, const struct log_place *place)
{
    if (place->hash)
        return field_add(object, "blockHash", field_of_bytes(place->hash->b, sizeof(place->hash->b)));
    return field_add(object, "fromBlock", quantity(place->from)) &&
           field_add(object, "toBlock", quantity(place->to));
}

json_object *log_filter_params(const struct log_filter *filter, const struct log_place *place)
{
    json_object *params = json_object_new_array(), *object = json_object_new_object();
    const bool complete = object && add_place(object, place) &&
                          field_add(object, "address", address_list(filter)) && add_topics(object, filter);
    if (field_append(params, object) && complete)
        return params;
    json_object_put(params);
    return NULL;
}

static bool topic_accepted(const struct bytes32 *any, size_t len, const struct bytes32 *topic)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes32_equal(&any[i], topic))
            return true;
    }
    return false;
}

static bool address_accepted(const struct log_filter *filter, const struct address *address)
{
    for (size_t i = 0; i < filter->addresses_len; i++) {
        if (address_equal(&filter->addresses[i], address))
            return true;
    }
    return false;
}

bool log_filter_accepts(const struct log_filter *filter, const struct eth_log *log)
{
    if (!address_accepted(filter, &log->address))
        return false;
    const size_t len = topics_len(filter);
    if (log->topics_len < len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (filter->topics[i].len > 0 &&
            !topic_accepted(filter->topics[i].any, filter->topics[i].len, &log->topics[i]))
            return false;
    }
    return true;
}
