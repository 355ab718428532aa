/* SPDX-License-Identifier: MIT
 *
 * Workers and masters that are killed, stopped, continued and started again at random, while a
 * master runs steps. Each step ends in time, with the right value or an error that names a task;
 * when all are well again steps succeed again; and who has lived through it has no more descriptors
 * and hardly more memory than before.
 *
 *   test_chaos ENGINE                        a few rounds by "grpc" or "ucx"
 *   test_chaos ENGINE --seed S --rounds N    the same deeds for a seed, not the same moments
 *
 * The graph: worker 0 negates what is fed; worker 1 counts in a variable, adds, and sends 64 KiB of
 * that; worker 0 negates them: a - n, for the n-th step that succeeds.
 */
#include "process/processes.h"

#include "property/random.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELEMENTS = 8192, IN_TIME_S = 30, GOOD_AGAIN = 3, FILES_MORE = 16, MIB_MORE = 128 };

/* ---- steps ------------------------------------------------------------------------------- */

/* On a thread of its own. */
typedef struct steps {
    processes *p;
    pthread_t thread;
    _Atomic bool stops;
    _Atomic uint64_t good, bad, sessions;
    uint64_t longest; /* ns */
    check mistakes;
    df_graph *g;
    df_session *s; /* NULL: to be made */
    df_program *program;
    int64_t n; /* steps of this session that succeeded */
} steps;

static const char *self, *engine;

static void end_session(steps *st) {
    df_program_free(st->program);
    df_session_free(st->s);
    df_graph_free(st->g);
    st->program = NULL;
    st->s = NULL;
    st->g = NULL;
}

static df_code make_session(steps *st, df_error *err) {
    const df_session_options so = {.struct_size = sizeof so, .cluster = st->p->cluster};
    const int64_t many[] = {ELEMENTS};
    df_graph *g = st->g = df_graph_new(st->p->rt);
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:worker/task:0");
    df_out b = df_neg(g, a);
    df_graph_on(g, "/job:worker/task:1");
    df_out n = df_assign_add(g, df_variable(g, "v", DF_INT64, DF_SCALAR), run_const(g, 1));
    df_out large = df_fill(g, df_add(g, b, n), (df_shape){1, many});
    df_graph_on(g, "/job:worker/task:0");
    df_out y = df_neg(g, large);
    df_graph_on(g, NULL);
    df_code code = df_session_new(g, &so, &st->s, err);
    if (code == DF_OK)
        code = df_session_compile(st->s, DF_OUTS(a), DF_OUTS(y), NULL, &st->program, err);
    if (code != DF_OK) end_session(st);
    st->n = 0;
    st->sessions += code == DF_OK;
    return code;
}

static void look_at(steps *st, int64_t a, df_tensor *y) {
    const int64_t *at = df_tensor_data(y);
    st->n++;
    for (int i = 0; i < ELEMENTS; i++)
        if (!CHECK_EQUAL(&st->mistakes, at[i], a - st->n)) return;
}

/* Who is lost, or was restarted, or has lost its variables. */
static void look_at_error(steps *st, const char *what, df_code code, const df_error *err) {
    bool fits = code == DF_UNAVAILABLE || code == DF_ABORTED || code == DF_FAILED_PRECONDITION;
    check_that(&st->mistakes, fits && strstr(err->message, "/job:worker/task:"), __FILE__, __LINE__,
               "%s: %s: %.150s", what, df_code_name(code), err->message);
    st->bad++;
    processes_sleep(10);
}

static void step(steps *st, int64_t a) {
    df_error err;
    df_tensor *y = NULL, *in = run_scalar(NULL, a);
    uint64_t since = processes_now();
    bool is_new = !st->s;
    df_code code = is_new ? make_session(st, &err) : DF_OK;
    if (code == DF_OK) code = df_program_run(st->program, DF_TENSORS(in), &y, NULL, &err);
    uint64_t took = processes_now() - since;
    if (took > st->longest) st->longest = took;
    if (code == DF_OK) look_at(st, a, y);
    if (code == DF_OK) st->good++;
    if (code != DF_OK) look_at_error(st, is_new ? "a session" : "a step", code, &err);
    if (code == DF_FAILED_PRECONDITION) end_session(st);
    df_tensor_unref(y);
    df_tensor_unref(in);
}

static void *run_steps(void *arg) {
    steps *st = arg;
    for (int64_t a = 0; !st->stops && !check_has_failed(&st->mistakes); a += 7) step(st, a);
    end_session(st);
    return NULL;
}

static void steps_start(steps *st) {
    st->stops = false;
    assert_int_equal(pthread_create(&st->thread, NULL, run_steps, st), 0);
}

static void steps_stop(steps *st) {
    st->stops = true;
    assert_int_equal(pthread_join(st->thread, NULL), 0);
    check_end(&st->mistakes);
}

/* All are well: so are steps, soon. */
static void await_good(steps *st) {
    uint64_t good = st->good, since = processes_now();
    while (st->good < good + GOOD_AGAIN && !check_has_failed(&st->mistakes)) {
        if (processes_now() - since > IN_TIME_S * UINT64_C(1000000000))
            fail_msg("no step has succeeded for %d s, though all are there", IN_TIME_S);
        processes_sleep(2);
    }
    if (check_has_failed(&st->mistakes)) steps_stop(st);
}

/* ---- what a process has -------------------------------------------------------------------- */

typedef struct holdings {
    int files;
    long mib;
} holdings;

