/* SPDX-License-Identifier: MIT
 *
 * A rendezvous of files: one session goes on from what another has computed.
 *
 *     session A, fed with 3        a file            session B, fed with 0
 *     sim:0   x = a a  ----------> x is 9 ...        sim:0   x = a a  (0: nobody takes it)
 *     cpu:0   y = 2 x: 18                  `-------> cpu:0   y = 10 x: 90
 *
 * Session A computes x on the accelerator, and its rendezvous keeps in a folder what crosses from
 * there. Session B has another graph, but its edge from sim:0 to cpu:0 has the same key: same
 * devices, same incarnation, same edge. Its rendezvous drops what its own sim:0 sends, and answers
 * the Recv from A's file. So one can try what follows a long computation without repeating it.
 *
 * This does not make two processes one step: each session still runs its whole graph. What the
 * example shows is that a key is all that the two halves of a crossing have in common, and what
 * a backend needs that moves bytes:
 *
 *   - it works on a thread of its own, since a send must not wait for a disk;
 *   - to get the bytes of a tensor, which may lie on a device, it sends it to a rendezvous of the
 *     library's and asks there for it at the host: the letter is the recv, and has a rendezvous of
 *     its own, for in one of all another thread's letter might get what this one has sent;
 *   - what has arrived goes into another one, where recvs wait: so order, cancels and the way to
 *     the receiver's device are not its business.
 *
 * At the end the conformance suite runs on a rendezvous through which everything goes by files.
 */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include <dataflow/conformance.h>
#include <dataflow/dataflow.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEY_SIZE = 4200 /* a key has at most 4096 characters */, PATH_SIZE = 256 };

/* ---- a tensor in a file: key, dtype, rank and dims in text, then the elements ---- */

/* Beside its place first, then under its name: who sees the name sees all of it. */
static bool write_file(const char *path, const df_key *key, const df_tensor *t) {
    char text[KEY_SIZE], beside[PATH_SIZE + 8];
    df_shape shape = df_tensor_shape(t);
    size_t bytes = df_tensor_bytes(t);
    (void)snprintf(beside, sizeof beside, "%s.part", path);
    FILE *f = fopen(beside, "wb");
    if (!f) return false;
    (void)df_key_text(key, text, sizeof text);
    bool is_good = fprintf(f, "%s\n%d %d", text, (int)df_tensor_dtype(t), shape.rank) > 0;
    for (int i = 0; i < shape.rank; i++)
        is_good = fprintf(f, " %lld", (long long)shape.dims[i]) > 0 && is_good;
    is_good = fputc('\n', f) != EOF && is_good;
    is_good = fwrite(df_tensor_data(t), 1, bytes, f) == bytes && is_good;
    is_good = fclose(f) == 0 && is_good;
    return is_good && rename(beside, path) == 0;
}

static df_code read_tensor(FILE *f, df_tensor **out, df_error *err) {
    int dtype = 0, rank = -1;
    int64_t dims[DF_MAX_RANK];
    bool is_good = fscanf(f, "%d %d", &dtype, &rank) == 2 && rank >= 0 && rank <= DF_MAX_RANK;
    for (int i = 0; is_good && i < rank; i++) {
        long long dim = -1;
        is_good = fscanf(f, "%lld", &dim) == 1;
        dims[i] = dim;
    }
    if (!is_good || fgetc(f) != '\n' || dtype == DF_STRING)
        return df_error_set(err, DF_DATA_LOSS, "a file of the rendezvous cannot be read");
    df_code code = df_tensor_new(NULL, (df_dtype)dtype, (df_shape){rank, dims}, out, err);
    if (code != DF_OK) return code;
    size_t bytes = df_tensor_bytes(*out);
    if (fread(df_tensor_data(*out), 1, bytes, f) == bytes) return DF_OK;
    df_tensor_unref(*out);
    *out = NULL;
    return df_error_set(err, DF_DATA_LOSS, "a file of the rendezvous is too short");
}

