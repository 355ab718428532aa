/* SPDX-License-Identifier: MIT
 *
 * Workers and masters that are killed, stopped, continued and started again at random, while two
 * masters run steps, each of sessions of its own. Each step ends in time, with the right value or
 * an error that names a task; when all are well again steps succeed again; and who has lived
 * through it has no more descriptors and hardly more memory than before.
 *
 *   test_chaos ENGINE                        a few rounds by "grpc" or "ucx"
 *   test_chaos ENGINE --seed S --rounds N    the same deeds for a seed, not the same moments
 *
 * The graph: worker 0 negates what is fed; worker 1 counts in a variable, adds, and sends 64 KiB of
 * that; worker 0 negates them: a - n, for the n-th step that succeeds.
 *
 * The first master is this process, and lives; the other is this program again. Its sessions have
 * so much on each worker that one which is not forgotten with its master shows. It has an address
 * if the seed is odd.
 */
#include "process/processes.h"

#include "property/random.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ELEMENTS = 8192, IN_TIME_S = 30, GOOD_AGAIN = 3, FILES_MORE = 7, MIB_MORE = 128 };
enum { MASTERS = 8, SESSION_MIB = 32 }; /* as many as come and go leave more than MIB_MORE */

/* The address sanitizer keeps hundreds of MiB of what was given back. */
#if defined(__SANITIZE_ADDRESS__)
enum { KEEPS_BLOCKS = true };
#elif defined(__has_feature)
enum { KEEPS_BLOCKS = __has_feature(address_sanitizer) };
#else
enum { KEEPS_BLOCKS = false };
#endif

/* ---- steps ------------------------------------------------------------------------------- */

