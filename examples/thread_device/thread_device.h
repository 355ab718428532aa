/* SPDX-License-Identifier: MIT
 *
 * thread_device.h - a kind of device that is written by a program.
 *
 * Its memory is host memory that only its queues touch, and each queue is a thread. So it is
 * no faster than the host, but it is a device: what it does, it does beside whoever asked for it.
 */
#ifndef THREAD_DEVICE_H
#define THREAD_DEVICE_H

#include <dataflow/device_ops.h>

/* The kind "THREAD". There are four of them. */
extern const df_device_ops thread_device_ops;

/* From now on the device is lost, as if somebody had pulled it out. */
void thread_device_lose(void *device);

#endif /* THREAD_DEVICE_H */
