/* SPDX-License-Identifier: MIT
 *
 * UCX's worker of an endpoint, and what it is told of how to work: its interface and its lanes.
 *
 * Lanes through shared memory do not tell of a peer that is gone, or only when they are made to ask
 * now and then, and then they are no faster for what is large. So there are none: two processes of
 * one machine reach each other by the loopback.
 */
#define _DEFAULT_SOURCE
#define _GNU_SOURCE
#include "transport/ucx/core.h"

#include "base/error.h"
#include "transport/address.h"

#include <ucs/debug/debug.h>
#include <ucs/debug/log_def.h>

#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the process ------------------------------------------------------------------- */

static ucs_log_func_rc_t say_nothing(const char *file, unsigned at, const char *function,
                                     ucs_log_level_t level, const ucs_log_component_config_t *of,
                                     const char *message, va_list list) {
    (void)file;
    (void)at;
    (void)function;
    (void)level;
    (void)of;
    (void)message;
    (void)list;
    return UCS_LOG_FUNC_RC_STOP;
}

/* Whether UCX's own handler is there: one of somebody else stays. */
static bool is_handled_by_ucx(int number) {
    struct sigaction there;
    Dl_info of, ucx;
    if (sigaction(number, NULL, &there) != 0) return false;
    void (*handler)(int) = there.sa_handler;
    void (*own)(int) = ucs_debug_disable_signal;
    void *at[2];
    memcpy(&at[0], &handler, sizeof at[0]);
    memcpy(&at[1], &own, sizeof at[1]);
    return dladdr(at[0], &of) && dladdr(at[1], &ucx) && of.dli_fbase == ucx.dli_fbase;
}