static df_code read_file(FILE *f, df_key **key, df_tensor **out, df_error *err) {
    char text[KEY_SIZE];
    if (!fgets(text, sizeof text, f))
        return df_error_set(err, DF_DATA_LOSS, "a file of the rendezvous is empty");
    text[strcspn(text, "\n")] = '\0';
    df_code code = df_key_parse(NULL, text, key, err);
    return code == DF_OK ? read_tensor(f, out, err) : code;
}

/* ---- one rendezvous: a folder of numbered files ------------------------------ */

typedef struct box box;
typedef struct letter letter;
typedef struct office office;

/* (c) constant, (l) under the office's lock, (t) its thread's own. */
struct box {
    office *office;         /* (c) */
    box *next;              /* (l) */
    char folder[PATH_SIZE]; /* (c) */
    const char *device;     /* (c) only keys from there go by files; NULL: all */
    bool writes, reads;     /* (c) */
    bool keeps;             /* (c) what is written is given to this box's own Recvs as well */
    df_rendezvous *inner;   /* (c) where recvs wait */
    letter *ready;          /* (l) to be written */
    unsigned n_sent;        /* (l) the next file's number: files are in the order sent */
    unsigned n_letters;     /* (l) that are on their way to the disk */
    unsigned n_read;        /* (t) */
    bool is_over, is_gone;  /* (l) aborted, destroyed */
};

struct letter {
    df_recv recv;         /* first: it asks for the bytes, */
    df_rendezvous *stage; /* here */
    box *box;
    letter *next;
    unsigned number;
    df_key *key;
    df_tensor *tensor; /* NULL: it never came */
};

/* The thread that reads and writes, for all boxes. */
struct office {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    box *boxes;      /* (l) */
    bool is_closing; /* (l) */
};

static void path_of(const box *b, unsigned number, char *path) {
    (void)snprintf(path, PATH_SIZE, "%.200s/%06u", b->folder, number);
}

/* A failure after send has returned is the receivers'. */
static void fail(box *b, const df_error *err) {
    df_rendezvous_abort(b->inner, err);
}

static void letter_free(letter *l) {
    df_rendezvous_unref(l->stage);
    df_key_free(l->key);
    free(l);
}

static void write_letter(letter *l) {
    char path[PATH_SIZE];
    df_error err;
    path_of(l->box, l->number, path);
    if (l->tensor && !write_file(path, l->key, l->tensor)) {
        (void)df_error_set(&err, DF_UNAVAILABLE, "%s cannot be written", path);
        fail(l->box, &err);
    }
    df_tensor_unref(l->tensor);
    letter_free(l);
}

/* True: the next file was there. */
static bool read_next(box *b) {
    char path[PATH_SIZE];
    df_key *key = NULL;
    df_tensor *t = NULL;
    df_error err = {.code = DF_OK};
    const df_endpoint host = {.memory = DF_MEMORY_HOST};
    path_of(b, b->n_read, path);
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    b->n_read++;
    if (read_file(f, &key, &t, &err) == DF_OK)
        err.code = df_rendezvous_send(b->inner, key, &host, t);
    if (err.code) fail(b, &err);
    (void)fclose(f);
    df_tensor_unref(t);
    df_key_free(key);
    return true;
}

static void remove_folder(const box *b, unsigned n_files) {
    char path[PATH_SIZE];
    for (unsigned i = 0; i < n_files; i++) {
        path_of(b, i, path);
        (void)remove(path);
    }
    (void)rmdir(b->folder);
}

/* What was written for this box alone goes with it. */
static void box_free(box *b) {
    df_rendezvous_unref(b->inner);
    if (b->writes && b->reads) remove_folder(b, b->n_sent);
    free(b);
}

/* One thing to do for a box. True: something was done. The lock is let go meanwhile; only this
 * thread takes boxes from the list. */
