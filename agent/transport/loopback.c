#include "agent/transport/loopback.h"

#define LOOPBACK_BASE 0x7f400000u /* 127.64.0.0/10 */
#define LOOPBACK_MASK 0xffc00000u

uint32_t loopback_address_of_index(uint32_t index)
{
    return index < LOOPBACK_INDEXES ? LOOPBACK_BASE | (index + 1) : 0;
}

bool loopback_index_of_address(uint32_t address, uint32_t *index)
{
    const uint32_t number = address & ~LOOPBACK_MASK;
    if ((address & LOOPBACK_MASK) != LOOPBACK_BASE || number == 0)
        return false;
    *index = number - 1;
    return true;
}

unsigned loopback_worker_of_index(uint32_t index, unsigned workers)
{
    return (loopback_address_of_index(index) & UINT16_MAX) % workers;
}
