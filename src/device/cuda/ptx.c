/* SPDX-License-Identifier: MIT
 *
 * The kernels. Version 6.0 is what CUDA 9 knows, sm_50 the oldest GPUs that are used.
 */
#include "device/cuda/launch.h"

/* fill(uint32_t *to, uint32_t value, uint32_t n) */
const char cuda_ptx[] = ".version 6.0\n"
                        ".target sm_50\n"
                        ".address_size 64\n"
                        ".visible .entry fill(.param .u64 to, .param .u32 value, .param .u32 n) {\n"
                        "    .reg .pred %p;\n"
                        "    .reg .b32 %r<6>;\n"
                        "    .reg .b64 %d<4>;\n"
                        "    ld.param.u64 %d0, [to];\n"
                        "    ld.param.u32 %r0, [value];\n"
                        "    ld.param.u32 %r1, [n];\n"
                        "    mov.u32 %r2, %ctaid.x;\n"
                        "    mov.u32 %r3, %ntid.x;\n"
                        "    mov.u32 %r4, %tid.x;\n"
                        "    mad.lo.u32 %r5, %r2, %r3, %r4;\n"
                        "    setp.ge.u32 %p, %r5, %r1;\n"
                        "    @%p bra done;\n"
                        "    cvta.to.global.u64 %d1, %d0;\n"
                        "    mul.wide.u32 %d2, %r5, 4;\n"
                        "    add.u64 %d3, %d1, %d2;\n"
                        "    st.global.u32 [%d3], %r0;\n"
                        "done:\n"
                        "    ret;\n"
                        "}\n";
