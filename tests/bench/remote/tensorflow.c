/* SPDX-License-Identifier: MIT
 *
 * TensorFlow's distributed session: its client and its server are another program, that of
 * tests/bench/peers/tensorflow_session.cpp, since its library brings a gRPC of its own.
 */
#include "bench/remote/remote.h"

#include <stdlib.h>

char *tensorflow_program;

typedef struct client {
    pid_t pid;
    FILE *to, *from;
} client;

static void *connect_to(const char *address, const credentials *tls) {
    client *c = bench_alloc(sizeof *c);
    char *argv[] = {tensorflow_program, "measure", (char *)(uintptr_t)address, NULL};
    (void)tls;
    c->pid = remote_start(argv, &c->to, &c->from);
    return c;
}

static double ask(client *c, const char *what, int n) {
    char line[32];
    bench_need(fprintf(c->to, "%s %d\n", what, n) > 0 && fflush(c->to) == 0 &&
                   fgets(line, sizeof line, c->from),
               "TensorFlow", "its process has ended");
    return strtod(line, NULL);
}

static double small(void *c, int n) {
    return ask(c, "small", n);
}

static double large(void *c, int n) {
    return ask(c, "large", n);
}

static double step(void *c, int n) {
    return ask(c, "step", n);
}

static pid_t process(void *c) {
    return ((client *)c)->pid;
}

static void close_it(void *c_) {
    client *c = c_;
    remote_end(c->pid);
    (void)fclose(c->to);
    (void)fclose(c->from);
    free(c);
}

const way way_tensorflow = {.name = "TensorFlow's session",
                            .connect = connect_to,
                            .small = small,
                            .large = large,
                            .close = close_it,
                            .step = step,
                            .process = process};
