/* SPDX-License-Identifier: MIT
 *
 * dataflow-worker - a task of a cluster, reached by gRPC or UCX, that runs what sessions of others
 * place on it. It serves until it is told to end (SIGTERM, SIGINT).
 *
 *   dataflow-worker --cluster FILE --job JOB --task N [--devices LIST] [--workers N]
 *                   [--cert FILE --key FILE --ca FILE] [--insecure] [--interface NAME]
 *
 * FILE has a line for each task of the cluster, the same for all: job, number, address and, with
 * certificates, identity (see df_cluster_spec_parse). The addresses choose the engine: all begin
 * with "grpc://", or all with "ucx://". When others can reach it, it prints one line.
 * --insecure: without a certificate it may listen where other machines reach it; by UCX, which has
 * none, always without. --interface: UCX's, if not the one that has the task's address.
 */
#include <dataflow/cluster.h>
#include <dataflow/dataflow.h>
#ifdef DATAFLOW_HAS_GRPC
#include <dataflow/grpc_transport.h>
#endif
#ifdef DATAFLOW_HAS_UCX
#include <dataflow/ucx_transport.h>
#endif

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USAGE = 2, MOST_THREADS = 256 };

static const char usage[] =
    "dataflow-worker --cluster FILE --job JOB --task N [--devices LIST] [--workers N]\n"
    "                [--cert FILE --key FILE --ca FILE] [--insecure] [--interface NAME]";

typedef struct arguments {
    const char *cluster, *job, *devices, *cert, *key, *ca, *interface;
    int task, workers;
    bool insecure;
} arguments;

static int complain(const char *what, const char *words) {
    (void)fprintf(stderr, "dataflow-worker: %s%s%s\n", what, *words ? ": " : "", words);
    return 1;
}

static bool read_number(const char *s, int least, int most, int *out) {
    char *end;
    long n = strtol(s, &end, 10);
    if (end == s || *end || n < least || n > most) return false;
    *out = (int)n;
    return true;
}

/* NULL, or the argument that is wrong or missing. */
static const char *read_arguments(int argc, char **argv, arguments *a) {
    *a = (arguments){.task = -1, .workers = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        const struct {
            const char *name, **to;
        } words[] = {{"--cluster", &a->cluster},    {"--job", &a->job}, {"--devices", &a->devices},
                     {"--cert", &a->cert},          {"--key", &a->key}, {"--ca", &a->ca},
                     {"--interface", &a->interface}};
        bool is_known = strcmp(argv[i], "--insecure") == 0;
        if (is_known) {
            a->insecure = true;
            continue;
        }
        if (!value) return argv[i];
        for (size_t k = 0; k < sizeof words / sizeof *words && !is_known; k++) {
            is_known = strcmp(argv[i], words[k].name) == 0;
            if (is_known) *words[k].to = value;
        }
        if (strcmp(argv[i], "--task") == 0) is_known = read_number(value, 0, 999999, &a->task);
        if (strcmp(argv[i], "--workers") == 0)
            is_known = read_number(value, 1, MOST_THREADS, &a->workers);
        if (!is_known) return argv[i];
        i++;
    }
    return a->cluster && a->job && a->task >= 0 ? NULL : "--cluster, --job and --task";
}

/* A file's text, zero-terminated, for free(). NULL: said why. No name: NULL, and nothing is said.
 */
