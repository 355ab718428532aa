/* SPDX-License-Identifier: MIT
 *
 * Time, links and faults.
 */
#include "transport/mem/mem.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/thread.h"

#include <string.h>

/* ---- time ------------------------------------------------------------------ */

uint64_t mem_now_locked(df_mem_network *n) {
    return n->n_threads ? clock_now() - n->begin : n->time;
}

uint64_t mem_later(uint64_t time, uint64_t ns) {
    return ns > DF_MEM_NEVER - time ? DF_MEM_NEVER : time + ns;
}

void mem_schedule_locked(df_mem_network *n, event *e, uint64_t time) {
    heap_take(e);
    e->time = time;
    e->order = n->order++;
    heap_put(&n->due, e);
    if (n->due.first == e) condition_signal(&n->woken);
    if (e->at->is_closing) condition_broadcast(&n->moved);
}

/* The next event, if its time is no later than `until`, is its endpoint's. */
static bool step_locked(df_mem_network *n, uint64_t until) DF_REQUIRES(&n->lock) {
    event *e = n->due.first;
    if (!e || e->time > until || e->time == DF_MEM_NEVER) return false;
    if (n->time < e->time) n->time = e->time;
    heap_take(e);
    heap_put(&e->at->inbox, e);
    mem_play_locked(n, e->at);
    return true;
}

static void thread_main(void *arg) {
    df_mem_network *n = arg;
    mutex_lock(&n->lock);
    while (!n->is_stopping) {
        if (step_locked(n, mem_now_locked(n))) continue;
        uint64_t next = n->due.first ? mem_later(n->begin, n->due.first->time) : DF_MEM_NEVER;
        if (next == DF_MEM_NEVER)
            condition_wait(&n->woken, &n->lock);
        else
            condition_wait_until(&n->woken, &n->lock, next);
    }
    mutex_unlock(&n->lock);
}

uint64_t df_mem_network_now(df_mem_network *n) {
    if (!n) return 0;
    mutex_lock(&n->lock);
    uint64_t now = mem_now_locked(n);
    mutex_unlock(&n->lock);
    return now;
}

bool df_mem_network_step(df_mem_network *n) {
    if (!n || n->n_threads) return false;
    mutex_lock(&n->lock);
    bool has_stepped = step_locked(n, DF_MEM_NEVER);
    mutex_unlock(&n->lock);
    return has_stepped;
}

uint64_t df_mem_network_run(df_mem_network *n, uint64_t ns) {
    uint64_t steps = 0;
    if (!n || n->n_threads) return 0;
    mutex_lock(&n->lock);
    uint64_t until = mem_later(n->time, ns);
    while (step_locked(n, until)) steps++;
    n->time = until;
    mutex_unlock(&n->lock);
    return steps;
}

/* ---- links ----------------------------------------------------------------- */

static bool fits(const char *pattern, const char *address) {
    return !*pattern || strcmp(pattern, address) == 0;
}

static rule *rule_locked(df_mem_network *n, const char *from, const char *to, bool is_cut)
    DF_REQUIRES(&n->lock) {
    rule *r = n->rules;
    while (r && (r->is_cut != is_cut || !fits(r->from, from) || !fits(r->to, to) ||
                 (is_cut && r->left == DF_MEM_NEVER)))
        r = r->next;
    return r;
}

static const df_mem_link *link_locked(df_mem_network *n, const char *from, const char *to)
    DF_REQUIRES(&n->lock) {
    const rule *r = rule_locked(n, from, to, false);
    return r ? &r->link : &n->link;
}

uint64_t mem_latency_locked(df_mem_network *n, const char *from, const char *to) {
    return link_locked(n, from, to)->latency;
}

uint64_t mem_travel_locked(df_mem_network *n, const char *from, const char *to, uint64_t *free_at,
                           uint64_t bytes, uint64_t *arrive) {
    const df_mem_link *l = link_locked(n, from, to);
    rule *cut = rule_locked(n, from, to, true);
    *arrive = cut && cut->left < bytes ? cut->left : bytes;
    if (cut) cut->left = *arrive < bytes ? DF_MEM_NEVER : cut->left - bytes;
    uint64_t begin = mem_now_locked(n);
    if (begin < *free_at) begin = *free_at;
    double ns = l->bytes_per_s ? (double)*arrive * 1e9 / (double)l->bytes_per_s : 0;
    *free_at = mem_later(begin, ns < 1e18 ? (uint64_t)ns : DF_MEM_NEVER);
    uint64_t late = l->jitter ? hash_u64(n->random += 0x9e3779b97f4a7c15u) % l->jitter : 0;
    return mem_later(mem_later(*free_at, l->latency), late);
}

static df_code rule_add(df_mem_network *n, const char *from, const char *to, const rule *as,
                        df_error *err) {
    if (!n) return error_invalid(err, "the network is NULL");
    size_t n_from = from ? strlen(from) + 1 : 1, n_to = to ? strlen(to) + 1 : 1;
    rule *r = alloc_bytes(n->alloc, sizeof *r + n_from + n_to);
    if (!r) return error_memory(err, "a link of a network");
    *r = *as;
    r->bytes = sizeof *r + n_from + n_to;
    r->from = memcpy(r + 1, from ? from : "", n_from);
    r->to = memcpy(r->from + n_from, to ? to : "", n_to);
    mutex_lock(&n->lock);
    r->next = n->rules;
    n->rules = r;
    mutex_unlock(&n->lock);
    return DF_OK;
}

