/* SPDX-License-Identifier: MIT
 *
 * Runs beside the caller, with a deadline: a graph that asks a slow service is run ten times at
 * once. What is answered in time gives a result; what is not ends at its deadline, and the answer
 * that comes later is too late. A handle ends what the program does not want any more.
 *
 * The service is a desk of this program, the kernel that asks it an asynchronous op.
 */
#include <dataflow/dataflow.h>

#include <pthread.h>
#include <stdio.h>

enum { REQUESTS = 10, PATIENCE = 20 * 1000 * 1000 /* ns */ };

/* ---- the service: a desk with questions, answered when it closes ------------- */

typedef struct question {
    df_kernel *k;
    df_kernel_handle done;
} question;

typedef struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    question waiting[2 * REQUESTS]; /* slow ones */
    int n;
    bool closes; /* nothing waits here any more */
} desk;

static void answer(question q) {
    df_tensor *x = df_kernel_input(q.k, 0), *y = df_kernel_output(q.k, 0);
    *(float *)df_tensor_data(y) = 2 * *(const float *)df_tensor_data(x);
    df_kernel_done(q.done, NULL);
}

/* The kernel: even numbers are easy and answered at once, odd ones are put on the desk. Its
 * pointers stay good until df_kernel_done, even if the run has ended at its deadline before. */
static df_code ask(df_kernel *k, df_error *err) {
    desk *d = df_kernel_user(k);
    question q = {k, df_kernel_handle_of(k)};
    bool is_easy = (int)*(const float *)df_tensor_data(df_kernel_input(k, 0)) % 2 == 0;
    (void)err;
    (void)pthread_mutex_lock(&d->lock);
    bool waits = !is_easy && !d->closes;
    if (waits) d->waiting[d->n++] = q;
    (void)pthread_cond_signal(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
    if (!waits) answer(q);
    return DF_OK;
}

static void wait_for_questions(desk *d, int n) {
    (void)pthread_mutex_lock(&d->lock);
    while (d->n < n) (void)pthread_cond_wait(&d->changed, &d->lock);
    (void)pthread_mutex_unlock(&d->lock);
}

/* A run may be told of its end while its kernel is only on the way here. */
static void close_desk(desk *d) {
    (void)pthread_mutex_lock(&d->lock);
    d->closes = true;
    (void)pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < d->n; i++) answer(d->waiting[i]);
}

static df_code add_ask(df_runtime *rt, desk *d, df_error *err) {
    df_op_def op = {
        .struct_size = sizeof op, .signature = "Ask(x: float32) : float32", .infer = df_infer_same};
    df_kernel_def kernel = {.struct_size = sizeof kernel,
                            .op = "Ask",
                            .devices = "CPU",
                            .compute = ask,
                            .flags = DF_KERNEL_ASYNC,
                            .user = d};
    df_code code = df_op_register(rt, &op, err);
    return code == DF_OK ? df_kernel_register(rt, &kernel, err) : code;
}

/* ---- requests: each is told its outcome once --------------------------------- */

typedef struct request {
    struct ledger *ledger;
    df_code code;
    float value;
} request;

typedef struct ledger {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    request requests[REQUESTS];
    int open; /* not yet told */
} ledger;

static void told(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    request *r = user;
    ledger *l = r->ledger;
    (void)pthread_mutex_lock(&l->lock);
    r->code = err ? err->code : DF_OK;
    if (n) r->value = *(const float *)df_tensor_data(results[0]);
    l->open--;
    (void)pthread_cond_signal(&l->changed);
    (void)pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
}

static void start(ledger *l, int i, df_program *p, const df_run_options *options) {
    float x = (float)i;
    df_tensor *fed = NULL;
    l->requests[i] = (request){.ledger = l};
    (void)pthread_mutex_lock(&l->lock);
    l->open++;
    (void)pthread_mutex_unlock(&l->lock);
    (void)df_tensor_from(NULL, DF_FLOAT32, DF_SCALAR, &x, &fed, NULL);
    df_program_start(p, DF_TENSORS(fed), options, told, &l->requests[i]);
    df_tensor_unref(fed); /* the run has a reference of its own */
}

