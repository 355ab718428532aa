/* SPDX-License-Identifier: MIT
 *
 * A run over a cluster that its caller waits for.
 */
#include "cluster/master.h"

#include "base/clock.h"

typedef struct sleeper {
    mutex lock;
    condition wake;
    bool over; /* (l) as below */
    df_error err;
    df_tensor **results;
    bool drops;
} sleeper;

static void wake(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    sleeper *s = user;
    mutex_lock(&s->lock);
    s->err = err ? *err : (df_error){.code = DF_OK};
    for (size_t i = 0; i < n; i++) {
        if (s->results)
            s->results[i] = results[i];
        else
            df_tensor_unref(results[i]);
    }
    s->over = true;
    condition_broadcast(&s->wake);
    mutex_unlock(&s->lock);
}

/* Where nobody else would run its own part, the caller does. */
static void sleep_until_over(sleeper *s, df_runtime *rt) {
    bool works = pool_helpers(rt->pool) == 0;
    mutex_lock(&s->lock);
    while (!s->over) {
        if (!works) {
            condition_wait(&s->wake, &s->lock);
            continue;
        }
        mutex_unlock(&s->lock);
        bool busy = df_runtime_poll(rt, 100000, NULL) > 0;
        mutex_lock(&s->lock);
        if (!busy && !s->over)
            condition_wait_until(&s->wake, &s->lock, clock_after(UINT64_C(100000)));
    }
    mutex_unlock(&s->lock);
}

df_code steps_run(df_program *program, df_tensors feeds, df_tensor **results,
                  const df_run_options *options, df_error *err) {
    cluster_program *p = (cluster_program *)(void *)program;
    sleeper s = {.results = results};
    for (uint32_t i = 0; results && i < p->n_fetches; i++) results[i] = NULL;
    if (!mutex_init(&s.lock)) return error_memory(err, "a run");
    if (!condition_init(&s.wake)) {
        mutex_fini(&s.lock);
        return error_memory(err, "a run");
    }
    bool has_room = results || !p->n_fetches || (options && options->into);
    df_code code = steps_begin(p, feeds, options, has_room, wake, &s, &s.err);
    if (code == DF_OK) {
        sleep_until_over(&s, p->head.session->rt);
        code = s.err.code;
    }
    condition_fini(&s.wake);
    mutex_fini(&s.lock);
    if (code != DF_OK && err) *err = s.err;
    return code;
}
