/* SPDX-License-Identifier: MIT
 *
 * What a kind of device may ask of work, and tell it.
 */
#include "device/device.h"

bool df_work_failed(const df_work *work) {
    return work_failed(work);
}

void df_work_fail(df_work *work, const df_error *why) {
    if (!work) return;
    DF_SCHED_POINT();
    work->fail(work, why);
}
