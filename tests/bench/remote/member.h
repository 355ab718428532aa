/* SPDX-License-Identifier: MIT
 *
 * member.h - a task of a cluster of one master and its workers.
 */
#ifndef BENCH_REMOTE_MEMBER_H
#define BENCH_REMOTE_MEMBER_H

#include "bench/remote/remote.h"

#include <dataflow/cluster.h>

typedef struct member {
    const engine_kind *kind;
    void *engine;
    df_transport_ops ops;
    df_runtime *rt;
    df_cluster *cluster;
} member;

/* The master, of n workers at these addresses. */
member *member_lead(const engine_kind *kind, const credentials *tls, const char *const *workers,
                    int n);
void member_free(member *m);

/* Worker `task` of n: says where it is, and never returns. */
void member_serve(const engine_kind *kind, const credentials *tls, int task, int n);

df_session *member_session(const member *m, df_graph *g);
df_program *member_compile(df_session *s, df_outs feeds, df_outs fetches);

#endif /* BENCH_REMOTE_MEMBER_H */
