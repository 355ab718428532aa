/* SPDX-License-Identifier: MIT
 *
 * text.h - the kernels for OpenCL, as text.sh makes them: a text for each file *.cl.
 */
#ifndef KERNELS_OPENCL_TEXT_H
#define KERNELS_OPENCL_TEXT_H

extern const char opencl_common[]; /* in front of all; types.cl and args.h as well */
extern const char opencl_number[], opencl_elementwise[], opencl_function[], opencl_values[];
extern const char opencl_move[], opencl_scatter[], opencl_fold[], opencl_rows[];
extern const char opencl_matmul[], opencl_window[], opencl_pool[];

#endif /* KERNELS_OPENCL_TEXT_H */