df_code df_mem_network_link(df_mem_network *n, const char *from, const char *to,
                            const df_mem_link *link, df_error *err) {
    if (!link) return error_invalid(err, "the link is NULL");
    return rule_add(n, from, to, &(rule){.link = *link}, err);
}

df_code df_mem_network_cut(df_mem_network *n, const char *from, const char *to, uint64_t bytes,
                           df_error *err) {
    return rule_add(n, from, to, &(rule){.is_cut = true, .left = bytes}, err);
}

/* ---- fates ----------------------------------------------------------------- */

endpoint **mem_find_locked(df_mem_network *n, const char *address) {
    endpoint **at = &n->buckets[hash_bytes(address, strlen(address)) % BUCKETS];
    while (*at && strcmp((*at)->address, address) != 0) at = &(*at)->next;
    return at;
}

static void kill_locked(df_mem_network *n, endpoint **at) DF_REQUIRES(&n->lock) {
    endpoint *p = *at;
    *at = p->next;
    p->is_there = false;
    p->is_silent = true;
    for (ring *r = p->peers.next; r != &p->peers; r = r->next)
        mem_lose_locked(n, OF(mem_peer, in_endpoint, r));
    for (ring *r = p->requests.next; r != &p->requests; r = r->next)
        mem_tell_lost_locked(n, OF(exchange, in_to, r));
}

static void go_on_locked(df_mem_network *n, endpoint *p) DF_REQUIRES(&n->lock) {
    p->is_silent = false;
    while (p->inbox.first && !p->is_busy) {
        event *e = p->inbox.first;
        mem_schedule_locked(n, e, e->time);
    }
}

df_code df_mem_network_fate(df_mem_network *n, const char *address, df_mem_fate fate,
                            df_error *err) {
    if (!n || !address) return error_invalid(err, "the network or the address is NULL");
    mutex_lock(&n->lock);
    endpoint **at = mem_find_locked(n, address);
    bool is_there = *at != NULL;
    if (is_there && fate == DF_MEM_KILLED) kill_locked(n, at);
    if (is_there && fate == DF_MEM_HANGS) (*at)->is_silent = true;
    if (is_there && fate == DF_MEM_GOES_ON) go_on_locked(n, *at);
    mutex_unlock(&n->lock);
    return is_there ? DF_OK : error_set(err, DF_NOT_FOUND, "%s: nobody is there", address);
}

/* ---- its life -------------------------------------------------------------- */

static df_code locks_init(df_mem_network *n, df_error *err) {
    if (!mutex_init(&n->lock)) goto fail;
    if (!condition_init(&n->woken)) goto no_woken;
    if (condition_init(&n->moved)) return DF_OK;
    condition_fini(&n->woken);
no_woken:
    mutex_fini(&n->lock);
fail:
    return error_set(err, DF_RESOURCE_EXHAUSTED, "the system has no more locks for a network");
}

void df_mem_network_free(df_mem_network *n) {
    if (!n) return;
    mutex_lock(&n->lock);
    n->is_stopping = true;
    condition_broadcast(&n->woken);
    mutex_unlock(&n->lock);
    for (int i = 0; i < n->n_threads; i++)
        if (n->threads[i]) thread_join(n->source, n->threads[i]);
    for (rule *r = n->rules, *next; r; r = next) {
        next = r->next;
        alloc_free(n->alloc, r, r->bytes);
    }
    condition_fini(&n->moved);
    condition_fini(&n->woken);
    mutex_fini(&n->lock);
    alloc_free(n->alloc, n, sizeof *n);
}

df_code df_mem_network_new(const df_mem_options *options, df_mem_network **out, df_error *err) {
    df_mem_options o = {.struct_size = sizeof o};
    df_code code = out ? options_read(&o, options, "df_mem_options", err) : error_no_out(err);
    if (code == DF_OK) code = alloc_check(o.allocator, err);
    if (code != DF_OK) return code;
    if (o.threads < 0 || o.threads > DF_MEM_THREADS_MAX)
        return error_invalid(err, "df_mem_options.threads is %d; it can be 0 to %d", o.threads,
                             DF_MEM_THREADS_MAX);
    df_mem_network *n = alloc_zeroed(o.allocator, sizeof *n);
    if (!n) return error_memory(err, "a network");
    n->alloc = o.allocator;
    n->source = o.source;
    n->random = o.seed;
    n->link = o.link;
    if (!n->link.latency && !n->link.jitter && !n->link.bytes_per_s)
        n->link = (df_mem_link){.latency = 10000, .bytes_per_s = 10000000000u};
    n->connect_timeout = o.connect_timeout ? o.connect_timeout : 1000000000u;
    n->begin = clock_now();
    n->n_threads = o.threads;
    code = locks_init(n, err);
    if (code != DF_OK) {
        alloc_free(n->alloc, n, sizeof *n);
        return code;
    }
    for (int i = 0; code == DF_OK && i < n->n_threads; i++)
        code = thread_start(n->source, "df-mem", thread_main, n, &n->threads[i], err);
    if (code == DF_OK)
        *out = n;
    else
        df_mem_network_free(n);
    return code;
}

void df_mem_network_ops(df_mem_network *network, df_transport_ops *out) {
    *out = (df_transport_ops){.struct_size = sizeof *out,
                              .scheme = "mem",
                              .open = mem_open,
                              .close = mem_close,
                              .peer = mem_peer_new,
                              .reset = mem_reset,
                              .call = mem_call_new,
                              .cancel = mem_cancel,
                              .reply = mem_reply,
                              .after = mem_after,
                              .user = network};
}
