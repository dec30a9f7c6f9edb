/* Keccak-f[1600] after FIPS 202 section 3, with the padding of the original Keccak submission. */
#include "crypto/keccak.h"

#include "crypto/secret.h"

#define RATE 136
#define ROUNDS 24

static const uint64_t round_constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* The cycle that pi walks from lane 1, and the rotation of rho at each step: t(t+1)/2 mod 64. */
static const uint8_t pi_lanes[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                     15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};

static uint64_t rotate_left(uint64_t value, unsigned count)
{
    return value << count | value >> (-count & 63);
}

static void theta(uint64_t a[25])
{
    uint64_t parity[5];
    for (unsigned x = 0; x < 5; x++)
        parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (unsigned x = 0; x < 5; x++) {
        const uint64_t flip = parity[(x + 4) % 5] ^ rotate_left(parity[(x + 1) % 5], 1);
        for (unsigned y = 0; y < 25; y += 5)
            a[y + x] ^= flip;
    }
}

static void rho_pi(uint64_t a[25])
{
    uint64_t carried = a[1];
    for (unsigned t = 0; t < 24; t++) {
        const uint64_t displaced = a[pi_lanes[t]];
        a[pi_lanes[t]] = rotate_left(carried, (t + 1) * (t + 2) / 2 % 64);
        carried = displaced;
    }
}

static void chi(uint64_t a[25])
{
    for (unsigned y = 0; y < 25; y += 5) {
        uint64_t row[5];
        memcpy(row, a + y, sizeof(row));
        for (unsigned x = 0; x < 5; x++)
            a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
}

static void permute(uint64_t a[25])
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        theta(a);
        rho_pi(a);
        chi(a);
        a[0] ^= round_constants[round];
    }
}

static void xor_byte(uint64_t a[25], size_t offset, uint8_t byte)
{
    a[offset / 8] ^= (uint64_t)byte << (8 * (offset % 8));
}

void keccak_init(struct keccak *k)
{
    *k = (struct keccak){0};
}

void keccak_update(struct keccak *k, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        xor_byte(k->state, k->offset++, bytes[i]);
        if (k->offset == RATE) {
            permute(k->state);
            k->offset = 0;
        }
    }
}

void keccak_final(struct keccak *k, struct bytes32 *out)
{
    xor_byte(k->state, k->offset, 0x01);
    xor_byte(k->state, RATE - 1, 0x80);
    permute(k->state);
    for (size_t i = 0; i < sizeof(out->b); i++)
        out->b[i] = (uint8_t)(k->state[i / 8] >> (8 * (i % 8)));
    secret_wipe(k, sizeof(*k));
}

struct bytes32 keccak256(const void *data, size_t len)
{
    struct keccak k;
    struct bytes32 hash;
    keccak_init(&k);
    keccak_update(&k, data, len);
    keccak_final(&k, &hash);
    return hash;
}