void worker_calm(void) {
    static const int taken[] = {SIGHUP, SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (is_handled_by_ucx(taken[i])) ucs_debug_disable_signal(taken[i]);
    if (ucs_log_num_handlers() <= 1) ucs_log_push_handler(say_nothing); /* UCX has one itself */
}

/* ---- where --------------------------------------------------------------------------- */

bool worker_find(const char *target, place_of *out) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[DF_ADDRESS_MAX];
    address_host(target, host);
    const char *number = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (getaddrinfo(number, address_port(target), &hints, &found) != 0) return false;
    memset(out, 0, sizeof *out);
    memcpy(&out->at, found->ai_addr, found->ai_addrlen);
    out->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

const void *worker_host(const struct sockaddr *at, size_t *bytes) {
    const bool is_six = at->sa_family == AF_INET6;
    *bytes = is_six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    if (is_six) return &((const struct sockaddr_in6 *)(const void *)at)->sin6_addr;
    return at->sa_family == AF_INET ? &((const struct sockaddr_in *)(const void *)at)->sin_addr
                                    : NULL;
}

bool worker_is_same_host(const struct sockaddr *a, const struct sockaddr *b) {
    size_t n, m;
    const void *one = worker_host(a, &n), *other = worker_host(b, &m);
    return one && other && n == m && memcmp(one, other, n) == 0;
}

/* The interface that has the address, or the loopback's. */
static bool find_interface(const char *target, bool is_local, char name[INTERFACE_MAX]) {
    struct ifaddrs *all = NULL;
    place_of place;
    if ((!is_local && !worker_find(target, &place)) || getifaddrs(&all) != 0) return false;
    const struct sockaddr *host = (const struct sockaddr *)&place.at;
    const struct ifaddrs *i = all;
    while (i && !(is_local ? (i->ifa_flags & IFF_LOOPBACK) != 0
                           : i->ifa_addr && worker_is_same_host(i->ifa_addr, host)))
        i = i->ifa_next;
    if (i) (void)snprintf(name, INTERFACE_MAX, "%s", i->ifa_name);
    freeifaddrs(all);
    return i != NULL;
}

static bool is_loopback_interface(const char *name) {
    char local[INTERFACE_MAX];
    return find_interface(NULL, true, local) && strcmp(local, name) == 0;
}

static df_code choose_interface(endpoint *e, const char *target, char name[INTERFACE_MAX],
                                df_error *err) {
    const char *given = e->engine->interface;
    bool is_local = !target || address_is_loopback(target);
    if (*given)
        (void)snprintf(name, INTERFACE_MAX, "%s", given);
    else if (!find_interface(target, is_local, name))
        return error_invalid(err,
                             "ucx://%s: no interface has this address. Name one by "
                             "df_ucx_options.interface",
                             target ? target : "(nowhere)");
    e->is_local = is_loopback_interface(name);
    return DF_OK;
}

df_code worker_reaches(const endpoint *e, const char *target, df_error *err) {
    place_of place;
    if (!worker_find(target, &place))
        return error_invalid(err,
                             "ucx://%s: the host is no number, as \"10.0.0.1\" or \"[fd00::1]\" "
                             "are, and names are not looked up",
                             target);
    if (address_is_loopback(target) == e->is_local) return DF_OK;
    return error_invalid(err,
                         "ucx://%s is %s, and this endpoint uses %s interface. See "
                         "df_ucx_options.interface",
                         target, e->is_local ? "not of this machine's own" : "of the loopback",
                         e->is_local ? "the loopback's" : "another");
}

/* ---- the worker ------------------------------------------------------------------------ */

/* Set whatever the environment says. "tcp" and "ib" go between machines; "cuda" and "rocm" are for
 * devices' memory. What a build of UCX does not have it leaves out. */
static ucs_status_t configure(const char *interface, ucp_config_t **out) {
    const char *const settings[][2] = {
        {"NET_DEVICES", interface},
        {"TLS", "tcp,ib,cuda,rocm"},
        {"CM_REUSEADDR", "y"}, /* whoever restarts has its port again */
        {"WARN_INVALID_CONFIG", "n"},
    };
    ucs_status_t s = ucp_config_read(NULL, NULL, out);
    for (size_t i = 0; s == UCS_OK && i < sizeof settings / sizeof *settings; i++) {
        s = ucp_config_modify(*out, settings[i][0], settings[i][1]);
        if (s != UCS_OK) ucp_config_release(*out);
    }
    return s;
}

static ucs_status_t context_open(endpoint *e, const char *interface) {
    const ucp_params_t p = {.field_mask = UCP_PARAM_FIELD_FEATURES,
                            .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP};
    ucp_context_attr_t has = {.field_mask = UCP_ATTR_FIELD_MEMORY_TYPES};
    ucp_config_t *config;
    ucs_status_t s = configure(interface, &config);
    if (s != UCS_OK) return s;
    s = ucp_init(&p, config, &e->context);
    ucp_config_release(config);
    if (s != UCS_OK) e->context = NULL;
    if (s == UCS_OK) s = ucp_context_query(e->context, &has);
    const uint64_t devices = UCS_BIT(UCS_MEMORY_TYPE_CUDA) | UCS_BIT(UCS_MEMORY_TYPE_ROCM);
    e->takes_devices = s == UCS_OK && (has.memory_types & devices) != 0;
    return s;
}

static ucs_status_t worker_create(endpoint *e) {
    const ucp_worker_params_t p = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                   .thread_mode = UCS_THREAD_MODE_SERIALIZED};
    ucp_worker_attr_t has = {.field_mask = UCP_WORKER_ATTR_FIELD_THREAD_MODE |
                                           UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER};
    ucs_status_t s = ucp_worker_create(e->context, &p, &e->worker);
    if (s != UCS_OK) {
        e->worker = NULL;
        return s;
    }
    s = ucp_worker_query(e->worker, &has);
    if (s == UCS_OK && (has.thread_mode == UCS_THREAD_MODE_SINGLE ||
                        has.max_am_header < FRAME_BYTES + DF_META_MAX))
        s = UCS_ERR_UNSUPPORTED;
    if (s == UCS_OK) s = line_take_messages(e);
    return s == UCS_OK ? ucp_worker_get_efd(e->worker, &e->fd) : s;
}

df_code worker_open(endpoint *e, const char *target, df_error *err) {
    char interface[INTERFACE_MAX];
    df_code code = choose_interface(e, target, interface, err);
    if (code != DF_OK) return code;
    ucs_status_t s = context_open(e, interface);
    if (s == UCS_OK) s = worker_create(e);
    if (s == UCS_OK) return DF_OK;
    code = s == UCS_ERR_NO_MEMORY ? DF_RESOURCE_EXHAUSTED : DF_INVALID_ARGUMENT;
    return error_set(err, code, "UCX has no way by interface '%s': %s", interface,
                     ucs_status_string(s));
}

void worker_close(endpoint *e) {
    if (e->listener) ucp_listener_destroy(e->listener); /* see listen.c */
    if (e->worker) ucp_worker_destroy(e->worker);
    if (e->context) ucp_cleanup(e->context);
}
