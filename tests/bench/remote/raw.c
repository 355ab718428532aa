/* SPDX-License-Identifier: MIT
 *
 * A TCP socket, and nothing else: who waits sleeps in the kernel.
 */
#include "bench/remote/remote.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct connection {
    int fd;
    char *bytes;
} connection;

static bool get(int fd, void *into, size_t n) {
    for (char *at = into; n > 0;) {
        ssize_t got = recv(fd, at, n, 0);
        if (got <= 0) return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static void put(int fd, const void *from, size_t n) {
    for (const char *at = from; n > 0;) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        bench_need(sent > 0, "raw", "send");
        at += sent;
        n -= (size_t)sent;
    }
}

static void no_delay(int fd) {
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void serve(const credentials *tls) {
    char request[SMALL], address[32];
    char *large = bench_alloc(LARGE);
    struct sockaddr_in a = loopback(0);
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)tls;
    memset(large, 7, LARGE);
    bench_need(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0 &&
                   getsockname(fd, (struct sockaddr *)&a, &size) == 0,
               "raw", "listen");
    (void)snprintf(address, sizeof address, "%d", ntohs(a.sin_port));
    remote_is_at(address);
    int peer = accept(fd, NULL, NULL);
    bench_need(peer >= 0, "raw", "accept");
    no_delay(peer);
    while (get(peer, request, SMALL)) put(peer, large, request[0] ? LARGE : SMALL);
    exit(0);
}

static void *connect_to(const char *address, const credentials *tls) {
    connection *c = bench_alloc(sizeof *c);
    struct sockaddr_in a = loopback(atoi(address));
    (void)tls;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    bench_need(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0, "raw",
               "connect");
    no_delay(c->fd);
    c->bytes = bench_alloc(LARGE);
    return c;
}

static double trips(connection *c, int n, char what, size_t back) {
    char request[SMALL] = {what};
    double since = remote_now();
    for (int i = 0; i < n; i++) {
        put(c->fd, request, SMALL);
        bench_need(get(c->fd, c->bytes, back), "raw", "the server has gone");
    }
    return (remote_now() - since) / n;
}

static double small(void *c, int n) {
    return trips(c, n, 0, SMALL);
}

static double large(void *c, int n) {
    return trips(c, n, 1, LARGE);
}

static void close_it(void *c_) {
    connection *c = c_;
    (void)close(c->fd);
    free(c->bytes);
    free(c);
}

const way way_raw = {.name = "raw TCP",
                     .serve = serve,
                     .connect = connect_to,
                     .small = small,
                     .large = large,
                     .close = close_it};
