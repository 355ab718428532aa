/* SPDX-License-Identifier: MIT
 *
 * remote.h - ways from one process to another, one beside the other. Each has a server, a process
 * of its own, and a client, which measures: a request and its reply of 64 bytes, and 64 MiB that
 * the server has and the client then has in one piece.
 *
 * In each the thread that waits for a result sleeps on a condition until a thread of the engine
 * wakes it, on both sides, but where the name says otherwise.
 */
#ifndef BENCH_REMOTE_REMOTE_H
#define BENCH_REMOTE_REMOTE_H

#include "bench/common.h"
#include "support/credentials.h"

#include <dataflow/grpc_transport.h>

enum { SMALL = 64, LARGE = 64 << 20 };

typedef struct way {
    const char *name;
    bool has_tls; /* can be measured with it */
    /* In a process of its own: says where it is by remote_is_at, and never returns. */
    void (*serve)(const credentials *tls);
    void *(*connect)(const char *address, const credentials *tls);
    double (*small)(void *c, int times); /* seconds for each */
    double (*large)(void *c, int times); /* seconds for each */
    void (*close)(void *c);
} way;

extern const way way_raw, way_grpc, way_grpc_direct, way_engine, way_cluster;

double remote_now(void); /* seconds */
void remote_is_at(const char *address);
void remote_wait_for_ever(void);

/* What one thread does and another waits for. */
typedef struct latch latch;
latch *latch_new(void);
void latch_free(latch *l);
void latch_open(latch *l);
void latch_pass(latch *l); /* waits until it is open, and shuts it */

/* NULL: without TLS. */
void remote_engine(const credentials *tls, df_grpc_engine **engine, df_transport_ops *ops);

#endif /* BENCH_REMOTE_REMOTE_H */
