/* SPDX-License-Identifier: MIT
 *
 * The registry: ops found by name, and each op's kernels in a chain, in the order
 * registered.
 *
 * 1. Definitions are borrowed, and checked when they come in: whoever finds one later
 *    need not.
 * 2. For one op, kind and dtype there is at most one kernel, so that which one is
 *    chosen never depends on the order of registration.
 * 3. A call that fails has changed nothing: room is made first, then filled.
 */
#include "base/error.h"
#include "base/hash.h"
#include "op/op.h"

#include <string.h>

/* Ends a chain; also a free place of the table. */
#define NONE SIZE_MAX

static const int last_dtype = DF_BFLOAT16;

typedef struct op_entry {
    const op_def *def;
    size_t first, last; /* of its kernels */
} op_entry;

typedef struct kernel_entry {
    const kernel_def *def;
    size_t next;
} kernel_entry;

struct op_registry {
    const df_allocator *alloc;
    op_entry *ops;
    size_t n_ops, cap_ops;
    kernel_entry *kernels;
    size_t n_kernels, cap_kernels;
    size_t *table; /* open hashing by name: indices of ops; a power of two of them */
    size_t table_size;
};

op_registry *op_registry_new(const df_allocator *alloc) {
    op_registry *r = alloc_zeroed(alloc, sizeof *r);
    if (r) r->alloc = alloc;
    return r;
}

void op_registry_free(op_registry *r) {
    if (!r) return;
    alloc_free(r->alloc, r->ops, r->cap_ops * sizeof *r->ops);
    alloc_free(r->alloc, r->kernels, r->cap_kernels * sizeof *r->kernels);
    alloc_free(r->alloc, r->table, r->table_size * sizeof *r->table);
    alloc_free(r->alloc, r, sizeof *r);
}

/* ---- the table ----------------------------------------------------------- */

/* The place of the name, or the free one where it would go. There is always one. */
static size_t place_of(const op_registry *r, const char *name) {
    size_t mask = r->table_size - 1, i = (size_t)hash_bytes(name, strlen(name)) & mask;
    while (r->table[i] != NONE && strcmp(r->ops[r->table[i]].def->name, name) != 0)
        i = (i + 1) & mask;
    return i;
}

/* At most half full. */
static bool grow_table(op_registry *r) {
    size_t need;
    if (!size_mul(r->n_ops + 1, 2, &need)) return false;
    if (need <= r->table_size) return true;
    size_t old_size = r->table_size, size = old_size ? old_size * 2 : 64;
    size_t *table = alloc_array(r->alloc, size, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < size; i++) table[i] = NONE;
    alloc_free(r->alloc, r->table, old_size * sizeof *r->table);
    r->table = table;
    r->table_size = size;
    for (size_t i = 0; i < r->n_ops; i++) table[place_of(r, r->ops[i].def->name)] = i;
    return true;
}

static op_entry *find_entry(const op_registry *r, const char *name) {
    if (!name || r->table_size == 0) return NULL;
    size_t i = r->table[place_of(r, name)];
    return i == NONE ? NULL : &r->ops[i];
}

const op_def *op_find(const op_registry *r, const char *name) {
    const op_entry *e = find_entry(r, name);
    return e ? e->def : NULL;
}

/* ---- registering an op --------------------------------------------------- */

/* A letter, then letters, digits and '_': what the text of a graph can tell apart. */
static bool is_word(const char *s) {
    for (size_t i = 0; s && s[i]; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_'))) return false;
    }
    return s && s[0];
}

