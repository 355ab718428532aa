/* SPDX-License-Identifier: MIT
 *
 * What is written is made beforehand: a signal's handler only writes it.
 */
#include "property/last_words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE = 120 /* seconds */ };

static const char *program_name = "", *seed_option = "";
static char words[2][300]; /* one is written while the other is read */
static volatile sig_atomic_t current;
static struct sigaction before[4];
static const int fatal[4] = {SIGSEGV, SIGBUS, SIGABRT, SIGALRM};

/* The sanitizers' hook; not there without them. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void speak(void) {
    const char *text = words[current];
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

/* Whoever handled the signal before gets it, when what raised it is tried again. */
static void on_signal(int number) {
    speak();
    for (int i = 0; i < 4; i++) (void)sigaction(fatal[i], &before[i], NULL);
    if (number == SIGALRM) {
        static const char hangs[] = "it hangs\n";
        ssize_t written = write(STDERR_FILENO, hangs, sizeof hangs - 1);
        (void)written;
        (void)raise(SIGABRT);
    }
}

void last_words_install(const char *program, const char *option) {
    program_name = program;
    seed_option = option;
    struct sigaction a = {.sa_handler = on_signal}, now;
    for (int i = 0; i < 4; i++) {
        (void)sigaction(fatal[i], &a, &now);
        if (now.sa_handler != on_signal) before[i] = now;
    }
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(speak);
}

void last_words_set(uint64_t seed) {
    int next = !current;
    (void)snprintf(words[next], sizeof words[next], "it was: %s %s %" PRIu64 "\n", program_name,
                   seed_option, seed);
    current = next;
    (void)alarm(PATIENCE);
}

void last_words_done(void) {
    (void)alarm(0);
}
