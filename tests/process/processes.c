/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "process/processes.h"

#include "support/credentials.h"

#ifdef DATAFLOW_HAS_GRPC
#include <dataflow/grpc_transport.h>
#endif
#ifdef DATAFLOW_HAS_UCX
#include <dataflow/ucx_transport.h>
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* ---- time -------------------------------------------------------------------------- */

uint64_t processes_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void processes_sleep(int ms) {
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&t, NULL);
}

void processes_report(const char *what, uint64_t since, const char *promised) {
    printf("  %s: %.1f ms (on a quiet machine: %s)\n", what,
           (double)(processes_now() - since) / 1e6, promised);
    (void)fflush(stdout);
}

/* ---- ports -------------------------------------------------------------------------- */

static struct sockaddr_in at_port(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

/* Ports that nobody has at the moment. */
static void find_ports(int *ports, int n) {
    int fds[TASKS];
    for (int i = 0; i < n; i++) {
        struct sockaddr_in a = at_port(0);
        socklen_t size = sizeof a;
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(fds[i] >= 0 && bind(fds[i], (struct sockaddr *)&a, sizeof a) == 0);
        assert_int_equal(getsockname(fds[i], (struct sockaddr *)&a, &size), 0);
        ports[i] = ntohs(a.sin_port);
    }
    for (int i = 0; i < n; i++) (void)close(fds[i]);
}

int processes_connect(const processes *p, int worker) {
    struct sockaddr_in a = at_port(p->ports[worker]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

/* ---- children ------------------------------------------------------------------------- */

enum { MOST_FILES = 256 }; /* of this process */

/* argv[0] is the program. It has none of this process's files: UCX's sockets would stay open in
 * it, and their ports taken. Waits for its first line. */
static pid_t spawn(const processes *p, char *const argv[]) {
    int pipe_[2];
    char line[256];
    assert_int_equal(pipe(pipe_), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
#ifdef __linux__
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        const struct rlimit files = {(rlim_t)p->files, (rlim_t)p->files};
        (void)dup2(pipe_[1], STDOUT_FILENO);
        for (int fd = STDERR_FILENO + 1; fd < MOST_FILES; fd++) (void)close(fd);
        if (p->files) (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    (void)close(pipe_[1]);
    FILE *out = fdopen(pipe_[0], "r");
    assert_non_null(out);
    if (!fgets(line, sizeof line, out)) fail_msg("%s has ended before it was ready", argv[0]);
    (void)fclose(out);
    return pid;
}

static char *path_of(const processes *p, const char *name, const char *kind, char path[256]) {
    (void)snprintf(path, 256, "%s/%s.%s", p->certificates, name, kind);
    return path;
}

void processes_start(processes *p, int worker) {
    char number[12], name[16], paths[3][256];
    (void)snprintf(number, sizeof number, "%d", worker);
    (void)snprintf(name, sizeof name, "worker-%d", worker);
    char *argv[16] = {DATAFLOW_WORKER, "--cluster", p->file,     "--job", "worker",
                      "--task",        number,      "--workers", "2"};
    int n = 9;
    if (p->certificates) {
        argv[n++] = "--cert";
        argv[n++] = path_of(p, name, "pem", paths[0]);
        argv[n++] = "--key";
        argv[n++] = path_of(p, name, "key", paths[1]);
        argv[n++] = "--ca";
        argv[n++] = path_of(p, "ca", "pem", paths[2]);
    }
    p->pids[worker] = spawn(p, argv);
}

void processes_start_master(processes *p, int task, const char *program) {
    char number[12];
    (void)snprintf(number, sizeof number, "%d", task);
    char *argv[] = {(char *)(uintptr_t)program,
                    "--master",
                    number,
                    p->file,
                    (char *)(uintptr_t)p->scheme,
                    (char *)(uintptr_t)p->certificates,
                    NULL};
    p->pids[task] = spawn(p, argv);
}

void processes_kill(processes *p, int worker) {
    if (p->pids[worker] <= 0) return;
    (void)kill(p->pids[worker], SIGKILL);
    assert_int_equal(waitpid(p->pids[worker], NULL, 0), p->pids[worker]);
    p->pids[worker] = 0;
}

/* ---- this process ---------------------------------------------------------------------- */

#ifdef DATAFLOW_HAS_GRPC
static void make_grpc(processes *p) {
    credentials mine = {.ca = NULL};
    df_grpc_engine *engine;
    if (p->certificates) assert_true(credentials_read(&mine, p->certificates, "ca", "master-0"));
    const df_grpc_options o = {
        .struct_size = sizeof o, .certificate = mine.certificate, .key = mine.key, .ca = mine.ca};
    assert_int_equal(df_grpc_engine_new(&o, &engine, &p->err), DF_OK);
    credentials_free(&mine);
    df_grpc_engine_ops(engine, &p->ops);
    p->engine = engine;
}
#endif

#ifdef DATAFLOW_HAS_UCX
static void make_ucx(processes *p) {
    const df_ucx_options o = {.struct_size = sizeof o};
    df_ucx_engine *engine;
    assert_int_equal(df_ucx_engine_new(&o, &engine, &p->err), DF_OK);
    df_ucx_engine_ops(engine, &p->ops);
    p->engine = engine;
}
#endif

static void make_engine(processes *p) {
#ifdef DATAFLOW_HAS_GRPC
    if (strcmp(p->scheme, "grpc") == 0) make_grpc(p);
#endif
#ifdef DATAFLOW_HAS_UCX
    if (strcmp(p->scheme, "ucx") == 0) make_ucx(p);
#endif
    assert_non_null(p->engine);
}

static void free_engine(processes *p) {
#ifdef DATAFLOW_HAS_GRPC
    if (strcmp(p->scheme, "grpc") == 0) df_grpc_engine_free(p->engine);
#endif
#ifdef DATAFLOW_HAS_UCX
    if (strcmp(p->scheme, "ucx") == 0) df_ucx_engine_free(p->engine);
#endif
}

void processes_join(processes *p) {
    df_cluster_spec *spec;
    const df_runtime_options ro = {.struct_size = sizeof ro,
                                   .devices = "cpu:1",
                                   .workers = 1,
                                   .job = "master",
                                   .task = p->task == OTHER};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &p->ops};
    assert_int_equal(df_cluster_spec_parse(NULL, p->text, strlen(p->text), &spec, &p->err), DF_OK);
    assert_int_equal(df_runtime_new(&ro, &p->rt, &p->err), DF_OK);
    if (df_cluster_join(p->rt, spec, &co, &p->cluster, &p->err) != DF_OK)
        fail_msg("%s", p->err.message);
    df_cluster_spec_free(spec);
}

static void free_session(processes *p) {
    df_program_free(p->quick);
    df_program_free(p->slow);
    df_program_free(p->large);
    df_program_free(p->fed);
    df_session_free(p->s);
    df_graph_free(p->g);
    p->quick = p->slow = p->large = p->fed = NULL;
    p->s = NULL;
    p->g = NULL;
}

void processes_leave(processes *p) {
    free_session(p);
    df_cluster_leave(p->cluster);
    df_runtime_free(p->rt);
    p->cluster = NULL;
    p->rt = NULL;
}

df_code processes_try_session(processes *p) {
    const df_session_options so = {.struct_size = sizeof so, .cluster = p->cluster};
    free_session(p);
    df_graph *g = p->g = df_graph_new(p->rt);
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:worker/task:0");
    df_out b = df_neg(g, a);
    df_graph_on(g, "/job:worker/task:1");
    df_out v = df_assign_add(g, df_variable(g, "v", DF_INT64, DF_SCALAR), run_const(g, 1));
    const int64_t square[] = {2048, 2048}, much[] = {64, 1 << 20};
    df_out x = df_fill(g, df_const_float(g, DF_FLOAT32, 0.0005), (df_shape){2, square}), slow = x;
    for (int i = 0; i < 20; i++) slow = df_matmul(g, slow, x);
    df_out sum = df_sum(g, slow, NULL, 0, false);
    df_out large = df_fill(g, df_const_float(g, DF_FLOAT32, 2), (df_shape){2, much});
    df_graph_on(g, "/job:worker/task:0");
    df_out used = df_sum(g, df_neg(g, large), NULL, 0, false);
    df_out f = df_placeholder(g, "f", DF_FLOAT32, (df_shape){2, much});
    df_out first = df_sum(g, f, NULL, 0, false);
    df_graph_on(g, "/job:master");
    df_out y = df_add(g, b, v);
    df_graph_on(g, NULL);
    df_code code = df_session_new(g, &so, &p->s, &p->err);
    if (code == DF_OK)
        code = df_session_compile(p->s, DF_OUTS(a), DF_OUTS(y), NULL, &p->quick, &p->err);
    if (code == DF_OK)
        code = df_session_compile(p->s, DF_NO_OUTS, DF_OUTS(sum), NULL, &p->slow, &p->err);
    if (code == DF_OK)
        code = df_session_compile(p->s, DF_NO_OUTS, DF_OUTS(used), NULL, &p->large, &p->err);
    if (code == DF_OK)
        code = df_session_compile(p->s, DF_OUTS(f), DF_OUTS(first), NULL, &p->fed, &p->err);
    return code;
}

void processes_session(processes *p) {
    if (processes_try_session(p) != DF_OK) fail_msg("%s", p->err.message);
}

df_code processes_run(processes *p, int64_t a, int64_t *y) {
    df_tensor *in = run_scalar(NULL, a), *out = NULL;
    df_code code = df_program_run(p->quick, DF_TENSORS(in), &out, NULL, &p->err);
    if (code == DF_OK) *y = run_value(out);
    df_tensor_unref(in);
    df_tensor_unref(out);
    return code;
}

void processes_expect_step(processes *p, int64_t a, int64_t v) {
    int64_t y = 0;
    if (processes_run(p, a, &y) != DF_OK) fail_msg("%s", p->err.message);
    assert_int_equal(y, v - a);
}

void processes_expect_error(processes *p, df_code code, const char *words) {
    int64_t y;
    df_code got = processes_run(p, 1, &y);
    if (got != code || !strstr(p->err.message, words))
        fail_msg("%s, not %s: %s", df_code_name(got), df_code_name(code), p->err.message);
}

/* ---- a cluster ---------------------------------------------------------------------------- */

static void write_file(processes *p) {
    static const char *const jobs[TASKS] = {"worker", "worker", "master", "master"};
    static const int numbers[TASKS] = {0, 1, 0, 1};
    size_t n = 0;
    for (int t = 0; t < TASKS; t++) {
        char identity[64] = "";
        if (p->certificates)
            (void)snprintf(identity, sizeof identity, "dataflow://cluster/%s-%d", jobs[t],
                           numbers[t]);
        char address[32] = "-";
        if (t != OTHER || p->other_is_called)
            (void)snprintf(address, sizeof address, "%s://127.0.0.1:%d", p->scheme, p->ports[t]);
        n += (size_t)snprintf(p->text + n, sizeof p->text - n, "%s %d %s %s\n", jobs[t], numbers[t],
                              address, identity);
    }
    FILE *f = fopen(p->file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p->text, 1, n, f), n);
    (void)fclose(f);
}

void processes_open(processes *p, processes_way way) {
    *p = (processes){.files = p->files,
                     .other_is_called = p->other_is_called,
                     .scheme = way.scheme,
                     .certificates = way.certificates};
    (void)strcpy(p->folder, "/tmp/dataflow-process-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    (void)snprintf(p->file, sizeof p->file, "%s/cluster", p->folder);
    find_ports(p->ports, TASKS);
    write_file(p);
    for (int w = 0; w < WORKERS; w++) processes_start(p, w); /* before an engine runs here */
    make_engine(p);
    processes_join(p);
}

void processes_close(processes *p) {
    processes_leave(p);
    free_engine(p);
    for (int t = 0; t < TASKS; t++) processes_kill(p, t);
    (void)unlink(p->file);
    (void)rmdir(p->folder);
}

/* ---- another master ------------------------------------------------------------------------- */

void processes_open_master(processes *p, char **argv) {
    *p = (processes){.task = atoi(argv[0]), .scheme = argv[2], .certificates = argv[3]};
    FILE *f = fopen(argv[1], "r");
    assert_true(f && fread(p->text, 1, sizeof p->text - 1, f));
    (void)fclose(f);
    make_engine(p);
    processes_join(p);
}

int processes_run_slow(processes *p) {
    processes_session(p);
    processes_expect_step(p, 1, 1);
    printf("the master runs\n");
    (void)fflush(stdout);
    df_tensor *out = NULL;
    (void)df_program_run(p->slow, DF_NO_TENSORS, &out, NULL, &p->err);
    return 1;
}
