/* SPDX-License-Identifier: MIT
 *
 * Joining a cluster, and leaving it.
 */
#include "cluster/cluster.h"

#include "base/clock.h"
#include "base/options.h"

#include <string.h>

df_cluster *cluster_ref(df_cluster *c) {
    refcount_ref(&c->refs);
    return c;
}

void cluster_unref(df_cluster *c) {
    if (!c || !refcount_unref(&c->refs)) return;
    df_runtime *rt = c->rt;
    remote_unref(c->remote);
    spec_names_free(rt->alloc, c->spec, (const char **)c->names_block);
    df_cluster_spec_free(c->spec);
    condition_fini(&c->changed);
    mutex_fini(&c->lock);
    alloc_free(rt->alloc, c, sizeof *c);
    runtime_unref(rt);
}

static df_code find_self(df_cluster *c, df_error *err) {
    for (uint32_t i = 0; i < c->spec->n_tasks; i++) {
        const df_cluster_task *t = &c->spec->tasks[i];
        if (strcmp(t->job, c->rt->name.job) != 0 || t->task != c->rt->name.task) continue;
        c->self = i;
        return DF_OK;
    }
    return error_set(err, DF_NOT_FOUND,
                     "the cluster has no /job:%s/task:%d, which is what the runtime is: set "
                     "df_runtime_options.job and task",
                     c->rt->name.job, c->rt->name.task);
}

static df_code connect(df_cluster *c, df_error *err) {
    const df_cluster_spec *spec = c->spec;
    const char *addresses[PLAN_MAX_DEVICES], *identities[PLAN_MAX_DEVICES];
    for (size_t i = 0; i < spec->n_tasks; i++) {
        addresses[i] = spec->tasks[i].address;
        identities[i] = spec->tasks[i].identity;
    }
    const remote_options o = {.alloc = c->rt->alloc,
                              .threads = c->rt->threads,
                              .host = c->rt->host,
                              .cpu = c->rt->devices[c->rt->client],
                              .engine = c->o.transport,
                              .address = spec->tasks[c->self].address,
                              .cluster = spec_hash(spec),
                              .incarnation = runtime_draw(),
                              .self = c->self,
                              .n_peers = (uint32_t)spec->n_tasks,
                              .names = c->names,
                              .addresses = addresses,
                              .identities = identities,
                              .heartbeat = c->o.heartbeat,
                              .misses = c->o.misses,
                              .budget = c->o.budget,
                              .checks = c->o.checksum,
                              .user = c,
                              .request = requests_take,
                              .lost = requests_lost,
                              .doubt = greet_doubtful};
    return remote_new(&o, &c->remote, err);
}

static void set_defaults(df_cluster_options *o) {
    if (!o->heartbeat) o->heartbeat = UINT64_C(1000000000);
    if (!o->misses) o->misses = 4;
    if (!o->timeout) o->timeout = UINT64_C(30000000000);
    if (!o->budget) o->budget = UINT64_C(256) << 20;
}

static df_code start(df_cluster *c, const df_cluster_spec *spec, df_error *err) {
    const char **names = NULL;
    df_code code = spec_copy(c->rt->alloc, spec, &c->spec, err);
    if (code == DF_OK) code = spec_names(c->rt->alloc, c->spec, &names, err);
    c->names = names;
    c->names_block = names;
    if (code == DF_OK) code = find_self(c, err);
    if (code == DF_OK) code = pool_start(c->rt->pool, err);
    if (code == DF_OK) code = clerk_start(&c->clerk, c, "df-cluster", err);
    if (code == DF_OK) code = clerk_start(&c->mender, c, "df-mender", err);
    return code == DF_OK ? connect(c, err) : code;
}

static df_code enter_runtime(df_cluster *c, df_error *err) {
    mutex_lock(&c->rt->lock);
    bool first = !c->rt->cluster;
    if (first) c->rt->cluster = &c->base;
    mutex_unlock(&c->rt->lock);
    return first ? DF_OK
                 : error_set(err, DF_ALREADY_EXISTS, "the runtime is a task of a cluster already");
}

