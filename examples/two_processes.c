/* SPDX-License-Identifier: MIT
 *
 * Two processes: a worker is forked, and a graph runs over both. The worker has a variable, and
 * counts; the master feeds it, and fetches what comes back. Then the worker is killed, and the next
 * run ends with an error that names it.
 *
 * It says that it was left out where the library was built without gRPC.
 */
#include <dataflow/cluster.h>
#include <dataflow/dataflow.h>

#include <stdio.h>

#ifdef EXAMPLES_GRPC

#include <dataflow/grpc_transport.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where they are reached; the first port is found, and told to the other. */
static char address[DF_ADDRESS_MAX] = "grpc://127.0.0.1:0";

typedef struct member {
    df_runtime *runtime;
    df_grpc_engine *engine;
    df_transport_ops grpc;
    df_cluster *cluster;
} member;

static df_code member_join(member *m, const char *job, df_error *err) {
    const df_cluster_task tasks[] = {{.job = "master"}, /* nobody calls it */
                                     {.job = "worker", .address = address}};
    const df_cluster_spec spec = {.struct_size = sizeof spec, .tasks = tasks, .n_tasks = 2};
    df_runtime_options ro = {.struct_size = sizeof ro, .devices = "cpu:1", .job = job};
    df_grpc_options go = {.struct_size = sizeof go};
    if (df_runtime_new(&ro, &m->runtime, err)) return err->code;
    if (df_grpc_engine_new(&go, &m->engine, err)) return err->code;
    df_grpc_engine_ops(m->engine, &m->grpc);
    df_cluster_options co = {.struct_size = sizeof co, .transport = &m->grpc};
    return df_cluster_join(m->runtime, &spec, &co, &m->cluster, err);
}

static void member_leave(member *m) {
    df_cluster_leave(m->cluster);
    df_grpc_engine_free(m->engine);
    df_runtime_free(m->runtime);
}

/* Tells the master where it listens, and works for it until it is killed. */
static int worker(int tell) {
    member m = {0};
    df_error err = {.code = DF_OK};
    if (member_join(&m, "worker", &err)) {
        fprintf(stderr, "worker: %s\n", err.message);
        return 1;
    }
    const char *where = df_cluster_address(m.cluster);
    if (write(tell, where, DF_ADDRESS_MAX) < 0) return 1;
    for (;;) df_cluster_serve(m.cluster, 1000000000);
}

static df_code count(df_program *program, int64_t by, df_error *err) {
    df_tensor *fed, *counted;
    if (df_tensor_from(NULL, DF_INT64, DF_SCALAR, &by, &fed, err)) return err->code;
    df_code code = df_program_run(program, DF_TENSORS(fed), &counted, NULL, err);
    df_tensor_unref(fed);
    if (code != DF_OK) return code;
    printf("%d more makes %d\n", (int)by, (int)*(int64_t *)df_tensor_data(counted));
    df_tensor_unref(counted);
    return DF_OK;
}

static df_code master(member *m, pid_t pid, df_error *err) {
    df_graph *g = df_graph_new(m->runtime);
    df_session *session = NULL;
    df_program *program = NULL;
    df_out by = df_placeholder(g, "by", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:worker");
    df_out counter = df_variable(g, "counter", DF_INT64, DF_SCALAR);
    df_out counted = df_assign_add(g, counter, by);
    df_session_options so = {.struct_size = sizeof so, .cluster = m->cluster};
    df_code code = df_session_new(g, &so, &session, err);
    if (code == DF_OK)
        code = df_session_compile(session, DF_OUTS(by), DF_OUTS(counted), NULL, &program, err);
    for (int64_t i = 1; code == DF_OK && i <= 3; i++) code = count(program, i, err);
    if (code == DF_OK) {
        (void)kill(pid, SIGKILL);
        code = count(program, 1, err) == DF_UNAVAILABLE
                   ? DF_OK
                   : df_error_set(err, DF_INTERNAL, "a worker that is dead has counted");
        if (code == DF_OK) printf("and then: %.60s...\n", err->message);
    }
    df_program_free(program);
    df_session_free(session);
    df_graph_free(g);
    return code;
}

int main(void) {
    member m = {0};
    df_error err = {.code = DF_OK};
    int told[2];
    if (pipe(told) != 0) return 1;
    (void)fflush(NULL);
    pid_t pid = fork(); /* before there are threads */
    if (pid == 0) _exit(worker(told[1]));
    if (pid < 0) return 1;
    close(told[1]);
    df_code code = read(told[0], address, sizeof address) > 0
                       ? member_join(&m, "master", &err)
                       : df_error_set(&err, DF_UNAVAILABLE, "the worker did not start");
    if (code == DF_OK) code = master(&m, pid, &err);
    if (code != DF_OK) fprintf(stderr, "%s: %s\n", df_code_name(code), err.message);
    member_leave(&m);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return code != DF_OK;
}

#else

int main(void) {
    puts("left out: the library was built without gRPC");
    return 0;
}

#endif
