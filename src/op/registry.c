/* SPDX-License-Identifier: MIT
 *
 * The registry: ops found by name, and each op's kernels in a chain, in the order
 * registered.
 *
 * 1. What is registered is read, checked and copied when it comes in: whoever finds it
 *    later need not.
 * 2. For one op, kind and dtype there is at most one kernel, so that which one is
 *    chosen never depends on the order of registration.
 * 3. A call that fails has changed nothing: room is made first, then filled.
 * 4. Once a graph has been made nothing is added, so readers need no lock.
 */
#include "base/atomic.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/options.h"
#include "op/op.h"
#include "op/signature.h"

#include <string.h>

/* A free place of the table. */
#define NONE SIZE_MAX

typedef struct op_entry {
    op_def def;
    kernel_def *first, *last; /* its kernels */
} op_entry;

struct op_registry {
    const df_allocator *alloc;
    arena mem; /* what was registered */
    op_entry **ops;
    size_t n_ops, cap_ops;
    size_t *table; /* open hashing by name: indices of ops; a power of two of them */
    size_t table_size;
    _Atomic uint32_t frozen; /* (a) relaxed: only a misuse races with it */
};

op_registry *op_registry_new(const df_allocator *alloc) {
    op_registry *r = alloc_zeroed(alloc, sizeof *r);
    if (!r) return NULL;
    r->alloc = alloc;
    arena_init(&r->mem, alloc);
    return r;
}

void op_registry_free(op_registry *r) {
    if (!r) return;
    alloc_free(r->alloc, r->ops, r->cap_ops * sizeof *r->ops);
    alloc_free(r->alloc, r->table, r->table_size * sizeof *r->table);
    arena_fini(&r->mem);
    alloc_free(r->alloc, r, sizeof *r);
}

void op_registry_freeze(op_registry *r) {
    atomic_put(&r->frozen, 1, RELAXED);
}

/* The registry takes what the caller gives, which is not nothing. */
static df_code check_given(op_registry *r, const void *given, const char *what, df_error *err) {
    if (!given) return error_invalid(err, "the %s is NULL", what);
    if (!atomic_get(&r->frozen, RELAXED)) return DF_OK;
    return error_set(err, DF_FAILED_PRECONDITION,
                     "the runtime has had a graph: register ops and kernels before the first "
                     "df_graph_new");
}

/* ---- the table ----------------------------------------------------------- */

/* The place of the name, or the free one where it would go. There is always one. */
static size_t place_of(const op_registry *r, const char *name) {
    size_t mask = r->table_size - 1, i = (size_t)hash_bytes(name, strlen(name)) & mask;
    while (r->table[i] != NONE && strcmp(r->ops[r->table[i]]->def.name, name) != 0)
        i = (i + 1) & mask;
    return i;
}

/* At most half full. */
static bool grow_table(op_registry *r) {
    size_t need;
    if (!size_mul(r->n_ops + 1, 2, &need)) return false;
    if (need <= r->table_size) return true;
    size_t old_size = r->table_size, size = old_size ? old_size * 2 : 256;
    size_t *table = alloc_array(r->alloc, size, sizeof *table);
    if (!table) return false;
    for (size_t i = 0; i < size; i++) table[i] = NONE;
    alloc_free(r->alloc, r->table, old_size * sizeof *r->table);
    r->table = table;
    r->table_size = size;
    for (size_t i = 0; i < r->n_ops; i++) table[place_of(r, r->ops[i]->def.name)] = i;
    return true;
}

static op_entry *find_entry(const op_registry *r, const char *name) {
    if (!name || r->table_size == 0) return NULL;
    size_t i = r->table[place_of(r, name)];
    return i == NONE ? NULL : r->ops[i];
}

const op_def *op_find(const op_registry *r, const char *name) {
    const op_entry *e = find_entry(r, name);
    return e ? &e->def : NULL;
}

size_t op_count(const op_registry *r) {
    return r->n_ops;
}

const op_def *op_at(const op_registry *r, size_t i) {
    return &r->ops[i]->def;
}

/* ---- registering an op --------------------------------------------------- */

