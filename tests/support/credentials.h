/* SPDX-License-Identifier: MIT
 *
 * credentials.h - certificates as tests/tools/certificates.sh leaves them in a folder, as text.
 */
#ifndef SUPPORT_CREDENTIALS_H
#define SUPPORT_CREDENTIALS_H

#include <stdbool.h>

typedef struct credentials {
    char *certificate, *key, *ca; /* owned */
} credentials;

/* False: a file is not there; nothing is to be freed. */
bool credentials_read(credentials *c, const char *folder, const char *ca, const char *name);
void credentials_free(credentials *c);

#endif /* SUPPORT_CREDENTIALS_H */
