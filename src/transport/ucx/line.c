/* SPDX-License-Identifier: MIT
 *
 * Lines: how they come and go. What goes over them is in message.c.
 */
#include "transport/ucx/core.h"

#include "base/clock.h"

#define CONNECT_NS UINT64_C(10000000000)
#define CLOSE_NS   UINT64_C(1000000000) /* see rule 6 */

/* ---- life -------------------------------------------------------------------------- */

static line *line_new(endpoint *e, peer *to) {
    line *l = alloc_zeroed(e->alloc, sizeof *l);
    if (!l) return NULL;
    l->at = e;
    l->to = to;
    ring_init(&l->users);
    ring_init(&l->of_endpoint);
    ring_init(&l->of_gathered);
    numbers_init(&l->by_number, e->alloc);
    return l;
}

static void line_free(line *l) {
    endpoint *e = l->at;
    ring_remove(&l->of_endpoint);
    numbers_fini(&l->by_number);
    alloc_free(e->alloc, l, sizeof *l);
    ucx_died(e);
}

static void line_settle(line *l) {
    if (l->is_ended && l->n_out == 0 && ring_is_empty(&l->users)) line_free(l);
}

void line_given_back(line *l) {
    l->n_out--;
    line_settle(l);
}

void line_add(line *l, flow *f, uint64_t number) {
    f->via = l;
    f->by_number.key = number;
    ring_add(&l->users, &f->in_line);
    numbers_put(&l->by_number, &f->by_number);
}

void line_take(flow *f) {
    line *l = f->via;
    if (!l) return;
    f->via = NULL;
    ring_remove(&f->in_line);
    numbers_take(&l->by_number, &f->by_number);
    line_settle(l);
}

/* ---- its end ------------------------------------------------------------------------- */

static void has_closed(void *request, ucs_status_t status, void *l) {
    (void)status;
    ucp_request_free(request);
    line_given_back(l);
}

static void close_by_force(line *l) {
    const ucp_request_param_t p = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS |
                                                   UCP_OP_ATTR_FIELD_CALLBACK |
                                                   UCP_OP_ATTR_FIELD_USER_DATA,
                                   .flags = UCP_EP_CLOSE_FLAG_FORCE,
                                   .cb.send = has_closed,
                                   .user_data = l};
    l->n_out++;
    if (!UCS_PTR_IS_PTR(ucp_ep_close_nbx(l->handle, &p))) l->n_out--;
}

/* UCX has made the connection, or never will: now it can be closed. */
static void run_close(post *p) {
    line *l = OF(line, failed, p);
    mutex_lock(&l->at->lock);
    heap_take(&l->too_late);
    mutex_unlock(&l->at->lock);
    l->closes = false;
    numbers_take(&l->at->by_handle, &l->in_endpoint);
    close_by_force(l);
    line_given_back(l);
}

void line_made(line *l) {
    if (l->is_made) return;
    l->is_made = true;
    if (l->closes) ucx_post(l->at, &l->failed, run_close);
}

static void is_too_late(event *t) {
    line *l = OF(line, too_late, t);
    if (l->closes)
        line_made(l); /* or not */
    else if (!l->is_made)
        line_fail(l, DF_UNAVAILABLE, "nobody has answered");
}

/* From now on this long. */
static void line_time(line *l, uint64_t ns) {
    endpoint *e = l->at;
    mutex_lock(&e->lock);
    heap_take(&l->too_late);
    l->too_late = (event){.at = e, .play = is_too_late};
    ucx_time_locked(e, &e->waits, &l->too_late, ns);
    mutex_unlock(&e->lock);
}

static void run_end(post *p) {
    line *l = OF(line, failed, p);
    l->n_out++; /* until it is closed */
    for (ring *r = l->users.next, *next; r != &l->users; r = next) {
        next = r->next;
        flow *f = OF(flow, in_line, r);
        if (l->to)
            call_lost(f);
        else
            request_gone(f);
    }
    l->is_ended = l->closes = true;
    if (l->is_made)
        run_close(p);
    else
        line_time(l, CLOSE_NS);
}

void line_fail(line *l, df_code why, const char *words) {
    if (l->why != DF_OK) return;
    (void)line_send_bundle(l);
    l->why = why;
    l->words = words;
    if (l->to) l->to->line = NULL;
    ucx_post(l->at, &l->failed, run_end);
}

static void handle_failed(void *l, ucp_ep_h handle, ucs_status_t status) {
    (void)handle;
    line_made(l);
    line_fail(l, DF_UNAVAILABLE, ucs_status_string(status));
}

void line_close_all(endpoint *e) {
    for (ring *r = e->lines.next; r != &e->lines; r = r->next)
        line_fail(OF(line, of_endpoint, r), DF_CANCELLED, "it is closed");
}

/* ---- its beginning --------------------------------------------------------------------- */

/* p says whom it is connected to. */
static ucs_status_t connect_by(line *l, ucp_ep_params_t p) {
    endpoint *e = l->at;
    p.field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
    p.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    p.err_handler = (ucp_err_handler_t){handle_failed, l};
    ucs_status_t s = ucp_ep_create(e->worker, &p, &l->handle);
    if (s != UCS_OK) return s;
    l->in_endpoint.key = (uintptr_t)l->handle;
    numbers_put(&e->by_handle, &l->in_endpoint);
    ring_add(&e->lines, &l->of_endpoint);
    return UCS_OK;
}

line *line_to(peer *p, df_code *why) {
    endpoint *e = p->at;
    line *l = line_new(e, p);
    place_of place;
    *why = DF_RESOURCE_EXHAUSTED;
    if (!l) return NULL;
    ucx_born(e);
    (void)worker_find(p->target, &place); /* as engine_peer did */
    const ucp_ep_params_t params = {.field_mask =
                                        UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
                                    .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
                                    .sockaddr = {(struct sockaddr *)&place.at, place.bytes}};
    if (connect_by(l, params) != UCS_OK) {
        *why = DF_UNAVAILABLE;
        line_free(l);
        return NULL;
    }
    p->line = l;
    line_time(l, CONNECT_NS);
    *why = line_send_cancel(l, 0); /* see rule 5 */
    if (*why == DF_OK) return l;
    line_fail(l, DF_UNAVAILABLE, "its first message cannot be sent");
    return NULL;
}

static void run_accept(post *p) {
    line *l = OF(line, failed, p);
    const ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
                                    .conn_request = l->request};
    if (connect_by(l, params) != UCS_OK)
        line_free(l);
    else if (ucx_is_closing(l->at))
        line_fail(l, DF_CANCELLED, "it is closed");
}

/* Let in and shown out, for which we need no memory. (Where UCX refuses somebody, and he hangs up
 * then, it may call nobody: openucx/ucx #11235, until 1.21.) */
static void turn_away(endpoint *e, ucp_conn_request_h request) {
    const ucp_ep_params_t p = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
                               .conn_request = request};
    const ucp_request_param_t close = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
                                       .flags = UCP_EP_CLOSE_FLAG_FORCE};
    ucp_ep_h handle;
    if (ucp_ep_create(e->worker, &p, &handle) != UCS_OK) return;
    void *closes = ucp_ep_close_nbx(handle, &close);
    if (UCS_PTR_IS_PTR(closes)) ucp_request_free(closes);
}

void line_asked_for(ucp_conn_request_h request, void *endpoint_) {
    endpoint *e = endpoint_;
    line *l = line_new(e, NULL);
    if (!l) {
        turn_away(e, request);
        return;
    }
    l->request = request;
    ucx_born(e);
    ucx_post(e, &l->failed, run_accept);
}