/* NULL: the definition holds together. */
static const char *op_mistake(const op_def *d) {
    bool names = d->flags & (OP_READS | OP_WRITES);
    if ((d->flags & OP_VARIABLE) && (d->max_inputs != 0 || d->n_outputs != 1))
        return "an op that owns a variable has no input and one output";
    if (names && d->min_inputs < 1) return "an op that names a variable has it as input 0";
    if ((d->flags & OP_WRITES) && (d->n_outputs < 1 || d->outputs_by >= 0))
        return "an op that writes a variable has the new value as output 0";
    if ((d->flags & OP_CONST) && (d->n_attrs < 1 || d->attrs[0].type != DF_ATTR_TENSOR))
        return "attr 0 of a constant is a tensor";
    return NULL;
}

df_code op_register(op_registry *r, const df_op_def *given, df_error *err) {
    df_op_def def = {.struct_size = sizeof def};
    df_code code = check_given(r, given, "df_op_def", err);
    if (code == DF_OK) code = options_read(&def, given, "df_op_def", err);
    if (code != DF_OK) return code;
    op_entry *e = arena_alloc(&r->mem, sizeof *e);
    if (!e) return error_memory(err, "the registry of ops");
    code = signature_read(&r->mem, def.signature, &e->def, err);
    if (code != DF_OK) return code;
    e->def.flags = def.flags;
    e->def.infer = def.infer;
    e->def.user = def.user;
    const char *mistake = op_mistake(&e->def);
    if (mistake) return error_invalid(err, "op %.100s: %s", e->def.name, mistake);
    if (op_find(r, e->def.name))
        return error_set(err, DF_ALREADY_EXISTS, "op %.100s is registered already; rename one",
                         e->def.name);
    if (!alloc_grow(r->alloc, (void **)&r->ops, &r->cap_ops, r->n_ops + 1, sizeof *r->ops) ||
        !grow_table(r))
        return error_memory(err, "the registry of ops");
    r->table[place_of(r, e->def.name)] = r->n_ops;
    r->ops[r->n_ops++] = e;
    return DF_OK;
}

/* ---- kinds --------------------------------------------------------------- */

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Is the kind one of the list? */
static bool kind_in(const char *kinds, const char *kind, size_t length) {
    while (*kinds) {
        size_t n = strcspn(kinds, ","), i = 0;
        while (i < n && i < length && upper(kinds[i]) == upper(kind[i])) i++;
        if (n == length && i == n) return true;
        kinds += n + (kinds[n] == ',');
    }
    return false;
}

/* One kind that both lists have, or NULL; *length is that of its name. */
static const char *common_kind(const char *a, const char *b, size_t *length) {
    for (; *a; a += *length + (a[*length] == ',')) {
        *length = strcspn(a, ",");
        if (kind_in(b, a, *length)) return a;
    }
    return NULL;
}

/* Every entry is a word, or the list is "*". */
static bool kinds_are_good(const char *kinds) {
    if (!kinds || strcmp(kinds, "*") == 0) return kinds != NULL;
    for (size_t i = 0, n = 0;; i++) {
        char c = upper(kinds[i]);
        if (c == ',' || c == '\0') {
            if (n == 0) return false;
            if (c == '\0') return true;
            n = 0;
        } else if ((c >= 'A' && c <= 'Z') || (n && c >= '0' && c <= '9')) {
            n++;
        } else {
            return false;
        }
    }
}

/* ---- kernels ------------------------------------------------------------- */

/* NULL: the definition holds together. */
static const char *kernel_mistake(const df_kernel_def *k, const op_def *op) {
    const uint32_t executors = OP_SEND | OP_RECV | OP_FEED | OP_FETCH;
    const uint32_t flags = KERNEL_ASYNC | KERNEL_INLINE | KERNEL_CHEAP;
    bool is_inline = k->flags & KERNEL_INLINE;
    if (!kinds_are_good(k->devices)) return "devices must be kinds, such as \"CPU,SIM\", or \"*\"";
    if (!k->compute) return "compute is NULL";
    if (op->flags & executors) return "the kernels of this op are the executor's";
    if (op->flags & OP_NO_KERNEL) return "this op does nothing and takes no kernel";
    if ((op->flags & (OP_VARIABLE | OP_CONST)) && !is_inline)
        return "the value of this op is the library's, and is only passed on";
    if (k->flags & ~flags) return "flags has bits that mean nothing";
    if (strcmp(k->devices, "*") == 0 && !is_inline)
        return "only a kernel with DF_KERNEL_INLINE runs on any kind; name the kinds of device";
    if ((op->flags & OP_WRITES) && (k->host_outputs & 1))
        return "the new value of a variable lies where the variable does: no bit 0 in host_outputs";
    if (!k->report != !k->check) return "report and check come together";
    if (is_inline && (k->flags & KERNEL_ASYNC))
        return "a kernel is DF_KERNEL_INLINE or DF_KERNEL_ASYNC, not both";
    return NULL;
}

