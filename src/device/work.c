/* SPDX-License-Identifier: MIT */
#include "device/work.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/sched.h"

/* Work of the user's own. */
typedef struct owned_work {
    df_work base; /* first */
    df_work_owner owner;
    const df_allocator *alloc;
} owned_work;

bool df_work_failed(const df_work *work) {
    return work && atomic_get(&((df_work *)(uintptr_t)work)->failed, ACQUIRE) != 0;
}

void df_work_fail(df_work *work, const df_error *why) {
    if (!work || !why) return;
    DF_SCHED_POINT();
    work->fail(work, why);
    atomic_put(&work->failed, 1, RELEASE);
}

void df_event_ended(df_event_listener *listener, const df_error *why) {
    if (!listener) return;
    DF_SCHED_POINT();
    listener->ended(listener, why);
}

static void owner_fail(df_work *work, const df_error *why) {
    const df_work_owner *owner = &((owned_work *)work)->owner;
    if (owner->fail) owner->fail(owner->user, why);
}

df_code df_work_new(const df_allocator *allocator, const df_work_owner *owner, df_work **out,
                    df_error *err) {
    if (!out) return error_set(err, DF_INVALID_ARGUMENT, "df_work_new: out is NULL");
    owned_work *w = alloc_zeroed(allocator, sizeof *w);
    if (!w) return error_memory(err, "df_work_new");
    work_init(&w->base, owner_fail);
    if (owner) w->owner = *owner;
    w->alloc = allocator;
    *out = &w->base;
    return DF_OK;
}

void df_work_free(df_work *work) {
    if (work) alloc_free(((owned_work *)work)->alloc, work, sizeof(owned_work));
}
