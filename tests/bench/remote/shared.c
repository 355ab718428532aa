/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "bench/remote/remote.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

double remote_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double remote_median(const double *all, int n) {
    double sorted[TURNS];
    memcpy(sorted, all, (size_t)n * sizeof *all);
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    return sorted[n / 2];
}

double remote_least(const double *all, int n) {
    double least = all[0];
    for (int i = 1; i < n; i++)
        if (all[i] < least) least = all[i];
    return least;
}

/* ---- processes -------------------------------------------------------------------------- */

static void become(char *const argv[], const int input[2], const int output[2]) {
#ifdef __linux__
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (input[0] >= 0) (void)dup2(input[0], STDIN_FILENO);
    (void)dup2(output[1], STDOUT_FILENO);
    (void)execv(argv[0], argv);
    _exit(127);
}

pid_t remote_start(char *const argv[], FILE **to, FILE **from) {
    int input[2] = {-1, -1}, output[2];
    bench_need(pipe(output) == 0 && (!to || pipe(input) == 0), "pipe", "there is none");
    pid_t pid = fork();
    bench_need(pid >= 0, "fork", "it fails");
    if (pid == 0) become(argv, input, output);
    (void)close(output[1]);
    *from = fdopen(output[0], "r");
    bench_need(*from != NULL, "pipe", "there is none");
    if (!to) return pid;
    (void)close(input[0]);
    *to = fdopen(input[1], "w");
    bench_need(*to != NULL, "pipe", "there is none");
    return pid;
}

pid_t remote_start_server(char *const argv[], char address[DF_ADDRESS_MAX]) {
    FILE *from;
    pid_t pid = remote_start(argv, NULL, &from);
    bench_need(fgets(address, DF_ADDRESS_MAX, from) != NULL, argv[0], "no server");
    (void)fclose(from);
    address[strcspn(address, "\n")] = '\0';
    return pid;
}

void remote_end(pid_t pid) {
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* Seconds that a process has been in user space. */
double remote_user_of(pid_t pid) {
    char path[32], text[1024];
    unsigned long ticks = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    bench_need(f != NULL, path, "it cannot be read");
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* of its name; then 11 fields come before it */
    for (int i = 0; at && i < 12; i++) at = strchr(at + 1, ' ');
    bench_need(at && sscanf(at, "%lu", &ticks) == 1, path, "it is not as it was");
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* ---- servers -------------------------------------------------------------------------------- */

void remote_is_at(const char *address) {
    printf("%s\n", address);
    (void)fflush(stdout);
}

void remote_wait_for_ever(void) {
    for (;;) (void)pause();
}

/* ---- latches ------------------------------------------------------------------------------- */

struct latch {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_open;
};

latch *latch_new(void) {
    latch *l = bench_alloc(sizeof *l);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->moved, NULL);
    return l;
}

void latch_free(latch *l) {
    (void)pthread_cond_destroy(&l->moved);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void latch_open(latch *l) {
    (void)pthread_mutex_lock(&l->lock);
    l->is_open = true;
    (void)pthread_cond_signal(&l->moved);
    (void)pthread_mutex_unlock(&l->lock);
}

void latch_pass(latch *l) {
    (void)pthread_mutex_lock(&l->lock);
    while (!l->is_open) (void)pthread_cond_wait(&l->moved, &l->lock);
    l->is_open = false;
    (void)pthread_mutex_unlock(&l->lock);
}
