/* SPDX-License-Identifier: MIT
 *
 * cases.h - what the tests of TensorFlow's cases share. They are of the public headers: whatever
 * they assert is said there.
 *
 *   minus_ax  the network of its session tests, on two devices
 *   begun     a run beside the caller, and how it ended
 *   post      rendezvous of the test's own, one for each step, which lose letters if told to
 *   lender    threads of the test's own that it lends to a runtime
 *
 * Above each test stand the names of TensorFlow's that it is the counterpart of; at the top of each
 * file, those that have none.
 */
#ifndef CONFORMANCE_CASES_H
#define CONFORMANCE_CASES_H

#include "support/ops_for_tests.h"

#define MS      UINT64_C(1000000)       /* ns */
#define FOREVER (UINT64_C(600000) * MS) /* longer than any test */

/* ---- tensors --------------------------------------------------------------- */

df_tensor *case_floats(df_shape shape, const float *values); /* float32 */
/* Asserts that it has these values, in host memory. */
void case_is_floats(const df_tensor *t, int64_t n, const float *values);
/* Runs; gives the one result. */
df_tensor *case_run(run_world *w, df_program *p, df_tensors feeds);
/* Asserts that a compile is refused with this code and all these words. */
void case_refused(run_world *w, df_outs feeds, df_outs fetches, df_nodes targets, df_code code,
                  const char *words, const char *more);
/* True if all these words are in the message. */
bool case_says(const char *message, const char *words, const char *more);

/* ---- time ------------------------------------------------------------------ */

uint64_t case_now(void); /* ns of the monotonic clock */
/* Lets so many ns pass: a deadline needs that. */
void case_pass(uint64_t ns);

/* ---- the network of the session tests -------------------------------------- */

/* y = a x and y_neg = -y, z = y_neg. a and y are on the first device, the others on the second. */
typedef struct minus_ax {
    run_world w;
    df_out a, x, y, y_neg, z;
} minus_ax;

void minus_ax_open(minus_ax *m, df_runtime_options o, const char *first, const char *second,
                   const float a[4]);
void minus_ax_close(minus_ax *m);

/* ---- runs beside the caller ------------------------------------------------ */

enum { BEGUN_RESULTS = 8 };

/* (s) set before it begins, (l) under lock */
typedef struct begun begun;
struct begun {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned calls;                    /* (l) of done */
    df_error err;                      /* (l) of the last; {DF_OK}: it succeeded */
    df_tensor *results[BEGUN_RESULTS]; /* (l) owned */
    size_t n;                          /* (l) */
    pthread_t thread;                  /* (l) that called done */
    void (*then)(begun *b);            /* (s) what done does at its end; may be NULL */
    void *user;                        /* (s) */
};

void begun_init(begun *b);
void begun_fini(begun *b); /* gives the results back */
void begun_done(void *user, const df_error *err, df_tensor *const *results, size_t n);
/* The same as df_program_start, with begun_done. */
void begun_start(begun *b, df_program *p, df_tensors feeds, const df_run_options *o);
unsigned begun_calls(begun *b);
/* Sleeps until done was called, and gives the code. */
df_code begun_await(begun *b);
/* The same, and polls meanwhile. */
df_code begun_poll(begun *b, df_runtime *rt);
/* The int64 scalar that was its one result. */
int64_t begun_value(begun *b);

/* ---- a rendezvous of the test's own ---------------------------------------- */

enum { POST_STEPS = 32 };

typedef struct post {
    df_rendezvous_factory factory; /* for df_session_options */
    bool is_local;                 /* (s) df_rendezvous_new_local; else the backend of cases.c */
    bool is_closed;                /* (s) the backend says that values come only through send */
    const char *loses;             /* (s) the edge whose tensor never arrives; NULL: none */
    df_code refuses;               /* (s) what create fails with; DF_OK: it does not */
    /* (s) Called for each new rendezvous; may be NULL. */
    void (*opened)(struct post *p, const df_step_info *step, df_rendezvous *r);
    void *user; /* (s) */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    df_rendezvous *made[POST_STEPS]; /* (l) a reference each */
    unsigned n_made;                 /* (l) */
    unsigned n_sent;                 /* (l) letters, those that were lost included */
} post;

void post_init(post *p);
void post_fini(post *p);
df_rendezvous *post_await(post *p, unsigned n); /* until there are n; borrowed, the n-th */
unsigned post_sent(post *p);
/* A session of w->g that has it, as w->s. */
void post_session(run_world *w, post *p);

/* ---- lent threads ---------------------------------------------------------- */

enum { LENT_MAX = 4 };

/* They sleep until the library asks for one. */
typedef struct lender {
    df_lent_threads lent; /* for df_runtime_options */
    df_runtime *rt;       /* (s) */
    pthread_t threads[LENT_MAX];
    int n;
    pthread_mutex_t lock;
    pthread_cond_t asked;
    unsigned wakes; /* (l) ever */
    unsigned calls; /* (l) for a thread, that none has answered */
    bool stop;      /* (l) */
} lender;

void lender_init(lender *l, int count); /* as in df_lent_threads; before the runtime is made */
void lender_begin(lender *l, df_runtime *rt);
void lender_end(lender *l); /* before the runtime goes: no thread is in it any more */
void lender_fini(lender *l);

#endif /* CONFORMANCE_CASES_H */
