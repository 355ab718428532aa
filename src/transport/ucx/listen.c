/* SPDX-License-Identifier: MIT
 *
 * Listening, and how it ends.
 *
 * UCX lets a listener go while somebody who has connected has yet to say who he is, and calls the
 * listener when he does (openucx/ucx #11087; seen with 1.13). So an endpoint that closes takes no
 * more connections, waits until each that was made has become a line, or is gone, and only then
 * lets its listener go. UCX does not tell of them; the process's sockets do. (Those of RDMA are no
 * sockets, and are not waited for.)
 */
#define _DEFAULT_SOURCE
#include "transport/ucx/core.h"

#include "base/error.h"
#include "transport/address.h"

#include <dirent.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUIET = 2,   /* looks in a row that see nobody: one may fall into the midst of UCX's accept() */
    LOOKS = 1000 /* in all, a millisecond each: some may say nothing for ever */
};

/* ---- sockets of the process --------------------------------------------------------- */

static in_port_t port_of(const struct sockaddr *a) {
    return a->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)a)->sin6_port
                                    : ((const struct sockaddr_in *)(const void *)a)->sin_port;
}

static bool is_any_host(const struct sockaddr *a) {
    static const struct in6_addr any; /* begins as that of IPv4 */
    size_t n;
    const void *host = worker_host(a, &n);
    return host && memcmp(host, &any, n) == 0;
}

/* It is the listener's own. */
static bool is_ear(int fd, const struct sockaddr *own, const struct sockaddr *listener) {
    int is = 0;
    socklen_t n = sizeof is;
    return worker_is_same_host(own, listener) && port_of(own) == port_of(listener) &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &n) == 0 && is;
}

/* The listener got it from somebody who connected. */
static bool is_connection(int fd, const struct sockaddr *own, const struct sockaddr *listener) {
    struct sockaddr_storage to;
    socklen_t n = sizeof to;
    return own->sa_family == listener->sa_family && port_of(own) == port_of(listener) &&
           (is_any_host(listener) || worker_is_same_host(own, listener)) &&
           getpeername(fd, (struct sockaddr *)&to, &n) == 0;
}

/* The first that is such a one; -1: none is. */
static int find_socket(const struct sockaddr *listener,
                       bool (*is)(int fd, const struct sockaddr *own,
                                  const struct sockaddr *listener)) {
    DIR *all = opendir("/proc/self/fd");
    int found = -1;
    for (const struct dirent *d; all && found < 0 && (d = readdir(all));) {
        struct sockaddr_storage at;
        struct sockaddr *own = (struct sockaddr *)&at;
        socklen_t n = sizeof at;
        int fd = atoi(d->d_name);
        if (*d->d_name != '.' && getsockname(fd, own, &n) == 0 && is(fd, own, listener)) found = fd;
    }
    if (all) (void)closedir(all);
    return found;
}

/* ---- its beginning --------------------------------------------------------------------- */

df_code listen_at(endpoint *e, const char *target, int *port, df_error *err) {
    place_of place;
    if (!worker_find(target, &place))
        return error_invalid(err, "ucx://%s: the host is no number, and names are not looked up",
                             target);
    const ucp_listener_params_t p = {.field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR |
                                                   UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
                                     .sockaddr = {(const struct sockaddr *)&place.at, place.bytes},
                                     .conn_handler = {line_asked_for, e}};
    ucp_listener_attr_t is = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    ucs_status_t s = ucp_listener_create(e->worker, &p, &e->listener);
    if (s != UCS_OK) e->listener = NULL;
    if (s == UCS_OK) s = ucp_listener_query(e->listener, &is);
    if (s == UCS_OK) {
        const struct sockaddr *at = (const struct sockaddr *)&is.sockaddr;
        *port = ntohs(port_of(at));
        e->ear = find_socket(at, is_ear);
        return DF_OK;
    }
    df_code code = address_why_not("ucx", target, err);
    if (code != DF_OK) return code;
    return error_invalid(err, "ucx://%s: UCX cannot listen there: %s", target,
                         ucs_status_string(s));
}

/* ---- its end --------------------------------------------------------------------------- */

/* Whoever tries finds the endpoint silent, and nobody there when it is closed. */
void listen_no_more(endpoint *e) {
    struct sock_filter drop[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog all = {.len = 1, .filter = drop};
    if (e->ear >= 0) (void)setsockopt(e->ear, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all);
}

bool listen_is_over(endpoint *e) {
    struct pollfd p = {.fd = e->ear, .events = POLLIN}; /* by who was not let in yet */
    struct sockaddr_storage at;
    struct sockaddr *listener = (struct sockaddr *)&at;
    socklen_t n = sizeof at;
    if (e->ear < 0 || e->quiet == QUIET || e->looks == LOOKS) return true;
    bool is_called = poll(&p, 1, 0) > 0 || getsockname(e->ear, listener, &n) != 0 ||
                     find_socket(listener, is_connection) >= 0;
    e->quiet = is_called ? 0 : e->quiet + 1;
    e->looks++;
    (void)poll(NULL, 0, 1);
    return false;
}