static const char *attr_mistake(const op_def *d, int i) {
    const op_attr_def *a = &d->attrs[i];
    if (!is_word(a->name)) return "each attr needs a name of letters, digits and '_'";
    for (int j = 0; j < i; j++)
        if (strcmp(a->name, d->attrs[j].name) == 0) return "two attrs have the same name";
    if (a->type <= DF_ATTR_NONE || a->type > DF_ATTR_TENSOR) return "an attr has no type";
    if (a->initial.type == DF_ATTR_NONE) return NULL;
    if (a->required) return "an attr that is required needs no initial value";
    if (a->initial.type != a->type) return "an attr's initial value is not of its type";
    return attr_check(&a->initial, NULL) == DF_OK ? NULL : "an attr's initial value is NULL";
}

/* NULL: the definition holds together. */
static const char *op_mistake(const op_def *d) {
    if (d->min_inputs < 0 || (d->max_inputs != OP_ANY && d->max_inputs < d->min_inputs))
        return "inputs must be 0 <= min_inputs <= max_inputs, or max_inputs OP_ANY";
    if (d->n_outputs < 0 || d->n_outputs > OP_MAX_OUTPUTS)
        return "there are 0 to OP_MAX_OUTPUTS outputs";
    if (d->n_attrs < 0 || d->n_attrs > OP_MAX_ATTRS) return "there are 0 to OP_MAX_ATTRS attrs";
    if (!d->infer) return "infer is NULL";
    if ((d->flags & OP_VARIABLE) && (d->max_inputs != 0 || d->n_outputs != 1))
        return "an op that owns a variable has no input and one output";
    if ((d->flags & (OP_READS | OP_WRITES)) && d->min_inputs < 1)
        return "an op that names a variable has it as input 0";
    if ((d->flags & OP_WRITES) && d->n_outputs < 1)
        return "an op that writes a variable has the new value as output 0";
    if ((d->flags & OP_CONST) && (d->n_attrs < 1 || d->attrs[0].type != DF_ATTR_TENSOR))
        return "attr 0 of a constant is a tensor";
    for (int i = 0; i < d->n_attrs; i++) {
        const char *mistake = attr_mistake(d, i);
        if (mistake) return mistake;
    }
    return NULL;
}

df_code op_register(op_registry *r, const op_def *def, df_error *err) {
    if (!is_word(def->name))
        return error_set(err, DF_INVALID_ARGUMENT,
                         "op \"%.100s\": a name is letters, digits and '_', such as \"MatMul\"",
                         def->name ? def->name : "");
    const char *mistake = op_mistake(def);
    if (mistake) return error_set(err, DF_INVALID_ARGUMENT, "op %.100s: %s", def->name, mistake);
    if (op_find(r, def->name))
        return error_set(err, DF_ALREADY_EXISTS, "op %.100s is registered already; rename one",
                         def->name);
    if (!alloc_grow(r->alloc, (void **)&r->ops, &r->cap_ops, r->n_ops + 1, sizeof *r->ops) ||
        !grow_table(r))
        return error_memory(err, "the registry of ops");
    r->table[place_of(r, def->name)] = r->n_ops;
    r->ops[r->n_ops++] = (op_entry){.def = def, .first = NONE, .last = NONE};
    return DF_OK;
}

/* ---- kernels ------------------------------------------------------------- */

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_kind(const char *a, const char *b) {
    while (*a && upper(*a) == upper(*b)) a++, b++;
    return upper(*a) == upper(*b);
}

static bool kernel_takes(const kernel_def *k, df_dtype dtype) {
    return !k->takes || k->takes(dtype);
}

/* NULL: the definition holds together. */
static const char *kernel_mistake(const kernel_def *k, const op_def *op) {
    const uint32_t executors = OP_SEND | OP_RECV | OP_FEED | OP_FETCH;
    bool is_inline = k->flags & KERNEL_INLINE;
    if (!k->kind || !k->kind[0]) return "kind must be one of a device, or \"*\"";
    if (!k->compute) return "compute is NULL";
    if (op->flags & executors) return "the kernels of this op are the executor's";
    if (op->flags & OP_NO_KERNEL) return "this op does nothing and takes no kernel";
    if (same_kind(k->kind, "*") && !is_inline)
        return "only a kernel with KERNEL_INLINE runs on any kind; name the kind of device";
    if (is_inline && (k->flags & KERNEL_ASYNC))
        return "a kernel is KERNEL_INLINE or KERNEL_ASYNC, not both";
    return NULL;
}