static bool serve_locked(office *o, box *b) {
    letter *l = b->ready;
    bool reads = b->reads && !b->is_over, worked = false;
    if (l) b->ready = l->next;
    (void)pthread_mutex_unlock(&o->lock);
    if (l) write_letter(l);
    if (reads) worked = read_next(b);
    (void)pthread_mutex_lock(&o->lock);
    if (l) b->n_letters--;
    return l || worked;
}

static void free_gone_locked(office *o) {
    for (box **at = &o->boxes; *at;) {
        box *b = *at;
        if (!b->is_gone || b->n_letters) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        (void)pthread_mutex_unlock(&o->lock);
        box_free(b);
        (void)pthread_mutex_lock(&o->lock);
        at = &o->boxes;
    }
}

/* Nobody tells when a file has come, so it looks every millisecond. */
static void pause_locked(office *o) {
    struct timespec until;
    (void)timespec_get(&until, TIME_UTC);
    until.tv_nsec += 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&o->changed, &o->lock, &until);
}

static void *office_work(void *arg) {
    office *o = arg;
    (void)pthread_mutex_lock(&o->lock);
    while (o->boxes || !o->is_closing) {
        bool worked = false;
        for (box *b = o->boxes; b; b = b->next) worked = serve_locked(o, b) || worked;
        free_gone_locked(o);
        if (!worked) pause_locked(o);
    }
    (void)pthread_mutex_unlock(&o->lock);
    return NULL;
}

static bool office_open(office *o) {
    *o = (office){.boxes = NULL};
    if (pthread_mutex_init(&o->lock, NULL) != 0) return false;
    if (pthread_cond_init(&o->changed, NULL) != 0) return false;
    return pthread_create(&o->thread, NULL, office_work, o) == 0;
}

static void office_close(office *o) {
    (void)pthread_mutex_lock(&o->lock);
    o->is_closing = true;
    (void)pthread_cond_signal(&o->changed);
    (void)pthread_mutex_unlock(&o->lock);
    (void)pthread_join(o->thread, NULL);
    (void)pthread_cond_destroy(&o->changed);
    (void)pthread_mutex_destroy(&o->lock);
}

/* ---- the backend ------------------------------------------------------------ */

static void on_bytes(df_recv *r, const df_error *err, df_tensor *tensor) {
    letter *l = (letter *)(void *)r;
    office *o = l->box->office;
    if (err) fail(l->box, err);
    l->tensor = tensor;
    l->next = NULL;
    (void)pthread_mutex_lock(&o->lock);
    letter **end = &l->box->ready;
    while (*end) end = &(*end)->next;
    *end = l;
    (void)pthread_cond_signal(&o->changed);
    (void)pthread_mutex_unlock(&o->lock);
}

static df_code letter_new(box *b, const df_key *key, letter **out) {
    char text[KEY_SIZE];
    letter *l = *out = calloc(1, sizeof *l);
    if (!l) return DF_RESOURCE_EXHAUSTED;
    (void)df_key_text(key, text, sizeof text);
    df_code code = df_key_parse(NULL, text, &l->key, NULL);
    if (code == DF_OK) code = df_rendezvous_new_local(NULL, &l->stage, NULL);
    l->recv = (df_recv){.key = l->key, .to = {.memory = DF_MEMORY_HOST}, .done = on_bytes};
    l->box = b;
    return code;
}

/* Its number says its place: the bytes of a later one may be there earlier. */
static df_code send_letter(box *b, const df_key *key, const df_endpoint *from, df_tensor *t) {
    letter *l;
    df_code code = letter_new(b, key, &l);
    if (code == DF_OK) code = df_rendezvous_send(l->stage, l->key, from, t);
    if (code != DF_OK) {
        if (l) letter_free(l);
        return code;
    }
    (void)pthread_mutex_lock(&b->office->lock);
    l->number = b->n_sent++;
    b->n_letters++;
    (void)pthread_mutex_unlock(&b->office->lock);
    df_rendezvous *stage = df_rendezvous_ref(l->stage); /* the letter may be gone before its end */
    df_rendezvous_recv(stage, &l->recv);
    df_rendezvous_unref(stage);
    return DF_OK;
}

