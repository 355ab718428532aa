/* SPDX-License-Identifier: MIT */
#include "bench/remote/member.h"

#include <stdlib.h>

/* at: of the workers; NULL: a worker joins, whom the master tells where the others are. */
static member *join(const engine_kind *kind, const credentials *tls, const char *job, int task,
                    const char *const *at, int n) {
    member *m = bench_alloc(sizeof *m);
    df_cluster_task tasks[1 + WORKERS] = {{"master", 0, kind->address, NULL}};
    const df_cluster_spec spec = {sizeof spec, tasks, (size_t)n + 1};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &m->ops};
    /* The thread that runs a step is the master's only one. */
    const df_runtime_options ro = {
        .struct_size = sizeof ro, .workers = at ? 0 : 1, .job = job, .task = task};
    df_error err;
    for (int i = 0; i < n; i++)
        tasks[1 + i] = (df_cluster_task){"worker", i, at ? at[i] : kind->address, NULL};
    m->kind = kind;
    m->engine = kind->make(tls, &m->ops);
    bench_ok(df_runtime_new(&ro, &m->rt, &err), &err, "a runtime");
    bench_ok(df_cluster_join(m->rt, &spec, &co, &m->cluster, &err), &err, "join");
    return m;
}

member *member_lead(const engine_kind *kind, const credentials *tls, const char *const *workers,
                    int n) {
    return join(kind, tls, "master", 0, workers, n);
}

void member_free(member *m) {
    df_cluster_leave(m->cluster);
    df_runtime_free(m->rt);
    m->kind->free(m->engine);
    free(m);
}

void member_serve(const engine_kind *kind, const credentials *tls, int task, int n) {
    member *m = join(kind, tls, "worker", task, NULL, n);
    remote_is_at(df_cluster_address(m->cluster));
    remote_wait_for_ever();
}

df_session *member_session(const member *m, df_graph *g) {
    const df_session_options so = {.struct_size = sizeof so, .cluster = m->cluster};
    df_session *s;
    df_error err;
    bench_ok(df_session_new(g, &so, &s, &err), &err, "a session");
    return s;
}

df_program *member_compile(df_session *s, df_outs feeds, df_outs fetches) {
    df_program *p;
    df_error err;
    bench_ok(df_session_compile(s, feeds, fetches, NULL, &p, &err), &err, "compile");
    return p;
}
