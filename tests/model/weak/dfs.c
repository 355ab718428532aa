/* SPDX-License-Identifier: MIT
 *
 * support/dfs.h for programs whose library is checked under C11's memory model.
 *
 * With DATAFLOW_TEST_SPOIL=PART, after the tests have passed, each atomic operation in a file whose
 * name has PART in it is made worse in turn, and the tests are run again, each time in a process of
 * its own, since what comes of it may crash: one must fail. Known exceptions are named below; that
 * one of them is found is a failure, too.
 */
#include "model/weak/weak.h"

#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody opens a device of these kinds here. */
const df_device_ops sim_ops = {.struct_size = 0}, cuda_ops = {.struct_size = 0},
                    opencl_ops = {.struct_size = 0};

static const char *const names[WEAK_PLANTS] = {"as it is", "no acquire", "no release", "torn"};

/* Where PART is `of`, some operation of the function need not be found, and one is not. */
static const struct exception {
    const char *of, *function, *what;
    weak_plant how;
    const char *why;
} exceptions[] = {
    {"rendezvous/", "slots_send", "cas", WEAK_NO_RELEASE, "nobody asks what came before DONE"},
    {"rendezvous/", "slots_recv", "cas", WEAK_NO_RELEASE, "nobody asks what came before DONE"},
    {"rendezvous/", "slots_cancel", "load", WEAK_NO_ACQUIRE, "the exchange behind it acquires"},
    {"rendezvous/", "slots_cancel", "cas", WEAK_NO_ACQUIRE, "the load before it acquires"},
    {"rendezvous/", "slots_borrow", "load", WEAK_NO_ACQUIRE, "of an abort nothing else is read"},

    {"exec/live.h", "live_leave", "cas", WEAK_NO_ACQUIRE, "found in exec/"},
    {"exec/live.h", "live_end", "cas", WEAK_NO_RELEASE, "nobody asks what came before 0"},
    {"exec/live.h", "live_try_hold", "cas", WEAK_NO_RELEASE, "it has done nothing yet"},

    {"exec/", "live_start", "store", WEAK_NO_RELEASE, "found in exec/live.h"},
    {"exec/", "live_end", "cas", WEAK_NO_ACQUIRE, "found in exec/live.h"},
    {"exec/", "live_end", "cas", WEAK_NO_RELEASE, "nobody asks what came before 0"},
    {"exec/", "live_end", "cas", WEAK_TORN, "found in exec/live.h"},
    {"exec/", "step_fail", "store", WEAK_NO_RELEASE, "who finds it failed runs nothing more"},
    {"exec/", "run_recv", "swap", WEAK_NO_RELEASE, "what it wrote is released by the slot"},
    {"exec/", "recv_done", "swap", WEAK_NO_ACQUIRE, "what it reads was acquired from the slot"},
};
enum { N_EXCEPTIONS = sizeof exceptions / sizeof *exceptions };

uint64_t dfs_run(df_schedules what, df_schedules_report *report) {
    return weak_run(what, report);
}

bool dfs_is_weak(void) {
    return true;
}

bool dfs_is_slow(void) {
    return false;
}

bool dfs_is_possible(void) {
    return true;
}

/* N_EXCEPTIONS: none. */
static int exception_of(const weak_site *s, weak_plant how, const char *part) {
    int i = 0;
    for (; i < N_EXCEPTIONS; i++) {
        const struct exception *e = &exceptions[i];
        if (e->how == how && !strcmp(e->of, part) && !strcmp(e->function, s->place.function) &&
            !strcmp(e->what, s->what))
            break;
    }
    return i;
}

/* True: a test failed, or the process did. */
static bool is_found(int (*run)(void), int site, weak_plant how) {
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(0);
        weak_spoil(site, how);
        _exit(run() != 0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && status != 0;
}

static int spoil_all(int (*run)(void), const char *part) {
    const weak_site *sites;
    bool is_used[N_EXCEPTIONS + 1] = {false};
    int n = weak_sites(&sites), n_found = 0, n_excepted = 0, n_wrong = 0;
    for (int i = 0; i < n; i++) {
        const weak_site *s = &sites[i];
        if (!strstr(s->place.file, part)) continue;
        for (weak_plant how = WEAK_NO_ACQUIRE; how < WEAK_PLANTS; how++) {
            if (!s->can[how]) continue;
            int e = exception_of(s, how, part);
            bool found = is_found(run, i, how), excepted = !found && e < N_EXCEPTIONS;
            printf("%s:%d: %s, %s: %s\n", s->place.function, s->place.line, s->what, names[how],
                   found      ? "found"
                   : excepted ? exceptions[e].why
                              : "NOT FOUND");
            is_used[e] |= excepted;
            n_found += found;
            n_excepted += excepted;
            n_wrong += !found && !excepted;
        }
    }
    for (int e = 0; e < N_EXCEPTIONS; e++) {
        if (is_used[e] || strcmp(exceptions[e].of, part) != 0) continue;
        printf("%s: the exception is needed no more\n", exceptions[e].function);
        n_wrong++;
    }
    printf("%d planted faults found, %d cannot be, %d wrong\n", n_found, n_excepted, n_wrong);
    return n_wrong || !n_found;
}

int dfs_main(int (*run)(void)) {
    const char *part = getenv("DATAFLOW_TEST_SPOIL");
    int failed = run();
    return failed || !part ? failed : spoil_all(run, part);
}