static void wait_for_all(ledger *l) {
    (void)pthread_mutex_lock(&l->lock);
    while (l->open) (void)pthread_cond_wait(&l->changed, &l->lock);
    (void)pthread_mutex_unlock(&l->lock);
}

/* How many ended with this code. */
static int count(const ledger *l, df_code code) {
    int n = 0;
    for (int i = 0; i < REQUESTS; i++) n += l->requests[i].code == code;
    return n;
}

int main(void) {
    df_error err = {.code = DF_OK};
    df_runtime *rt = NULL;
    df_graph *g = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_cancel *unwanted = NULL;
    desk d = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    ledger l = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    int ok = 0;
    df_runtime_options options = {.struct_size = sizeof options, .devices = "cpu:2", .workers = 2};
    if (df_runtime_new(&options, &rt, &err)) goto end;
    if (add_ask(rt, &d, &err)) goto end;
    g = df_graph_new(rt);
    df_out x = df_placeholder(g, "x", DF_FLOAT32, DF_SCALAR);
    df_graph_on(g, "cpu:1");
    df_graph_name(g, "ask");
    df_out y = df_node_output(df_node_add(g, "Ask", &x, 1, NULL, 0), 0);
    df_graph_on(g, "cpu:0");
    df_out z = df_add(g, y, df_const_float(g, DF_FLOAT32, 1));
    if (df_session_new(g, NULL, &s, &err)) goto end;
    if (df_session_compile(s, DF_OUTS(x), DF_OUTS(z), NULL, &p, &err)) goto end;
    if (df_cancel_new(rt, &unwanted, &err)) goto end;

    /* Ten at once, none of which may take longer than 20 ms. The odd ones will. */
    df_run_options patient = {.struct_size = sizeof patient, .timeout = PATIENCE};
    for (int i = 0; i < REQUESTS; i++) start(&l, i, p, &patient);
    wait_for_all(&l);
    printf("with a deadline: %d answered, %d too late\n", count(&l, DF_OK),
           count(&l, DF_DEADLINE_EXCEEDED));
    ok = count(&l, DF_OK) + count(&l, DF_DEADLINE_EXCEEDED) == REQUESTS &&
         count(&l, DF_DEADLINE_EXCEEDED) >= REQUESTS / 2;
    for (int i = 0; i < REQUESTS; i += 2)
        ok = ok && (l.requests[i].code || l.requests[i].value == 2 * (float)i + 1);

    /* The same without a deadline, with a handle instead. */
    df_run_options revocable = {.struct_size = sizeof revocable, .cancel = unwanted};
    for (int i = 0; i < REQUESTS; i++) start(&l, i, p, &revocable);
    (void)pthread_mutex_lock(&l.lock);
    while (l.open > REQUESTS / 2) (void)pthread_cond_wait(&l.changed, &l.lock);
    (void)pthread_mutex_unlock(&l.lock);
    wait_for_questions(&d, REQUESTS / 2);
    df_cancel_fire(unwanted); /* the five that are still open are told before this returns */
    printf("with a handle: %d answered, %d cancelled\n", count(&l, DF_OK), count(&l, DF_CANCELLED));
    ok = ok && count(&l, DF_OK) == REQUESTS / 2 && count(&l, DF_CANCELLED) == REQUESTS / 2;

    /* The questions on the desk belong to runs that are over for us. While they are open the
     * session cannot end, and says why; once they are answered, it can. */
    df_error why = {.code = DF_OK};
    ok = ok && df_session_close(s, 0, &why) == DF_DEADLINE_EXCEEDED;
    printf("%s\n", why.message);
    close_desk(&d);
    ok = ok && df_session_close(s, UINT64_MAX, &err) == DF_OK;
end:
    if (err.code) fprintf(stderr, "%s: %s\n", df_code_name(err.code), err.message);
    df_cancel_free(unwanted);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    return !ok;
}
