/* SPDX-License-Identifier: MIT */
#include "unit/remote_world.h"

const char *const remote_names[TWO] = {"/job:w/task:0", "/job:w/task:1"};
static const char *const addresses[] = {"mem://a", "mem://b"};

static remote_world *now; /* for the engine in between, which has no place for it */

static void hold(void *w) {
    ((remote_world *)w)->held++;
}

static void release(void *w) {
    ((remote_world *)w)->held--;
}

static df_code no_request(void *user, remote_peer *from, unsigned kind, wire_in *meta,
                          uint64_t payload, remote_request **q, df_segments *place, df_error *err) {
    (void)user, (void)from, (void)kind, (void)meta, (void)payload, (void)q, (void)place;
    return error_set(err, DF_UNIMPLEMENTED, "nothing of the kind");
}

static void note_lost(void *user, remote_peer *peer, const df_error *why) {
    remote_world *w = user;
    (void)peer;
    w->lost++;
    w->why = *why;
}

static void reply_changed(df_request *request, df_reply *reply) {
    void (*lies)(df_message * m) = now->lies;
    now->lies = NULL;
    if (lies) lies(&reply->message);
    now->mem.reply(request, reply);
}

static void call_disturbed(void *peer, df_call *call) {
    void (*meanwhile)(void *user) = now->meanwhile;
    now->meanwhile = NULL;
    if (meanwhile) meanwhile(now->user);
    now->mem.call(peer, call);
}

void remote_program_again(remote_world *w, int i) {
    const remote_program_options o = {9, w->edges[i], EDGES, hold, release, w};
    remote_program_free(w->p[i]);
    w->p[i] = NULL;
    assert_int_equal(remote_program_new(w->r[i], &o, &w->p[i], NULL), DF_OK);
}

remote_options remote_options_of(remote_world *w, int i, uint64_t incarnation) {
    return (remote_options){.alloc = w->rt->alloc,
                            .host = w->rt->host,
                            .cpu = w->rt->devices[w->rt->client],
                            .engine = &w->ops,
                            .address = addresses[i],
                            .cluster = 5,
                            .incarnation = incarnation,
                            .self = (uint32_t)i,
                            .n_peers = TWO,
                            .names = remote_names,
                            .addresses = addresses,
                            .heartbeat = 100 * MS,
                            .misses = 3,
                            .budget = w->budget,
                            .checks = true,
                            .user = w,
                            .request = no_request,
                            .lost = note_lost};
}

void remote_end_open_with(remote_world *w, int i, const remote_options *options) {
    df_error err;
    assert_int_equal(remote_new(options, &w->r[i], &err), DF_OK);
    assert_int_equal(remote_session_open(w->r[i], SESSION, &w->s[i], &err), DF_OK);
    remote_program_again(w, i);
}

void remote_end_open(remote_world *w, int i, uint64_t incarnation) {
    const remote_options o = remote_options_of(w, i, incarnation);
    remote_end_open_with(w, i, &o);
}

void remote_end_close(remote_world *w, int i) {
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "the test is over");
    remote_session_close(w->s[i], &why);
    if (!w->r[i]->is_closed) remote_close(w->r[i]);
    remote_program_free(w->p[i]);
    remote_unref(w->r[i]);
    w->p[i] = NULL;
    w->r[i] = NULL;
}

void remote_world_open(remote_world *w, uint64_t budget) {
    *w = (remote_world){.budget = budget};
    now = w;
    fault_allocator_init(&w->memory);
    const df_mem_options mo = {.struct_size = sizeof mo, .allocator = &w->memory.allocator};
    assert_int_equal(df_mem_network_new(&mo, &w->net, NULL), DF_OK);
    df_mem_network_ops(w->net, &w->mem);
    w->ops = w->mem;
    w->ops.reply = reply_changed;
    w->ops.call = call_disturbed;
    df_runtime_options ro = {.struct_size = sizeof ro, .allocator = &w->memory.allocator};
    assert_int_equal(df_runtime_new(&ro, &w->rt, NULL), DF_OK);
    for (int i = 0; i < EDGES; i++) {
        w->keys[i] = test_key(i, 9, i);
        w->edges[A][i] = (remote_edge){w->keys[i], DF_INT32, DF_SCALAR, REMOTE_NONE, true};
        w->edges[B][i] = (remote_edge){w->keys[i], DF_INT32, DF_SCALAR, A, false};
    }
    remote_end_open(w, A, 100);
    remote_end_open(w, B, 200);
    remote_peer_is(remote_peer_at(w->r[A], B), 200);
    remote_peer_is(remote_peer_at(w->r[B], A), 100);
}

void remote_world_close(remote_world *w) {
    for (int i = 0; i < TWO; i++)
        if (w->r[i]) remote_end_close(w, i);
    for (int i = 0; i < EDGES; i++) df_key_free(w->keys[i]);
    assert_int_equal(w->held, 0);
    df_runtime_free(w->rt);
    df_mem_network_free(w->net);
    fault_allocator_end(&w->memory);
}

void remote_pass(remote_world *w, uint64_t ns) {
    (void)df_mem_network_run(w->net, ns);
}

df_rendezvous *remote_begin(remote_world *w, int i, uint64_t step) {
    df_rendezvous *r = NULL;
    df_error err;
    if (remote_step_open(w->s[i], step, 0, w->p[i], &r, &err) != DF_OK) fail_msg("%s", err.message);
    return r;
}

void remote_end_it(df_recv *r, const df_error *err, df_tensor *t) {
    outcome *g = r->user;
    g->calls++;
    g->err = err ? *err : (df_error){.code = DF_OK};
    if (!err && df_tensor_dtype(t) == DF_INT32)
        memcpy(&g->value, df_tensor_data(t), sizeof g->value);
    df_tensor_unref(t);
}

void remote_recv(remote_world *w, df_rendezvous *r, int edge, outcome *g) {
    *g = (outcome){.recv = {.key = w->keys[edge], .to = on_host, .done = remote_end_it, .user = g}};
    rendezvous_mark_planned(&g->recv, NULL);
    df_rendezvous_recv(r, &g->recv);
}

void remote_give(remote_world *w, df_rendezvous *r, int edge, int32_t value) {
    assert_int_equal(
        rendezvous_send(r, w->keys[edge], &on_host, number(&w->memory.allocator, value)), DF_OK);
}

void assert_ended(const outcome *g, df_code code, int32_t value) {
    assert_int_equal(g->calls, 1);
    if (g->err.code != code) fail_msg("%s", g->err.message);
    if (code == DF_OK) assert_int_equal(g->value, value);
}