static df_code check_kernel(const op_entry *e, const kernel_def *k, df_error *err) {
    for (const kernel_def *other = e->first; other; other = other->next) {
        size_t length = 0;
        const char *kind = common_kind(k->kinds, other->kinds, &length);
        dtype_set both = k->dtypes & other->dtypes;
        if (kind && both)
            return error_set(
                err, DF_ALREADY_EXISTS,
                "kernel of %.100s: there is one on %.*s for %s already; leave that out "
                "of `devices` or `dtypes`",
                e->def.name, (int)length, kind,
                both == UINT32_MAX ? "every dtype" : df_dtype_name((df_dtype)__builtin_ctz(both)));
    }
    return DF_OK;
}

static df_code read_kernel(op_registry *r, const df_kernel_def *def, const op_entry *e,
                           kernel_def *k, df_error *err) {
    *k = (kernel_def){.op = &e->def,
                      .dtypes = UINT32_MAX,
                      .flags = def->flags,
                      .host_inputs = def->host_inputs,
                      .host_outputs = def->host_outputs,
                      .may_overwrite = def->may_overwrite,
                      .report = def->check ? def->report : 0,
                      .check = def->check,
                      .compute = def->compute,
                      .open = def->open,
                      .close = def->close,
                      .user = def->user};
    const char *mistake = kernel_mistake(def, &e->def);
    df_error why;
    if (!mistake && def->dtypes && dtype_set_read(def->dtypes, &k->dtypes, &why) != DF_OK)
        mistake = why.message;
    if (mistake)
        return error_invalid(err, "kernel of %.100s on %.50s: %s", e->def.name,
                             def->devices ? def->devices : "?", mistake);
    char *kinds = arena_text(&r->mem, def->devices, strlen(def->devices));
    if (!kinds) return error_memory(err, "the registry of kernels");
    for (char *c = kinds; *c; c++) *c = upper(*c);
    k->kinds = kinds;
    return check_kernel(e, k, err);
}

df_code kernel_register(op_registry *r, const df_kernel_def *given, df_error *err) {
    df_kernel_def def = {.struct_size = sizeof def};
    df_code code = check_given(r, given, "df_kernel_def", err);
    if (code == DF_OK) code = options_read(&def, given, "df_kernel_def", err);
    if (code != DF_OK) return code;
    op_entry *e = find_entry(r, def.op);
    if (!e)
        return error_invalid(err,
                             "kernel of \"%.100s\": there is no such op; register the op first",
                             def.op ? def.op : "");
    kernel_def *k = arena_alloc(&r->mem, sizeof *k);
    if (!k) return error_memory(err, "the registry of kernels");
    code = read_kernel(r, &def, e, k, err);
    if (code != DF_OK) return code;
    if (e->last)
        e->last->next = k;
    else
        e->first = k;
    e->last = k;
    return DF_OK;
}

static const op_entry *entry_of(const op_def *op) {
    return (const op_entry *)op; /* its first member */
}

const kernel_def *kernel_find(const op_def *op, const char *kind, df_dtype dtype) {
    const kernel_def *any = NULL;
    for (const kernel_def *k = entry_of(op)->first; k; k = k->next) {
        if (dtype != DF_DTYPE_NONE && !dtype_in(k->dtypes, dtype)) continue;
        if (kind_in(k->kinds, kind, strlen(kind))) return k;
        if (k->kinds[0] == '*') any = k;
    }
    return any;
}

/* True: an earlier kernel of the op has this kind. */
static bool kind_seen(const kernel_def *first, const kernel_def *until, const char *kind,
                      size_t length) {
    for (const kernel_def *k = first; k != until; k = k->next)
        if (kind_in(k->kinds, kind, length)) return true;
    return false;
}

void kernel_kinds(const op_def *op, text *t) {
    const kernel_def *first = entry_of(op)->first;
    const char *comma = "";
    if (!first) text_add(t, "none");
    for (const kernel_def *k = first; k; k = k->next) {
        for (const char *kind = k->kinds; *kind;) {
            size_t n = strcspn(kind, ",");
            if (!kind_seen(first, k, kind, n)) {
                text_add(t, "%s%.*s", comma, *kind == '*' ? 3 : (int)n,
                         *kind == '*' ? "any" : kind);
                comma = ", ";
            }
            kind += n + (kind[n] == ',');
        }
    }
}