/* On a thread of its own. */
typedef struct steps {
    processes *p;
    pthread_t thread;
    _Atomic bool stops;
    pthread_mutex_t joined; /* held while a session is made, and while the cluster is left */
    _Atomic bool leaves;
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

static df_code new_session(steps *st, df_error *err) {
    (void)pthread_mutex_lock(&st->joined);
    const df_session_options so = {.struct_size = sizeof so, .cluster = st->p->cluster};
    df_code code = st->leaves ? df_error_set(err, DF_CANCELLED, "it leaves")
                              : df_session_new(st->g, &so, &st->s, err);
    (void)pthread_mutex_unlock(&st->joined);
    return code;
}

static df_code make_session(steps *st, df_error *err) {
    const int64_t many[] = {ELEMENTS}, much[] = {SESSION_MIB << 18};
    df_graph *g = st->g = df_graph_new(st->p->rt);
    df_out a = df_placeholder(g, "a", DF_INT64, DF_SCALAR);
    df_graph_on(g, "/job:worker/task:0");
    df_out b = df_neg(g, a);
    df_graph_on(g, "/job:worker/task:1");
    df_out n = df_assign_add(g, df_variable(g, "v", DF_INT64, DF_SCALAR), run_const(g, 1));
    df_out large = df_fill(g, df_add(g, b, n), (df_shape){1, many});
    df_graph_on(g, "/job:worker/task:0");
    df_out y = df_neg(g, large);
    for (int w = 0; st->p->task == OTHER && w < WORKERS; w++) {
        df_graph_on(g, w ? "/job:worker/task:1" : "/job:worker/task:0");
        (void)df_variable(g, w ? "ballast1" : "ballast0", DF_FLOAT32, (df_shape){1, much});
    }
    df_graph_on(g, NULL);
    df_code code = new_session(st, err);
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

/* Who is lost, or was restarted, or has lost its variables. The other master is needed for
 * sessions. */
static void look_at_error(steps *st, const char *what, df_code code, const df_error *err) {
    bool fits = code == DF_UNAVAILABLE || code == DF_ABORTED || code == DF_FAILED_PRECONDITION;
    bool names = strstr(err->message, "/job:worker/task:") ||
                 (!st->s && strstr(err->message, "/job:master/task:"));
    check_that(&st->mistakes, (fits && names) || st->leaves, __FILE__, __LINE__, "%s: %s: %.150s",
               what, df_code_name(code), err->message);
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

static void steps_init(steps *st, processes *p) {
    st->p = p;
    check_init(&st->mistakes);
    assert_int_equal(pthread_mutex_init(&st->joined, NULL), 0);
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

/* In the midst of a step, or of anything else but the making of a session, which would need the
 * cluster. */
static void steps_leave(steps *st) {
    (void)pthread_mutex_lock(&st->joined);
    st->leaves = true;
    df_cluster_leave(st->p->cluster);
    st->p->cluster = NULL;
    (void)pthread_mutex_unlock(&st->joined);
    steps_stop(st);
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
    assert_true(KEEPS_BLOCKS || now.mib <= l->before.mib + MIB_MORE);
}

/* ---- the other master -------------------------------------------------------------------- */

/* Told to by SIGTERM, it leaves; by SIGUSR1, when its steps succeed. */
static int be_other_master(char **argv) {
    static processes p;
    static steps st;
    sigset_t words;
    int word;
    (void)sigemptyset(&words);
    (void)sigaddset(&words, SIGTERM);
    (void)sigaddset(&words, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &words, NULL), 0);
    processes_open_master(&p, argv);
    steps_init(&st, &p);
    steps_start(&st);
    await_good(&st);
    printf("the other master runs\n");
    (void)fflush(stdout);
    assert_int_equal(sigwait(&words, &word), 0);
    if (word == SIGUSR1) await_good(&st);
    steps_leave(&st);
    processes_close(&p);
    return 0;
}

/* Soon, and as it is told: if it has seen a mistake it has said so, and gone before. */
static void end_other_master(processes *p, int word) {
    int status = 0;
    pid_t ended = 0;
    uint64_t since = processes_now();
    assert_int_equal(kill(p->pids[OTHER], word), 0);
    while ((ended = waitpid(p->pids[OTHER], &status, WNOHANG)) == 0) {
        if (processes_now() - since > IN_TIME_S * UINT64_C(1000000000))
            fail_msg("the other master has not left for %d s", IN_TIME_S);
        processes_sleep(1);
    }
    assert_int_equal(ended, p->pids[OTHER]);
    p->pids[OTHER] = 0;
    assert_int_equal(status, word == SIGKILL ? SIGKILL : 0);
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

/* A worker, or the other master. */
static void stop_for(chaos *c, int ms) {
    uint32_t any = draw_below(&c->d, WORKERS + 1);
    pid_t pid = c->p.pids[any < WORKERS ? any : OTHER];
    assert_int_equal(kill(pid, SIGSTOP), 0);
    doze(c, ms);
    assert_int_equal(kill(pid, SIGCONT), 0);
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
    processes_start_master(&c->p, MASTER, self);
    doze(c, 100);
    processes_kill(&c->p, MASTER);
    processes_join(&c->p);
    steps_start(&c->st);
}

static void restart_other_master(chaos *c, int word) {
    end_other_master(&c->p, word);
    processes_start_master(&c->p, OTHER, self);
}

static void kill_other_master(chaos *c) {
    doze(c, 100);
    restart_other_master(c, SIGKILL);
}

static void leave_as_other_master(chaos *c) {
    doze(c, 100);
    restart_other_master(c, SIGTERM);
}

/* It leaves, or is killed, while both mend the worker. */
static void restart_with_other_master(chaos *c) {
    restart(c);
    doze(c, 50);
    restart_other_master(c, draw_once_in(&c->d, 2) ? SIGTERM : SIGKILL);
}

static void masters_come_and_go(chaos *c) {
    for (int i = 0; i < MASTERS; i++) restart_other_master(c, SIGKILL);
}

static void play_round(chaos *c, void (*deed)(chaos *c)) {
    deed(c);
    await_good(&c->st);
    for (int w = 0; w < WORKERS; w++)
        if (c->lives[w].rounds++ == 0) c->lives[w].before = holdings_of(c->p.pids[w]);
    if (c->own.rounds++ == 0) c->own.before = holdings_of(getpid());
}

static void play_any(chaos *c, bool takes_time) {
    static void (*const deeds[])(chaos * c) = {restart,
                                               restart,
                                               stop_shortly,
                                               restart_both,
                                               restart_while_the_other_is_stopped,
                                               kill_another_master,
                                               kill_other_master,
                                               leave_as_other_master,
                                               restart_with_other_master,
                                               stop_until_it_is_dead_for_others};
    size_t n = sizeof deeds / sizeof *deeds - !takes_time;
    play_round(c, deeds[draw_below(&c->d, n)]);
}

static uint64_t seed = 1;
static int rounds = 6;

static void steps_of_a_cluster_in_chaos_end_well(void **state) {
    static chaos c;
    (void)state;
    c.d = draws_of(seed, 0);
    c.p.other_is_called = seed % 2;
    processes_open(&c.p, (processes_way){engine, NULL});
    steps_init(&c.st, &c.p);
    processes_start_master(&c.p, OTHER, self);
    steps_start(&c.st);
    await_good(&c.st);
    for (int i = 0; i < rounds; i++) play_any(&c, rounds > 20);
    play_round(&c, masters_come_and_go);
    end_other_master(&c.p, SIGUSR1);
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

static int be_master(char **argv) {
    static processes p;
    if (atoi(argv[0]) == OTHER) return be_other_master(argv);
    processes_open_master(&p, argv);
    return processes_run_slow(&p);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc >= 5 && strcmp(argv[1], "--master") == 0) return be_master(argv + 2);
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
