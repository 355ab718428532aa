/* SPDX-License-Identifier: MIT
 *
 * A program that has threads and a loop of its own: the library makes none. A pool of two threads
 * runs whatever it is given, the library's kernels among it; an event loop sleeps in poll(2),
 * starts a run for each request that comes in, and hears of its end through a pipe.
 *
 *     loop:  request -> df_program_start ... done -> pipe -> loop
 *     pool:  wake -> a job -> df_runtime_poll
 */
#include <dataflow/dataflow.h>

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 2, REQUESTS = 50, AT_ONCE = 8 };

/* ---- the program's own pool: jobs, and threads that do them ------------------- */

typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    int jobs; /* to be done; all are the same here */
    bool stop;
    df_runtime *rt; /* what a job is about */
    pthread_t threads[THREADS];
} pool;

static void *work(void *arg) {
    pool *p = arg;
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->jobs && !p->stop) (void)pthread_cond_wait(&p->work, &p->lock);
        if (p->stop) break;
        p->jobs--;
        (void)pthread_mutex_unlock(&p->lock);
        (void)df_runtime_poll(p->rt, 0, NULL); /* runs what is ready, and comes back */
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* The library has something to do. */
static void wake(void *user) {
    pool *p = user;
    (void)pthread_mutex_lock(&p->lock);
    p->jobs++;
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
}

static void stop(pool *p) {
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(p->threads[i], NULL);
}

/* ---- the loop ----------------------------------------------------------------- */

typedef struct reply {
    int request;
    df_code code;
    float value;
} reply;

typedef struct request {
    int number, pipe;
} request;

/* On whatever thread: the loop is told, and does the rest. A reply fits into a pipe at once. */
static void done(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    request *r = user;
    reply answer = {.request = r->number, .code = err ? err->code : DF_OK};
    if (n) answer.value = *(const float *)df_tensor_data(results[0]);
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
    if (write(r->pipe, &answer, sizeof answer) != sizeof answer) (void)close(r->pipe);
}

static void start(df_program *p, request *r) {
    float x[2] = {(float)r->number, 1};
    df_tensor *fed = NULL;
    (void)df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(1, 2), x, &fed, NULL);
    df_program_start(p, DF_TENSORS(fed), NULL, done, r);
    df_tensor_unref(fed);
}

/* Some requests at a time, until all are answered. How many were right. */
static int loop(df_program *p, const int pipe[2]) {
    static request requests[REQUESTS];
    int started = 0, answered = 0, right = 0;
    while (answered < REQUESTS) {
        while (started < REQUESTS && started - answered < AT_ONCE) {
            requests[started] = (request){.number = started, .pipe = pipe[1]};
            start(p, &requests[started++]);
        }
        struct pollfd event = {.fd = pipe[0], .events = POLLIN};
        reply r;
        if (poll(&event, 1, -1) != 1 || read(pipe[0], &r, sizeof r) != sizeof r) break;
        answered++;
        right += r.code == DF_OK && r.value == 3 * (float)r.request + 4;
    }
    return right;
}

int main(void) {
    df_error err = {.code = DF_OK};
    df_runtime *rt = NULL;
    df_graph *g = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    pool threads = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};
    int ends[2], right = 0;
    df_lent_threads lent = {
        .struct_size = sizeof lent, .user = &threads, .count = THREADS, .wake = wake};
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:2", .lent = &lent};
    if (pipe(ends) != 0) return 1;
    if (df_runtime_new(&options, &rt, &err)) goto end;
    g = df_graph_new(rt);
    float weights[] = {3, 4};
    df_tensor *w = NULL;
    if (df_tensor_from(NULL, DF_FLOAT32, DF_SHAPE(2, 1), weights, &w, &err)) goto end;
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SHAPE(-1, 2));
    df_graph_on(g, "cpu:1");
    df_out y = df_matmul(g, x, df_const(g, w));
    df_graph_on(g, "cpu:0");
    df_out z = df_sum(g, y, NULL, 0, false);
    df_tensor_unref(w);
    if (df_session_new(g, NULL, &s, &err)) goto end;
    if (df_session_compile(s, DF_OUTS(x), DF_OUTS(z), NULL, &p, &err)) goto end;

    threads.rt = rt;
    for (int i = 0; i < THREADS; i++)
        (void)pthread_create(&threads.threads[i], NULL, work, &threads);
    right = loop(p, ends);
    printf("%d of %d requests answered right, on threads of this program alone\n", right, REQUESTS);
    stop(&threads); /* before the runtime goes: nobody may be on the way to it */
end:
    if (err.code) fprintf(stderr, "%s: %s\n", df_code_name(err.code), err.message);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return right != REQUESTS;
}
