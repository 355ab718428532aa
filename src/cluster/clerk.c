/* SPDX-License-Identifier: MIT
 *
 * A thread of the cluster's that does what takes time, one job after the other.
 *
 * There are two: one does what others ask, and never waits for anybody; the other may, for the
 * first of another task. So two tasks that ask each other at once do not wait for ever.
 */
#include "cluster/cluster.h"

#include "base/thread.h"

static void work(void *user) {
    clerk *k = user;
    df_cluster *c = k->of;
    mutex_lock(&c->lock);
    for (;;) {
        while (!k->first && !c->leaving) condition_wait(&c->changed, &c->lock);
        clerk_job *job = k->first;
        if (!job) break;
        k->first = job->next;
        if (!k->first) k->last = NULL;
        mutex_unlock(&c->lock);
        job->work(job);
        mutex_lock(&c->lock);
    }
    mutex_unlock(&c->lock);
}

df_code clerk_start(clerk *k, df_cluster *c, const char *name, df_error *err) {
    k->of = c;
    return thread_start(c->rt->threads, name, work, k, &k->thread, err);
}

bool clerk_post(clerk *k, clerk_job *job) {
    df_cluster *c = k->of;
    mutex_lock(&c->lock);
    bool leaving = c->leaving;
    job->next = NULL;
    if (!leaving) {
        if (k->last)
            k->last->next = job;
        else
            k->first = job;
        k->last = job;
        condition_broadcast(&c->changed);
    }
    mutex_unlock(&c->lock);
    return !leaving;
}

void clerk_await(clerk *k) {
    if (k->thread) thread_join(k->of->rt->threads, k->thread);
}