static holdings holdings_of(pid_t pid) {
    char path[64], line[256];
    holdings h = {0, 0};
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    for (; d && readdir(d); h.files++) continue;
    if (d) (void)closedir(d);
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld kB", &h.mib) == 1) h.mib /= 1024;
    if (f) (void)fclose(f);
    return h;
}

/* Since when somebody lives, and what he had then. */
typedef struct life {
    int rounds;
    holdings before;
} life;

static void look_at_life(const char *who, const life *l, pid_t pid) {
    holdings now = holdings_of(pid);
    if (l->rounds < 2) return;
    print_message("  %s after %d rounds: %d descriptors, before %d; %ld MiB, before %ld\n", who,
                  l->rounds, now.files, l->before.files, now.mib, l->before.mib);
    assert_true(now.files <= l->before.files + FILES_MORE);
    assert_true(now.mib <= l->before.mib + MIB_MORE);
}

/* ---- deeds ------------------------------------------------------------------------------------
 */

typedef struct chaos {
    processes p;
    steps st;
    draws d;
    life lives[WORKERS], own;
} chaos;

static void doze(chaos *c, int ms) {
    processes_sleep((int)draw_below(&c->d, (size_t)ms + 1));
}

static void kill_worker(chaos *c, int w) {
    look_at_life(w ? "worker 1" : "worker 0", &c->lives[w], c->p.pids[w]);
    processes_kill(&c->p, w);
    c->lives[w].rounds = 0;
}

static void restart(chaos *c) {
    int w = (int)draw_below(&c->d, WORKERS);
    kill_worker(c, w);
    doze(c, 200);
    processes_start(&c->p, w);
}

static void restart_both(chaos *c) {
    int w = (int)draw_below(&c->d, WORKERS);
    kill_worker(c, w);
    doze(c, 50);
    kill_worker(c, 1 - w);
    processes_start(&c->p, w);
    doze(c, 50);
    processes_start(&c->p, 1 - w);
}

static void stop_for(chaos *c, int ms) {
    int w = (int)draw_below(&c->d, WORKERS);
    assert_int_equal(kill(c->p.pids[w], SIGSTOP), 0);
    doze(c, ms);
    assert_int_equal(kill(c->p.pids[w], SIGCONT), 0);
}

static void stop_shortly(chaos *c) {
    stop_for(c, 400);
}

static void stop_until_it_is_dead_for_others(chaos *c) {
    stop_for(c, 9000);
}

static void restart_while_the_other_is_stopped(chaos *c) {
    int w = (int)draw_below(&c->d, WORKERS);
    assert_int_equal(kill(c->p.pids[1 - w], SIGSTOP), 0);
    kill_worker(c, w);
    doze(c, 100);
    processes_start(&c->p, w);
    assert_int_equal(kill(c->p.pids[1 - w], SIGCONT), 0);
}

/* Another in this one's place is killed while its step goes on, and then this one is back. */
static void kill_another_master(chaos *c) {
    steps_stop(&c->st);
    processes_leave(&c->p);
    processes_start_master(&c->p, self);
    doze(c, 100);
    processes_kill(&c->p, MASTER);
    processes_join(&c->p);
    steps_start(&c->st);
}

static void play_round(chaos *c, bool takes_time) {
    static void (*const deeds[])(chaos * c) = {restart,
                                               restart,
                                               stop_shortly,
                                               restart_both,
                                               restart_while_the_other_is_stopped,
                                               kill_another_master,
                                               stop_until_it_is_dead_for_others};
    size_t n = sizeof deeds / sizeof *deeds - !takes_time;
    deeds[draw_below(&c->d, n)](c);
    await_good(&c->st);
    for (int w = 0; w < WORKERS; w++)
        if (c->lives[w].rounds++ == 0) c->lives[w].before = holdings_of(c->p.pids[w]);
    if (c->own.rounds++ == 0) c->own.before = holdings_of(getpid());
}

static uint64_t seed = 1;
static int rounds = 6;

static void steps_of_a_cluster_in_chaos_end_well(void **state) {
    static chaos c;
    (void)state;
    c.d = draws_of(seed, 0);
    processes_open(&c.p, (processes_way){engine, NULL});
    c.st.p = &c.p;
    check_init(&c.st.mistakes);
    steps_start(&c.st);
    await_good(&c.st);
    for (int i = 0; i < rounds; i++) play_round(&c, rounds > 20);
    steps_stop(&c.st);
    for (int w = 0; w < WORKERS; w++)
        look_at_life(w ? "worker 1" : "worker 0", &c.lives[w], c.p.pids[w]);
    look_at_life("the master", &c.own, getpid());
    print_message(
        "seed %llu, %d rounds: %llu steps succeeded, %llu failed, the longest took %.2f s; "
        "%llu sessions\n",
        (unsigned long long)seed, rounds, (unsigned long long)c.st.good,
        (unsigned long long)c.st.bad, (double)c.st.longest / 1e9,
        (unsigned long long)c.st.sessions);
    assert_true(c.st.longest < IN_TIME_S * UINT64_C(1000000000));
    assert_true(c.st.good > 0 && c.st.bad > 0);
    processes_close(&c.p);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc >= 4 && strcmp(argv[1], "--master") == 0)
        return processes_main_as_master(argv[2], (processes_way){argv[3], NULL});
    if (argc < 2) {
        (void)fprintf(stderr, "test_chaos ENGINE [--seed S] [--rounds N]\n");
        return 2;
    }
    engine = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0) rounds = atoi(argv[i + 1]);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_of_a_cluster_in_chaos_end_well)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
