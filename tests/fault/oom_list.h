/* SPDX-License-Identifier: MIT
 *
 * The scenarios of oom.h, a line each: CMake makes a test of each, too. No include guard: whoever
 * includes this says what OOM(name) is.
 */
/* oom_parts.c */
OOM(tensors)
OOM(keys)
OOM(build)
OOM(parse)
OOM(rendezvous)
OOM(rendezvous_ends)
/* oom_programs.c */
OOM(runtime)
OOM(runtime_with_blas)
OOM(steps)
OOM(late_shapes)
OOM(frames)
OOM(lent_values)
OOM(async_kernels)
OOM(own_ops)
OOM(save_and_restore)
OOM(start)
OOM(explain)
OOM(compile_options)
OOM(soft_placement)
OOM(compile_refused)
/* oom_ends.c */
OOM(deadline)
OOM(cancel)
OOM(session_cancel)
OOM(close)
OOM(destroy)
OOM(kernel_fails)
OOM(starved)
OOM(poll)
OOM(stalled)
/* oom_devices.c */
OOM(copies)
OOM(staged_copies)
OOM(device_copy)
OOM(device_tensor)
OOM(device_wrap)
OOM(device_pin)
OOM(feeds_and_fetches_on_devices)
OOM(own_kind)
OOM(own_rendezvous)
OOM(stats)
