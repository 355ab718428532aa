/* SPDX-License-Identifier: MIT
 *
 * What a kind of device may ask of work, and tell it.
 */
#include "base/alloc.h"
#include "device/device.h"

/* Work of the user's own. */
typedef struct owned_work {
    df_work base; /* first */
    df_work_owner owner;
    const df_allocator *alloc;
} owned_work;

bool df_work_failed(const df_work *work) {
    return work_failed(work);
}

void df_work_fail(df_work *work, const df_error *why) {
    if (!work || !why) return;
    DF_SCHED_POINT();
    work->fail(work, why);
}

void df_event_ended(df_event_listener *listener, const df_error *why) {
    if (!listener) return;
    DF_SCHED_POINT();
    listener->ended(listener, why);
}

static void owner_fail(df_work *work, const df_error *why) {
    const df_work_owner *owner = &((owned_work *)work)->owner;
    if (owner->fail) owner->fail(owner->user, why);
    atomic_put(&work->failed, 1, RELEASE);
}

df_code df_work_new(const df_allocator *allocator, const df_work_owner *owner, df_work **out,
                    df_error *err) {
    if (!out) return error_no_out(err);
    if (alloc_check(allocator, err) != DF_OK) return DF_INVALID_ARGUMENT;
    owned_work *w = alloc_zeroed(allocator, sizeof *w);
    if (!w) return error_memory(err, "df_work_new");
    w->base.fail = owner_fail;
    if (owner) w->owner = *owner;
    w->alloc = allocator;
    *out = &w->base;
    return DF_OK;
}

void df_work_free(df_work *work) {
    if (work) alloc_free(((owned_work *)work)->alloc, work, sizeof(owned_work));
}