static char *read_file(const char *path, size_t *size, bool *ok) {
    size_t room = 1 << 20, n = 0;
    if (!path) return NULL;
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(room) : NULL;
    if (text) n = fread(text, 1, room, f);
    *ok = text && n < room && !ferror(f);
    if (f) (void)fclose(f);
    if (!*ok) {
        (void)complain(path, "it cannot be read, or is longer than 1 MiB");
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *size = n;
    return text;
}

/* ---- the engine --------------------------------------------------------------------- */

typedef struct engine {
    df_transport_ops ops;
    void (*free)(void *of); /* NULL: there is none */
    void *of;
} engine;

#ifdef DATAFLOW_HAS_GRPC
static void free_grpc(void *of) {
    df_grpc_engine_free(of);
}

static df_code make_grpc(const arguments *a, engine *out, df_error *err) {
    bool ok = true;
    size_t n;
    df_grpc_engine *made;
    char *cert = read_file(a->cert, &n, &ok), *key = ok ? read_file(a->key, &n, &ok) : NULL,
         *ca = ok ? read_file(a->ca, &n, &ok) : NULL;
    const df_grpc_options o = {.struct_size = sizeof o,
                               .certificate = cert,
                               .key = key,
                               .ca = ca,
                               .insecure_beyond_loopback = a->insecure};
    df_code code = ok ? df_grpc_engine_new(&o, &made, err)
                      : df_error_set(err, DF_INVALID_ARGUMENT, "a file is missing");
    free(cert);
    free(key);
    free(ca);
    if (code != DF_OK) return code;
    *out = (engine){.free = free_grpc, .of = made};
    df_grpc_engine_ops(made, &out->ops);
    return DF_OK;
}
#endif

#ifdef DATAFLOW_HAS_UCX
static void free_ucx(void *of) {
    df_ucx_engine_free(of);
}

static df_code make_ucx(const arguments *a, engine *out, df_error *err) {
    df_ucx_engine *made;
    const df_ucx_options o = {
        .struct_size = sizeof o, .interface = a->interface, .trusted_beyond_loopback = a->insecure};
    if (a->cert || a->key || a->ca)
        return df_error_set(err, DF_INVALID_ARGUMENT,
                            "UCX has no certificates: leave out --cert, --key and --ca, or give "
                            "the tasks addresses of gRPC");
    df_code code = df_ucx_engine_new(&o, &made, err);
    if (code != DF_OK) return code;
    *out = (engine){.free = free_ucx, .of = made};
    df_ucx_engine_ops(made, &out->ops);
    return DF_OK;
}
#endif

static bool is_of(const char *address, const char *scheme) {
    size_t n = strlen(scheme);
    return strncmp(address, scheme, n) == 0 && strncmp(address + n, "://", 3) == 0;
}

/* The one that the first address names; of the others the cluster complains. */
static df_code make_engine(const arguments *a, const df_cluster_spec *spec, engine *out,
                           df_error *err) {
    static const struct {
        const char *scheme;
        df_code (*make)(const arguments *a, engine *out, df_error *err);
    } engines[] = {
#ifdef DATAFLOW_HAS_GRPC
        {"grpc", make_grpc},
#endif
#ifdef DATAFLOW_HAS_UCX
        {"ucx", make_ucx},
#endif
    };
    const char *address = NULL;
    for (size_t i = 0; i < spec->n_tasks && !address; i++) address = spec->tasks[i].address;
    for (size_t i = 0; address && i < sizeof engines / sizeof *engines; i++)
        if (is_of(address, engines[i].scheme)) return engines[i].make(a, out, err);
    return df_error_set(err, DF_INVALID_ARGUMENT,
                        "address '%.64s' is of no engine that this program was built with",
                        address ? address : "-");
}

/* ---- the cluster ---------------------------------------------------------------------- */

static df_code read_cluster(const arguments *a, df_cluster_spec **spec, df_error *err) {
    bool ok;
    size_t n;
    char *text = read_file(a->cluster, &n, &ok);
    if (!text) return df_error_set(err, DF_INVALID_ARGUMENT, "a file is missing");
    df_code code = df_cluster_spec_parse(NULL, text, n, spec, err);
    free(text);
    return code;
}

/* Until a signal says that it is enough. */
static void serve(const arguments *a, const df_cluster *cluster, const sigset_t *ends) {
    int signal;
    (void)printf("dataflow-worker: /job:%s/task:%d is at %s\n", a->job, a->task,
                 df_cluster_address(cluster));
    (void)fflush(stdout);
    (void)sigwait(ends, &signal);
}

int main(int argc, char **argv) {
    arguments a;
    sigset_t ends;
    df_error err = {.code = DF_OK};
    engine by = {.free = NULL};
    df_cluster_spec *spec = NULL;
    df_runtime *rt = NULL;
    df_cluster *cluster = NULL;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return puts(usage) < 0;
    const char *wrong = read_arguments(argc, argv, &a);
    if (wrong) {
        (void)complain(wrong, "missing, not known, or without a value that it can have");
        (void)fprintf(stderr, "%s\n", usage);
        return USAGE;
    }
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL); /* in all threads that come */
    const df_runtime_options ro = {.struct_size = sizeof ro,
                                   .devices = a.devices,
                                   .workers = a.workers,
                                   .job = a.job,
                                   .task = a.task};
    const df_cluster_options co = {.struct_size = sizeof co, .transport = &by.ops};
    df_code code = read_cluster(&a, &spec, &err);
    if (code == DF_OK) code = make_engine(&a, spec, &by, &err);
    if (code == DF_OK) code = df_runtime_new(&ro, &rt, &err);
    if (code == DF_OK) code = df_cluster_join(rt, spec, &co, &cluster, &err);
    if (code == DF_OK) serve(&a, cluster, &ends);
    df_cluster_leave(cluster);
    df_runtime_free(rt);
    df_cluster_spec_free(spec);
    if (by.free) by.free(by.of);
    return code == DF_OK ? 0 : complain(df_code_name(code), err.message);
}