/* A dtype that both take, or DF_DTYPE_NONE. */
static df_dtype contested(const kernel_def *a, const kernel_def *b) {
    if (!same_kind(a->kind, b->kind)) return DF_DTYPE_NONE;
    for (int i = DF_FLOAT32; i <= last_dtype; i++) {
        df_dtype d = (df_dtype)i;
        if (kernel_takes(a, d) && kernel_takes(b, d)) return d;
    }
    return DF_DTYPE_NONE;
}

static df_code check_kernel(const op_registry *r, const op_entry *e, const kernel_def *k,
                            df_error *err) {
    const char *mistake = kernel_mistake(k, e->def);
    if (mistake)
        return error_set(err, DF_INVALID_ARGUMENT, "kernel of %.100s on %.50s: %s", k->op,
                         k->kind ? k->kind : "?", mistake);
    for (size_t i = e->first; i != NONE; i = r->kernels[i].next) {
        df_dtype both = contested(r->kernels[i].def, k);
        if (both != DF_DTYPE_NONE)
            return error_set(err, DF_ALREADY_EXISTS,
                             "kernel of %.100s on %.50s: there is one for %s already; let `takes` "
                             "leave it out",
                             k->op, k->kind, df_dtype_name(both));
    }
    return DF_OK;
}

df_code kernel_register(op_registry *r, const kernel_def *def, df_error *err) {
    op_entry *e = find_entry(r, def->op);
    if (!e)
        return error_set(err, DF_INVALID_ARGUMENT,
                         "kernel of \"%.100s\": there is no such op; register the op first",
                         def->op ? def->op : "");
    df_code code = check_kernel(r, e, def, err);
    if (code != DF_OK) return code;
    if (!alloc_grow(r->alloc, (void **)&r->kernels, &r->cap_kernels, r->n_kernels + 1,
                    sizeof *r->kernels))
        return error_memory(err, "the registry of kernels");
    size_t i = r->n_kernels++;
    r->kernels[i] = (kernel_entry){.def = def, .next = NONE};
    if (e->first == NONE)
        e->first = i;
    else
        r->kernels[e->last].next = i;
    e->last = i;
    return DF_OK;
}

const kernel_def *kernel_find(const op_registry *r, const op_def *op, const char *kind,
                              df_dtype dtype) {
    const kernel_def *any = NULL;
    const op_entry *e = find_entry(r, op->name);
    if (!e || e->def != op) return NULL;
    for (size_t i = e->first; i != NONE; i = r->kernels[i].next) {
        const kernel_def *k = r->kernels[i].def;
        if (!kernel_takes(k, dtype)) continue;
        if (same_kind(k->kind, kind)) return k;
        if (same_kind(k->kind, "*")) any = k;
    }
    return any;
}

/* True: an earlier kernel of the chain has the same kind. */
static bool kind_seen(const op_registry *r, size_t first, size_t until) {
    for (size_t i = first; i != until; i = r->kernels[i].next)
        if (same_kind(r->kernels[i].def->kind, r->kernels[until].def->kind)) return true;
    return false;
}

void kernel_kinds(const op_registry *r, const op_def *op, text *t) {
    const op_entry *e = find_entry(r, op->name);
    size_t first = e && e->def == op ? e->first : NONE;
    if (first == NONE) text_add(t, "none");
    for (size_t i = first; i != NONE; i = r->kernels[i].next) {
        const char *kind = r->kernels[i].def->kind;
        if (kind_seen(r, first, i)) continue;
        text_add(t, "%s%s", i == first ? "" : ", ", same_kind(kind, "*") ? "any" : kind);
    }
}
