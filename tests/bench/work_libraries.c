/* SPDX-License-Identifier: MIT
 *
 * OpenBLAS and oneDNN, both loaded when they are there. Of oneDNN a product needs no more than
 * that; a convolution needs its headers, of version 2, when this is compiled.
 */
#include "bench/work.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_include
#if __has_include(<oneapi/dnnl/dnnl.h>)
#include <oneapi/dnnl/dnnl.h>
#endif
#endif

void libraries_open(libraries *l) {
    df_error err;
    *l = (libraries){.dnnl = NULL};
    (void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
    (void)setenv("OMP_NUM_THREADS", "1", 1);
    if (blas_open("libopenblas.so.0", &l->openblas, &err) != DF_OK)
        printf("skipped: OpenBLAS (Debian: libopenblas0-pthread): %s\n", err.message);
    l->dnnl = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!l->dnnl) l->dnnl = dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!l->dnnl) {
        printf("skipped: oneDNN (Debian: libdnnl-dev): %s\n", dlerror());
        return;
    }
    void *sgemm = dlsym(l->dnnl, "dnnl_sgemm");
    work_need(sgemm != NULL, "oneDNN", "it has no dnnl_sgemm");
    memcpy(&l->sgemm, &sgemm, sizeof sgemm);
}

void libraries_close(libraries *l) {
    blas_close(&l->openblas);
    if (l->dnnl) (void)dlclose(l->dnnl);
}

#if defined DNNL_VERSION_MAJOR && DNNL_VERSION_MAJOR == 2

struct onednn_conv {
    const libraries *l;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t conv;
    dnnl_memory_t x, filter, y;
    dnnl_exec_arg_t args[3];
};

/* The library's function of that name. */
static void *find(const libraries *l, const char *name) {
    void *at = dlsym(l->dnnl, name);
    work_need(at != NULL, "oneDNN", name);
    return at;
}

#define CALL(L, NAME, ...)                                                                         \
    do {                                                                                           \
        __typeof__(&(NAME)) function;                                                              \
        void *found = find((L), #NAME);                                                            \
        memcpy(&function, &found, sizeof found);                                                   \
        work_need(function(__VA_ARGS__) == dnnl_success, "oneDNN", #NAME);                         \
    } while (0)

static dnnl_memory_desc_t described(const libraries *l, df_tensor *t, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t d;
    df_shape s = df_tensor_shape(t);
    dnnl_dims_t dims = {s.dims[0], s.dims[3], s.dims[1], s.dims[2]};
    if (tag == dnnl_hwio || tag == dnnl_format_tag_any) { /* a filter */
        const dnnl_dims_t filter = {s.dims[3], s.dims[2], s.dims[0], s.dims[1]};
        memcpy(dims, filter, sizeof dims);
    }
    CALL(l, dnnl_memory_desc_init_by_tag, &d, 4, dims, dnnl_f32, tag);
    return d;
}

/* The filter in the order that the convolution likes best. */
static void reorder(onednn_conv *c, df_tensor *filter, const dnnl_memory_desc_t *liked) {
    dnnl_memory_desc_t has = described(c->l, filter, dnnl_hwio);
    dnnl_memory_t from;
    dnnl_primitive_desc_t how;
    dnnl_primitive_t primitive;
    CALL(c->l, dnnl_memory_create, &from, &has, c->engine, df_tensor_data(filter));
    CALL(c->l, dnnl_memory_create, &c->filter, liked, c->engine, DNNL_MEMORY_ALLOCATE);
    CALL(c->l, dnnl_reorder_primitive_desc_create, &how, &has, c->engine, liked, c->engine, NULL);
    CALL(c->l, dnnl_primitive_create, &primitive, how);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, c->filter}};
    CALL(c->l, dnnl_primitive_execute, primitive, c->stream, 2, args);
    CALL(c->l, dnnl_stream_wait, c->stream);
    CALL(c->l, dnnl_primitive_destroy, primitive);
    CALL(c->l, dnnl_primitive_desc_destroy, how);
    CALL(c->l, dnnl_memory_destroy, from);
}

