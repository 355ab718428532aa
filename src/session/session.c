/* SPDX-License-Identifier: MIT */
#include "session/session.h"

#include "base/clock.h"

void session_unref(df_session *s) {
    if (!s || !refcount_unref(&s->refs)) return;
    if (s->calls) s->calls->close(s);
    const df_allocator *alloc = s->rt->alloc;
    if (!s->base && s->group) {
        for (uint32_t i = 0; i < s->n_variables; i++) df_tensor_unref(s->variables[i].value);
        alloc_free(alloc, s->variables, s->n_variables * sizeof *s->variables);
        run_group_fini(s->group);
        alloc_free(alloc, s->group, sizeof *s->group);
    }
    alloc_free(alloc, s->variable_of, s->graph->n_nodes * sizeof *s->variable_of);
    alloc_free(alloc, s->fixed, s->graph->n_nodes * sizeof *s->fixed);
    graph_unref(s->graph);
    df_runtime *rt = s->rt;
    df_session *base = s->base;
    alloc_free(alloc, s, sizeof *s);
    session_unref(base);
    runtime_unref(rt);
}

void df_session_free(df_session *session) {
    if (!session) return;
    df_runtime *rt = runtime_ref(session->rt);
    session_unref(session);
    runtime_leave(rt);
}

/* ---- runs that go on ------------------------------------------------------ */

static void end_runs(df_session *s, const char *words) {
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "%s", words);
    if (s->calls)
        s->calls->end(s, &why);
    else
        runs_end(s->rt->pool, s->group, NULL, &why);
}

void df_session_cancel(df_session *session) {
    if (session) end_runs(session, "the session's runs were cancelled");
}

df_code session_check_open(const df_session *s, df_error *err) {
    if (!atomic_get(&s->group->is_closed, RELAXED)) return DF_OK;
    return error_set(err, DF_FAILED_PRECONDITION, "the session is closed");
}

df_code df_session_close(df_session *session, uint64_t timeout, df_error *err) {
    char list[360];
    if (!session) return error_invalid(err, "the session is NULL");
    uint64_t until = clock_after(timeout);
    atomic_put(&session->group->is_closed, 1, RELAXED);
    end_runs(session, "the session was closed");
    bool ended = session->calls ? session->calls->await(session, until)
                                : runs_await(session->rt->pool, session->group, until);
    if (ended) return DF_OK;
    (void)runs_list(session->rt->pool, session->group, false, list, sizeof list);
    return error_set(err, DF_DEADLINE_EXCEEDED,
                     "the session is closed, but not all of it has ended: %s", list);
}

size_t df_session_stalled(df_session *session, char *buffer, size_t size) {
    if (!session) return 0;
    return runs_list(session->rt->pool, session->group, true, buffer, buffer ? size : 0);
}
