/* SPDX-License-Identifier: MIT
 *
 * inline.h - what a kernel asks all the time, answered without a call.
 *
 * Where an op does next to nothing, the calls that fetch its tensors are most of its time. With
 * gcc and clang these are defined here once more, to be compiled into their callers; everywhere
 * else, and where DF_NO_INLINE is defined, they are calls as their headers declare them. Both do
 * the same.
 *
 * The layouts below are those of this version of the library, which its soname tells; nothing
 * but these functions may rely on them.
 */
#ifndef DATAFLOW_INLINE_H
#define DATAFLOW_INLINE_H

#include <dataflow/op.h>

#if defined(__GNUC__)

#ifdef __cplusplus
extern "C" {
#endif

/* How a df_tensor begins. */
typedef struct __attribute__((__may_alias__)) df_tensor_layout {
    unsigned char value[64]; /* if it is small */
    uint32_t refs;
    df_dtype dtype;
    int rank;
    bool is_host, is_lent;
    int64_t elements;
    size_t bytes;
    void *data;
} df_tensor_layout;

/* How what a node computes with begins, and a df_kernel. */
typedef struct __attribute__((__may_alias__)) df_node_layout {
    const void *kernel;
    uint32_t first_input, n_inputs, first_output, index, channel;
    uint16_t n_outputs;
} df_node_layout;

typedef struct __attribute__((__may_alias__)) df_kernel_layout {
    const df_node_layout *node;
    df_tensor *const *slots;
    const int32_t *places;
    df_tensor *const *made;
    void *const *states;
} df_kernel_layout;

#ifndef DF_NO_INLINE

#define DF_INLINE                                                                                  \
    extern __inline __attribute__((__gnu_inline__, __always_inline__, __artificial__, __unused__))

DF_INLINE void *df_tensor_data(const df_tensor *tensor) {
    const df_tensor_layout *t = (const df_tensor_layout *)tensor;
    return t && t->is_host ? t->data : NULL;
}

DF_INLINE int64_t df_tensor_elements(const df_tensor *tensor) {
    return tensor ? ((const df_tensor_layout *)tensor)->elements : 0;
}

DF_INLINE int df_kernel_inputs(const df_kernel *k) {
    return (int)((const df_kernel_layout *)k)->node->n_inputs;
}

DF_INLINE df_tensor *df_kernel_input(const df_kernel *k, int i) {
    const df_kernel_layout *l = (const df_kernel_layout *)k;
    if (i < 0 || (uint32_t)i >= l->node->n_inputs) return NULL;
    uint32_t at = l->node->first_input + (uint32_t)i;
    return l->slots[l->places ? (uint32_t)l->places[at] : at];
}

DF_INLINE int df_kernel_outputs(const df_kernel *k) {
    return ((const df_kernel_layout *)k)->node->n_outputs;
}

DF_INLINE df_tensor *df_kernel_output(const df_kernel *k, int i) {
    const df_kernel_layout *l = (const df_kernel_layout *)k;
    if (i < 0 || i >= l->node->n_outputs) return NULL;
    return l->made[l->node->first_output + (uint32_t)i];
}

DF_INLINE void *df_kernel_state(const df_kernel *k) {
    const df_kernel_layout *l = (const df_kernel_layout *)k;
    return l->states ? l->states[l->node->index] : NULL;
}

#undef DF_INLINE

#endif

#ifdef __cplusplus
}
#endif

#endif

#endif /* DATAFLOW_INLINE_H */
