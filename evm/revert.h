/* Says in words why an EVM call reverted. */
#ifndef EVM_REVERT_H
#define EVM_REVERT_H

#include <stddef.h>
#include <stdint.h>

#define REVERT_TEXT_SIZE 256

/* Describes ABI-encoded revert data: our contracts' custom errors by name, followed by what the operator can
 * do about it; Error(string) and Panic(uint256); the EntryPoint's FailedOp and FailedOpWithRevert with the
 * error they carry. Anything else is named by its first four bytes. Printable ASCII only; returns `out`. */
const char *revert_describe(const uint8_t *data, size_t len, char out[REVERT_TEXT_SIZE]);

#endif
