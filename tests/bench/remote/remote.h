/* SPDX-License-Identifier: MIT
 *
 * remote.h - ways from one process to another, one beside the other. Each has a server, a process
 * of its own, and a client, which measures: a request and its reply of 64 bytes, the same with 64
 * of them on their way at a time, and 64 MiB that the server has and the client then has in one
 * piece.
 *
 * In each the thread that waits for a result sleeps on a condition until a thread of the engine
 * wakes it, on both sides, but where the name says otherwise.
 */
#ifndef BENCH_REMOTE_REMOTE_H
#define BENCH_REMOTE_REMOTE_H

#include "bench/common.h"
#include "support/credentials.h"

#include <dataflow/transport.h>

#include <stdio.h>
#include <sys/types.h>

enum { SMALL = 64, LARGE = 64 << 20, AT_ONCE = 64, TURNS = 21 };

typedef struct way {
    const char *name;
    bool has_tls; /* can be measured with it */
    /* In a process of its own: says where it is by remote_is_at, and never returns. NULL: another
     * program is the server, tensorflow_program. */
    void (*serve)(const credentials *tls);
    void *(*connect)(const char *address, const credentials *tls);
    double (*small)(void *c, int times); /* seconds for each */
    double (*large)(void *c, int times); /* seconds for each */
    void (*close)(void *c);
    /* Seconds for each; NULL: it is not measured. */
    double (*many)(void *c, int times);
    double (*step)(void *c, int times); /* of a session: there and back, and all that is around */
    pid_t (*process)(void *c);          /* the client's; NULL: this one */
} way;

extern const way way_raw, way_grpc, way_grpc_direct, way_grpc_engine, way_grpc_session;
extern const way way_ucx, way_ucx_direct, way_ucx_engine, way_ucx_session;
extern const way way_tensorflow;

extern char *tensorflow_program; /* NULL: there is none, nor this way */

/* An engine of the library's. */
typedef struct engine_kind {
    const char *name;
    const char *address; /* a free port of the loopback's */
    void *(*make)(const credentials *tls, df_transport_ops *ops); /* NULL: without TLS */
    void (*free)(void *engine);
} engine_kind;

extern const engine_kind engine_grpc, engine_ucx;

/* ---- a session of many processes ------------------------------------------------------- */

enum { WORKERS = 8, CREWS = 4 };

/* With so many workers in a step. */
typedef struct crew_cost {
    double step, least; /* seconds: the median, and the least, of the turns' means */
    double calls;       /* for each step and worker */
} crew_cost;

extern const int crew_sizes[CREWS];

void workers_serve(const engine_kind *kind, int task); /* never returns */
/* In each turn n steps of each size, one at a time. self: this program. */
void workers_measure(char *self, const engine_kind *kind, int turns, int n, crew_cost costs[CREWS]);

/* ---- what all have ---------------------------------------------------------------------- */

double remote_now(void); /* seconds */
double remote_median(const double *all, int n);
double remote_least(const double *all, int n);
double remote_user_of(pid_t pid); /* seconds that it has been in user space */

/* A process, which ends with this one. Its output is *from; its input *to, unless that is NULL. */
pid_t remote_start(char *const argv[], FILE **to, FILE **from);
/* The same, of a server: waits until it says where it is. */
pid_t remote_start_server(char *const argv[], char address[DF_ADDRESS_MAX]);
void remote_end(pid_t pid);

/* Of a server. */
void remote_is_at(const char *address);
void remote_wait_for_ever(void);

/* What one thread does and another waits for. */
typedef struct latch latch;
latch *latch_new(void);
void latch_free(latch *l);
void latch_open(latch *l);
void latch_pass(latch *l); /* waits until it is open, and shuts it */

#endif /* BENCH_REMOTE_REMOTE_H */
