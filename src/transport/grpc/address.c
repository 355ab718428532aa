/* SPDX-License-Identifier: MIT */
#include "transport/grpc/address.h"

#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCHEME "grpc://"
enum { PORT_ROOM = 6 }; /* ":65535" */

static const char *port_of(const char *target) {
    const char *colon = strrchr(target, ':');
    return colon ? colon + 1 : NULL;
}

/* The host without port and brackets. */
static void host_of(const char *target, char host[DF_ADDRESS_MAX]) {
    size_t n = (size_t)(port_of(target) - 1 - target);
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

df_code address_read(const char *address, const char **target, df_error *err) {
    if (!address) return error_invalid(err, "the address is NULL");
    const size_t n = sizeof SCHEME - 1;
    const char *rest = address + n;
    if (strncmp(address, SCHEME, n) == 0 && strlen(address) + PORT_ROOM < DF_ADDRESS_MAX) {
        const char *port = port_of(rest);
        bool is_six = rest[0] == '[' && port && port - rest >= 4 && port[-2] == ']';
        bool is_plain = port && port - 1 > rest && *rest != '[' &&
                        !memchr(rest, ':', (size_t)(port - 1 - rest));
        if (is_port(port) && (is_six || is_plain) && !strpbrk(rest, "/ \t\n")) {
            *target = rest;
            return DF_OK;
        }
    }
    return error_invalid(err, "address '%.64s' is not \"grpc://host:port\"", address);
}

bool address_is_loopback(const char *target) {
    char host[DF_ADDRESS_MAX];
    host_of(target, host);
    if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0) return true;
    return strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
}

void address_with_port(const char *target, int port, char out[DF_ADDRESS_MAX]) {
    (void)snprintf(out, DF_ADDRESS_MAX, SCHEME "%.*s%d", (int)(port_of(target) - target), target,
                   port);
}

df_code address_why_not(const char *target, df_error *err) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[DF_ADDRESS_MAX];
    host_of(target, host);
    int failure = getaddrinfo(host, port_of(target), &hints, &found);
    if (failure)
        return error_invalid(err, "grpc://%s: no such address: %s", target, gai_strerror(failure));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, why = errno;
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        why = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0 ? 0 : errno;
        (void)close(fd);
    }
    freeaddrinfo(found);
    if (!why) return DF_OK;
    if (why == EADDRINUSE)
        return error_set(err, DF_ALREADY_EXISTS, "grpc://%s: somebody is there already", target);
    if (why == EMFILE || why == ENFILE)
        return error_set(err, DF_RESOURCE_EXHAUSTED, "grpc://%s: no more files can be open",
                         target);
    return error_invalid(err, "grpc://%s: this process cannot listen there (errno %d)", target,
                         why);
}
