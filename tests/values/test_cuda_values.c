/* SPDX-License-Identifier: MIT
 *
 * The cases of tests/values, by the kernels for CUDA, on the host (support/cuda_lab.h).
 *
 *   test_cuda_values    all files; and that no op has been left out
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "graph/graph.h"
#include "support/cuda_lab.h"
#include "values/value_compare.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 20, PATH_SIZE = 1024, MOST_OPS = 512, DTYPES = 16 };

/* By op of the registry and dtype of what kernels are found by. */
static int n_cases[MOST_OPS][DTYPES], n_failures;

/* ---- a case -------------------------------------------------------------- */

static df_graph *graph_of(cuda_lab *c, const value_case *v) {
    text t;
    df_graph *g = graph_new(c->lab->ops, NULL, NULL, NULL);
    text_init(&t, NULL);
    for (size_t i = 0; i < v->n_lines; i++) text_add(&t, "%s\n", v->lines[i].text);
    assert_non_null(g);
    if (graph_parse(g, t.data, t.size, NULL) != DF_OK) {
        graph_unref(g);
        g = NULL;
    }
    text_fini(&t);
    return g;
}

/* What the node gives, which is no work of its own; NULL: it is. */
static df_tensor *value_of(const df_graph *g, const df_node *n) {
    char name[200];
    if (strcmp(n->op->name, "Variable") == 0) n = node_initial(n).node;
    if (n && strcmp(n->op->name, "Placeholder") == 0) {
        (void)snprintf(name, sizeof name, "%s_fed", n->name);
        n = df_graph_find(g, name);
    }
    return n && strcmp(n->op->name, "Const") == 0 ? n->attrs[0].tensor : NULL;
}

/* The op that the case is of, if CUDA has a kernel for it, and its inputs' values. */
static const op_def *set_inputs(const cuda_lab *c, const df_graph *g, df_tensor **inputs,
                                size_t *n_inputs) {
    const df_node *y = df_graph_find(g, "y");
    const kernel_def *k = kernel_find(y->op, "CUDA", DF_DTYPE_NONE);
    if (!k || strcmp(k->kinds, "CUDA") != 0) return NULL;
    *n_inputs = (size_t)y->n_inputs;
    if (y->n_inputs > LAB_INPUTS) return NULL;
    for (int i = 0; i < y->n_inputs; i++) {
        inputs[i] = value_of(g, node_input(y, i).node);
        if (!inputs[i]) return NULL;
    }
    df_dtype dtype = y->n_inputs ? inputs[0]->dtype : y->outputs[0].dtype;
    for (size_t i = 0; i < op_count(c->lab->ops); i++)
        if (op_at(c->lab->ops, i) == y->op) n_cases[i][dtype]++;
    return y->op;
}

static bool check_outputs(const cuda_lab *c, const value_case *v, const df_graph *g, char *why,
                          size_t size) {
    char name[16] = "want";
    for (int i = 0; i < DF_MAX_OUTPUTS && c->lab->outputs[i]; i++) {
        const df_tensor *got = c->lab->outputs[i];
        if (i) (void)snprintf(name, sizeof name, "want_%d", i);
        const df_node *want = df_graph_find(g, name);
        if (!want) (void)snprintf(why, size, "there is no %s", name);
        if (!want || !value_is_wanted(v, got, want->attrs[0].tensor, why, size)) return false;
    }
    return true;
}

static bool check_code(const cuda_lab *c, const value_case *v, df_code code, char *why,
                       size_t size) {
    df_code wanted = v->how < FAILS ? DF_OK : v->code;
    n_failures += wanted != DF_OK && c->fault.state != 0;
    if (code == wanted) return true;
    (void)snprintf(why, size, "%s and not %s: %s", df_code_name(code), df_code_name(wanted),
                   c->lab->err.message);
    return false;
}

static bool run_case(const value_case *v, char *why, size_t size) {
    void *state;
    assert_int_equal(cuda_lab_open(&state), 0);
    cuda_lab *c = state;
    df_graph *g = graph_of(c, v);
    df_tensor *inputs[LAB_INPUTS];
    size_t n = 0;
    const op_def *op = g ? set_inputs(c, g, inputs, &n) : NULL;
    bool ok = true;
    if (op) {
        const lab_attrs attrs = {df_graph_find(g, "y")->attrs, (size_t)op->n_attrs};
        df_code code = cuda_lab_run(c, op->name, (df_tensors){inputs, n}, attrs);
        ok = check_code(c, v, code, why, size);
        if (ok && code == DF_OK) ok = check_outputs(c, v, g, why, size);
    }
    if (g) graph_unref(g);
    (void)cuda_lab_close(&state);
    return ok;
}

/* ---- the files ----------------------------------------------------------- */

static size_t run_file(const char *path) {
    value_file f;
    value_case v;
    char why[1200];
    size_t n_wrong = 0;
    assert_true(value_file_open(&f, path));
    while (value_file_next(&f, &v)) {
        if (v.how == FAILS || run_case(&v, why, sizeof why)) continue;
        if (n_wrong++ < SHOWN) print_error("%s:%d: %s: %s\n", f.name, v.line, v.name, why);
    }
    if (f.wrong[0]) fail_msg("%s", f.wrong);
    value_file_close(&f);
    return n_wrong;
}

static void every_case_is_right(void **state) {
    (void)state;
    char path[PATH_SIZE];
    size_t n_wrong = 0;
    DIR *folder = opendir(DATAFLOW_TESTS_DIR "/values");
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 4, ".txt") != 0) continue;
        (void)snprintf(path, sizeof path, DATAFLOW_TESTS_DIR "/values/%s", e->d_name);
        n_wrong += run_file(path);
    }
    (void)closedir(folder);
    if (n_wrong) fail_msg("%zu cases are wrong", n_wrong);
}

/* What the case's kernel is found by, as in the registry. */
static dtype_set dtypes_of(const op_def *op) {
    if (op->n_inputs) return op->inputs[0].dtypes;
    return op->attrs[op->outputs[0].attr].type == DF_ATTR_DTYPE ? DTYPES_REAL : 0;
}

static void no_op_and_no_dtype_is_left_out(void **state) {
    const cuda_lab *c = *state;
    size_t n_missing = 0;
    for (size_t i = 0; i < op_count(c->lab->ops); i++) {
        const op_def *op = op_at(c->lab->ops, i);
        const kernel_def *cpu = kernel_find(op, "CPU", DF_DTYPE_NONE);
        if (!cpu || (cpu->flags & KERNEL_INLINE)) continue;
        for (int d = DF_FLOAT32; d <= DF_BFLOAT16; d++) {
            if (!dtype_in(dtypes_of(op), (df_dtype)d) || n_cases[i][d]) continue;
            print_error("%s of %s has no case\n", op->name, df_dtype_name((df_dtype)d));
            n_missing++;
        }
    }
    assert_int_equal(n_missing, 0);
    assert_true(n_failures > 10);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_right),
        cmocka_unit_test_setup_teardown(no_op_and_no_dtype_is_left_out, cuda_lab_open,
                                        cuda_lab_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
