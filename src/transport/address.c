/* SPDX-License-Identifier: MIT */
#include "transport/address.h"

#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_ROOM = 6 }; /* ":65535" */

const char *address_port(const char *target) {
    const char *colon = strrchr(target, ':');
    return colon ? colon + 1 : NULL;
}

void address_host(const char *target, char host[DF_ADDRESS_MAX]) {
    size_t n = (size_t)(address_port(target) - 1 - target);
    if (target[0] == '[' && target[n - 1] == ']') target++, n -= 2;
    memcpy(host, target, n);
    host[n] = '\0';
}

static bool is_port(const char *s) {
    char *end;
    if (!s || *s < '0' || *s > '9') return false;
    unsigned long n = strtoul(s, &end, 10);
    return !*end && n <= 65535;
}

/* What follows "scheme://"; NULL: it is another's. */
static const char *after_scheme(const char *scheme, const char *address) {
    size_t n = strlen(scheme);
    return strncmp(address, scheme, n) == 0 && strncmp(address + n, "://", 3) == 0 ? address + n + 3
                                                                                   : NULL;
}

df_code address_read(const char *scheme, const char *address, const char **target, df_error *err) {
    if (!address) return error_invalid(err, "the address is NULL");
    const char *rest = after_scheme(scheme, address);
    if (!rest && strstr(address, "://"))
        return error_invalid(err,
                             "address '%.64s' is not reached by \"%s://\": all tasks of a cluster "
                             "have the same engine",
                             address, scheme);
    if (rest && strlen(address) + PORT_ROOM < DF_ADDRESS_MAX) {
        const char *port = address_port(rest);
        bool is_six = rest[0] == '[' && port && port - rest >= 4 && port[-2] == ']';
        bool is_plain = port && port - 1 > rest && *rest != '[' &&
                        !memchr(rest, ':', (size_t)(port - 1 - rest));
        if (is_port(port) && (is_six || is_plain) && !strpbrk(rest, "/ \t\n")) {
            *target = rest;
            return DF_OK;
        }
    }
    return error_invalid(err, "address '%.64s' is not \"%s://host:port\"", address, scheme);
}

bool address_is_loopback(const char *target) {
    char host[DF_ADDRESS_MAX];
    address_host(target, host);
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0) return true;
    return strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
}

void address_with_port(const char *scheme, const char *target, int port, char out[DF_ADDRESS_MAX]) {
    (void)snprintf(out, DF_ADDRESS_MAX, "%s://%.*s%d", scheme, (int)(address_port(target) - target),
                   target, port);
}

df_code address_why_not(const char *scheme, const char *target, df_error *err) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[DF_ADDRESS_MAX];
    address_host(target, host);
    int failure = getaddrinfo(host, address_port(target), &hints, &found);
    if (failure)
        return error_invalid(err, "%s://%s: no such address: %s", scheme, target,
                             gai_strerror(failure));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, why = errno;
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        why = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0 ? 0 : errno;
        (void)close(fd);
    }
    freeaddrinfo(found);
    if (!why) return DF_OK;
    if (why == EADDRINUSE)
        return error_set(err, DF_ALREADY_EXISTS, "%s://%s: somebody is there already", scheme,
                         target);
    if (why == EMFILE || why == ENFILE)
        return error_set(err, DF_RESOURCE_EXHAUSTED, "%s://%s: no more files can be open", scheme,
                         target);
    return error_invalid(err, "%s://%s: this process cannot listen there (errno %d)", scheme,
                         target, why);
}