df_code df_cluster_join(df_runtime *runtime, const df_cluster_spec *spec,
                        const df_cluster_options *options, df_cluster **out, df_error *err) {
    if (!runtime || !spec)
        return error_invalid(err, "the %s is NULL", runtime ? "specification" : "runtime");
    if (!out) return error_no_out(err);
    df_cluster_options o = {.struct_size = sizeof o};
    df_cluster_spec given = {.struct_size = sizeof given};
    df_code code = options_read(&o, options, "df_cluster_options", err);
    if (code == DF_OK) code = options_read(&given, spec, "df_cluster_spec", err);
    if (code == DF_OK && !o.transport)
        code =
            error_invalid(err, "df_cluster_options.transport is NULL: set it to an engine's calls");
    if (code != DF_OK) return code;
    df_cluster *c = alloc_zeroed(runtime->alloc, sizeof *c);
    if (!c) return error_memory(err, "a cluster");
    bool locks = mutex_init(&c->lock);
    if (!locks || !condition_init(&c->changed)) {
        if (locks) mutex_fini(&c->lock);
        alloc_free(runtime->alloc, c, sizeof *c);
        return error_memory(err, "a cluster");
    }
    refcount_init(&c->refs);
    c->rt = runtime_ref(runtime);
    runtime_enter(runtime);
    c->base.calls = &master_calls;
    c->o = o;
    set_defaults(&c->o);
    code = start(c, &given, err);
    if (code == DF_OK) code = enter_runtime(c, err);
    if (code == DF_OK)
        *out = c;
    else
        df_cluster_leave(c);
    return code;
}

/* Else what is of its sessions would stay with the others: nobody tells them any more. Who is not
 * heard of for so long is dead. */
static void await_notices(df_cluster *c) {
    uint64_t beats = c->o.misses + UINT64_C(1), timeout = c->o.timeout;
    if (c->o.heartbeat < timeout / beats) timeout = c->o.heartbeat * beats;
    uint64_t until = clock_after(timeout);
    mutex_lock(&c->lock);
    while (c->n_notices && clock_now() < until) condition_wait_until(&c->changed, &c->lock, until);
    mutex_unlock(&c->lock);
}

df_code error_left(df_error *err, const df_cluster *c) {
    return error_set(err, DF_CANCELLED, "%s has left the cluster",
                     c->names ? c->names[c->self] : "");
}

void df_cluster_leave(df_cluster *cluster) {
    if (!cluster) return;
    df_cluster *c = cluster;
    df_error why;
    (void)error_left(&why, c);
    mutex_lock(&c->lock);
    c->leaving = true;
    condition_broadcast(&c->changed);
    mutex_unlock(&c->lock);
    mutex_lock(&c->rt->lock);
    if (c->rt->cluster == &c->base) c->rt->cluster = NULL;
    mutex_unlock(&c->rt->lock);
    clerk_await(&c->clerk);
    clerk_await(&c->mender);
    masters_end(c, &why);
    guests_end(c, &why);
    await_notices(c);
    if (c->remote) remote_close(c->remote);
    mutex_lock(&c->lock);
    while (c->n_requests) condition_wait(&c->changed, &c->lock);
    mutex_unlock(&c->lock);
    df_runtime *rt = runtime_ref(c->rt);
    cluster_unref(c);
    runtime_leave(rt);
}

const char *df_cluster_address(const df_cluster *cluster) {
    return cluster ? remote_address(cluster->remote) : "";
}

void df_cluster_serve(df_cluster *cluster, uint64_t timeout) {
    uint64_t until = clock_after(timeout);
    if (!cluster) return;
    for (uint64_t now; (now = clock_now()) < until;) {
        uint64_t left = until - now, next;
        const uint64_t nap = UINT64_C(1000000);
        bool busy = df_runtime_poll(cluster->rt, left < nap ? left : nap, &next) > 0;
        if (busy) continue;
        mutex_lock(&cluster->lock);
        uint64_t soon = clock_after(nap);
        condition_wait_until(&cluster->changed, &cluster->lock, soon < until ? soon : until);
        mutex_unlock(&cluster->lock);
    }
}
