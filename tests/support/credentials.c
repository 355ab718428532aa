/* SPDX-License-Identifier: MIT */
#include "support/credentials.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONGEST = 1 << 16 };

/* NULL: it is not there. */
static char *read_file(const char *folder, const char *name, const char *kind) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s.%s", folder, name, kind);
    FILE *f = fopen(path, "r");
    char *text = f ? calloc(1, LONGEST) : NULL;
    if (text) (void)fread(text, 1, LONGEST - 1, f);
    if (f) (void)fclose(f);
    return text;
}

bool credentials_read(credentials *c, const char *folder, const char *ca, const char *name) {
    c->certificate = read_file(folder, name, "pem");
    c->key = read_file(folder, name, "key");
    c->ca = read_file(folder, ca, "pem");
    if (c->certificate && c->key && c->ca) return true;
    credentials_free(c);
    return false;
}

void credentials_free(credentials *c) {
    free(c->certificate);
    free(c->key);
    free(c->ca);
    *c = (credentials){0};
}