static df_code file_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    box *b = self;
    bool by_file = !b->device || strcmp(df_key_src_device(key), b->device) == 0;
    df_code code = DF_OK;
    if (by_file && df_tensor_dtype(t) == DF_STRING) code = DF_UNIMPLEMENTED;
    if (code == DF_OK && by_file && b->writes) code = send_letter(b, key, from, t);
    if (code == DF_OK && (!by_file || b->keeps)) code = df_rendezvous_send(b->inner, key, from, t);
    df_tensor_unref(t);
    return code;
}

static void file_recv(void *self, df_recv *r) {
    df_rendezvous_recv(((box *)self)->inner, r);
}

static void file_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(((box *)self)->inner, r);
}

static void file_abort(void *self, const df_error *why) {
    box *b = self;
    (void)pthread_mutex_lock(&b->office->lock);
    b->is_over = true;
    (void)pthread_mutex_unlock(&b->office->lock);
    df_rendezvous_abort(b->inner, why);
}

/* The office's thread may be at work for it, or be the one that has called this. */
static void file_destroy(void *self) {
    box *b = self;
    office *o = b->office;
    (void)pthread_mutex_lock(&o->lock);
    b->is_gone = true;
    (void)pthread_cond_signal(&o->changed);
    (void)pthread_mutex_unlock(&o->lock);
}

static const df_rendezvous_ops file_ops = {.struct_size = sizeof(df_rendezvous_ops),
                                           .name = "file",
                                           .send = file_send,
                                           .recv = file_recv,
                                           .cancel = file_cancel,
                                           .abort = file_abort,
                                           .destroy = file_destroy};

/* How a box uses its folder: a box like this one. */
static df_code box_new(const box *like, df_rendezvous **out, df_error *err) {
    box *b = malloc(sizeof *b);
    if (!b) return df_error_set(err, DF_RESOURCE_EXHAUSTED, "out of memory for a rendezvous");
    *b = *like;
    df_code code = df_rendezvous_new_local(NULL, &b->inner, err);
    if (code == DF_OK) code = df_rendezvous_new(NULL, &file_ops, b, out, err);
    if (code != DF_OK) {
        box_free(b);
        return code;
    }
    (void)pthread_mutex_lock(&b->office->lock);
    b->next = b->office->boxes;
    b->office->boxes = b;
    (void)pthread_mutex_unlock(&b->office->lock);
    return DF_OK;
}

/* ---- two sessions ----------------------------------------------------------- */

static df_code create(void *user, const df_step_info *step, df_rendezvous **out, df_error *err) {
    box like = *(const box *)user;
    (void)snprintf(like.folder, sizeof like.folder, "%.200s/step-%d", ((const box *)user)->folder,
                   (int)step->step);
    (void)mkdir(like.folder, 0700); /* who reads finds it there */
    return box_new(&like, out, err);
}