/* What is missing of the image, the smaller half in front. */
static void pad(int64_t in, int64_t out, int64_t window, int64_t stride, int64_t *l, int64_t *r) {
    int64_t over = (out - 1) * stride + window - in;
    if (over < 0) over = 0;
    *l = over / 2;
    *r = over - *l;
}

onednn_conv *onednn_conv_new(const libraries *l, df_tensor *x, df_tensor *filter, df_tensor *y,
                             int64_t stride) {
    if (!l->dnnl) return NULL;
    onednn_conv *c = calloc(1, sizeof *c);
    work_need(c != NULL, "oneDNN", "out of memory");
    c->l = l;
    CALL(l, dnnl_engine_create, &c->engine, dnnl_cpu, 0);
    CALL(l, dnnl_stream_create, &c->stream, c->engine, dnnl_stream_default_flags);
    dnnl_memory_desc_t dx = described(l, x, dnnl_nhwc), dy = described(l, y, dnnl_nhwc);
    dnnl_memory_desc_t any = described(l, filter, dnnl_format_tag_any);
    dnnl_dims_t steps = {stride, stride}, before, behind;
    for (int i = 0; i < 2; i++)
        pad(df_tensor_shape(x).dims[1 + i], df_tensor_shape(y).dims[1 + i],
            df_tensor_shape(filter).dims[i], stride, &before[i], &behind[i]);
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t how;
    CALL(l, dnnl_convolution_forward_desc_init, &desc, dnnl_forward_inference,
         dnnl_convolution_direct, &dx, &any, NULL, &dy, steps, before, behind);
    CALL(l, dnnl_primitive_desc_create, &how, &desc, NULL, c->engine, NULL);
    const dnnl_memory_desc_t *(*query)(const_dnnl_primitive_desc_t, dnnl_query_t, int);
    void *at = find(l, "dnnl_primitive_desc_query_md");
    memcpy(&query, &at, sizeof at);
    reorder(c, filter, query(how, dnnl_query_weights_md, 0));
    CALL(l, dnnl_primitive_create, &c->conv, how);
    CALL(l, dnnl_primitive_desc_destroy, how);
    CALL(l, dnnl_memory_create, &c->x, &dx, c->engine, df_tensor_data(x));
    CALL(l, dnnl_memory_create, &c->y, &dy, c->engine, df_tensor_data(y));
    c->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, c->x};
    c->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, c->filter};
    c->args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, c->y};
    return c;
}

void onednn_conv_run(void *conv) {
    onednn_conv *c = conv;
    CALL(c->l, dnnl_primitive_execute, c->conv, c->stream, 3, c->args);
    CALL(c->l, dnnl_stream_wait, c->stream);
}

void onednn_conv_free(onednn_conv *c) {
    if (!c) return;
    CALL(c->l, dnnl_primitive_destroy, c->conv);
    CALL(c->l, dnnl_memory_destroy, c->x);
    CALL(c->l, dnnl_memory_destroy, c->filter);
    CALL(c->l, dnnl_memory_destroy, c->y);
    CALL(c->l, dnnl_stream_destroy, c->stream);
    CALL(c->l, dnnl_engine_destroy, c->engine);
    free(c);
}

#else

onednn_conv *onednn_conv_new(const libraries *l, df_tensor *x, df_tensor *filter, df_tensor *y,
                             int64_t stride) {
    static bool is_said;
    (void)x, (void)filter, (void)y, (void)stride;
    if (l->dnnl && !is_said)
        printf("skipped: convolutions of oneDNN: its headers, version 2, were not there to build "
               "with (Debian: libdnnl-dev)\n");
    is_said = true;
    return NULL;
}

void onednn_conv_run(void *conv) {
    (void)conv;
}

void onednn_conv_free(onednn_conv *c) {
    (void)c;
}

#endif
