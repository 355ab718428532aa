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

enum { SMALL = 64, LARGE = 64 << 20, AT_ONCE = 64 };

typedef struct way {
    const char *name;
    bool has_tls; /* can be measured with it */
    /* In a process of its own: says where it is by remote_is_at, and never returns. */
    void (*serve)(const credentials *tls);
    void *(*connect)(const char *address, const credentials *tls);
    double (*small)(void *c, int times); /* seconds for each */
    double (*large)(void *c, int times); /* seconds for each */
    void (*close)(void *c);
    double (*many)(void *c, int times); /* seconds for each; NULL: it is not measured */
} way;

extern const way way_raw, way_grpc, way_grpc_direct, way_grpc_engine, way_grpc_session;
extern const way way_ucx, way_ucx_direct, way_ucx_engine, way_ucx_session;

/* An engine of the library's. */
typedef struct engine_kind {
    const char *address; /* a free port of the loopback's */
    void *(*make)(const credentials *tls, df_transport_ops *ops); /* NULL: without TLS */
    void (*free)(void *engine);
} engine_kind;

extern const engine_kind engine_grpc, engine_ucx;

double remote_now(void); /* seconds */
void remote_is_at(const char *address);
void remote_wait_for_ever(void);

/* What one thread does and another waits for. */
typedef struct latch latch;
latch *latch_new(void);
void latch_free(latch *l);
void latch_open(latch *l);
void latch_pass(latch *l); /* waits until it is open, and shuts it */

#endif /* BENCH_REMOTE_REMOTE_H */