/* a, fed -> sim:0: x = a a -> cpu:0: y = factor x */
static df_code compute(const box *like, float a, float factor, float *y, df_error *err) {
    df_runtime_options options = {
        .struct_size = sizeof options, .devices = "cpu:1,sim:1", .incarnation = 0xf11e};
    df_rendezvous_factory factory = {
        .struct_size = sizeof factory, .user = (void *)(uintptr_t)like, .create = create};
    df_session_options with = {.struct_size = sizeof with, .rendezvous = &factory};
    /* If a file never comes, nothing else ends the step. */
    df_run_options patient = {.struct_size = sizeof patient, .timeout = 10000000000};
    df_runtime *rt = NULL;
    df_session *s = NULL;
    df_program *p = NULL;
    df_tensor *fed = NULL, *result = NULL;
    df_code code = df_runtime_new(&options, &rt, err);
    if (code != DF_OK) return code;

    df_graph *g = df_graph_new(rt);
    df_graph_name(g, "a");
    df_out in = df_placeholder(g, "a", DF_FLOAT32, DF_SCALAR);
    df_graph_on(g, "sim:0");
    df_graph_name(g, "x");
    df_out x = df_mul(g, in, in);
    df_graph_on(g, "cpu:0");
    df_out out = df_mul(g, x, df_const_float(g, DF_FLOAT32, factor));

    code = df_session_new(g, &with, &s, err);
    if (code == DF_OK) code = df_session_compile(s, DF_OUTS(in), DF_OUTS(out), NULL, &p, err);
    if (code == DF_OK) code = df_tensor_from(NULL, DF_FLOAT32, DF_SCALAR, &a, &fed, err);
    if (code == DF_OK) code = df_program_run(p, DF_TENSORS(fed), &result, &patient, err);
    if (code == DF_OK) *y = *(const float *)df_tensor_data(result);
    df_tensor_unref(result);
    df_tensor_unref(fed);
    df_program_free(p);
    df_session_free(s);
    df_graph_free(g);
    df_runtime_free(rt);
    return code;
}

static void print_kept(const char *root) {
    char path[PATH_SIZE], key[KEY_SIZE];
    (void)snprintf(path, sizeof path, "%.200s/step-1/000000", root);
    FILE *f = fopen(path, "rb");
    if (f && fgets(key, sizeof key, f))
        printf("what A has kept of x, in step-1/000000:\n  %s\n", key);
    if (f) (void)fclose(f);
}

/* ---- does it keep the rules? ------------------------------------------------ */

static df_rendezvous *make(void *user) {
    box *like = user;
    df_rendezvous *r = NULL;
    box one = *like;
    (void)snprintf(one.folder, sizeof one.folder, "%.200s/%06u", like->folder, like->n_sent++);
    one.n_sent = 0;
    if (mkdir(one.folder, 0700) == 0) (void)box_new(&one, &r, NULL);
    return r;
}

static void report(void *user, int rule, const char *asks, const char *wrong) {
    (void)user;
    printf("R%-2d %s: %s\n", rule, asks, wrong ? wrong : "kept");
}

static const char sim[] = "/job:localhost/task:0/device:SIM:0";

int main(void) {
    office o;
    char root[] = "/tmp/file_rendezvous.XXXXXX";
    float a = 0, b = 0;
    df_error err = {.code = DF_OK};
    if (!mkdtemp(root) || !office_open(&o)) return 1;
    box records = {.office = &o, .device = sim, .writes = true, .keeps = true};
    box replays = {.office = &o, .device = sim, .reads = true};
    box all = {.office = &o, .writes = true, .reads = true};
    memcpy(records.folder, root, sizeof root);
    memcpy(replays.folder, root, sizeof root);
    memcpy(all.folder, root, sizeof root);

    if (compute(&records, 3, 2, &a, &err) || compute(&replays, 0, 10, &b, &err))
        fprintf(stderr, "file_rendezvous: %s: %s\n", df_code_name(err.code), err.message);
    printf("A, fed with 3: y = 2 x is %g\nB, fed with 0: y = 10 x is %g\n", a, b);
    print_kept(root);

    df_conformance suite = {.struct_size = sizeof suite,
                            .user = &all,
                            .make = make,
                            .flags = DF_CONFORMANCE_DELAYED,
                            .report = report};
    int broken = df_conformance_run(&suite);
    office_close(&o);
    (void)snprintf(records.folder, sizeof records.folder, "%s/step-1", root);
    remove_folder(&records, 1);
    bool is_left = rmdir(root) != 0;
    if (is_left) fprintf(stderr, "file_rendezvous: something is left in %s\n", root);
    return err.code || a != 18 || b != 90 || broken || is_left;
}
