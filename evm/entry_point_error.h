/* The EntryPoint's own error codes, AA10 to AA96 (ERC-4337 v0.7, and v0.6 where bundlers still use its
 * numbers). */
#ifndef EVM_ENTRY_POINT_ERROR_H
#define EVM_ENTRY_POINT_ERROR_H

/* The code inside a text ("... AA21 didn't pay prefund"), or NULL. `text` may be NULL. */
const char *entry_point_error_find(const char *text);

/* What the code that begins `text` means, with its likely cause, in one sentence; NULL for none of the codes.
 */
const char *entry_point_error_explain(const char *text);

#endif
