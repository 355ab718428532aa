/* SPDX-License-Identifier: MIT
 *
 *   fuzz_X FILE              gives each input in the file to the target, and none besides
 *   fuzz_X FILE LINE         gives it that one
 *   fuzz_X --unpack FILE DIR writes each into a file of its own: libFuzzer reads such
 *   fuzz_X --pack FILE...    writes files as lines
 *
 * A line is one input: as it is, but for '\\', '\n', '\t', and "\xHH" for whatever is no printable
 * ASCII. Lines that are empty or begin with '#' are remarks.
 *
 * The inputs run in a process of their own, so that who dies of one is named.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "fuzz/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int complain(const char *what, const char *about) {
    (void)fprintf(stderr, "%s: %s\n", about, what);
    return 2;
}

/* ---- lines --------------------------------------------------------------- */

static uint8_t unescaped(const char **at) {
    char c = *(*at)++, next = **at;
    unsigned value = (unsigned char)c;
    if (c != '\\' || !next) return (uint8_t)value;
    (*at)++;
    if (next == 'x' && sscanf(*at, "%2x", &value) == 1)
        *at += 2;
    else
        value = next == 'n' ? '\n' : next == 't' ? '\t' : (unsigned char)next;
    return (uint8_t)value;
}

/* In place. */
static size_t unescape(char *line) {
    const char *from = line;
    char *to = line;
    while (*from) *to++ = (char)unescaped(&from);
    return (size_t)(to - line);
}

static void put_escaped(const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t c = data[i];
        if (c == '\n' || c == '\t' || c == '\\')
            (void)printf("\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : c);
        else if (c < ' ' || c > '~' || (c == '#' && i == 0))
            (void)printf("\\x%02x", c);
        else
            (void)putchar(c);
    }
    (void)putchar('\n');
}

/* Calls each for all inputs, or for one line; returns how many there were, 0 for none. */
static int each_line(const char *path, int only,
                     void (*each)(int line, const uint8_t *data, size_t n, void *arg), void *arg) {
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    for (int i = 1; getline(&line, &room, f) > 0; i++) {
        line[strcspn(line, "\n")] = '\0';
        if (!line[0] || line[0] == '#' || (only && i != only)) continue;
        each(i, (const uint8_t *)line, unescape(line), arg);
        n++;
    }
    free(line);
    (void)fclose(f);
    return n;
}

/* ---- what can be asked for ----------------------------------------------- */

/* In a block of just its size. */
static void give(int line, const uint8_t *data, size_t n, void *now) {
    uint8_t *exact = malloc(n ? n : 1);
    FUZZ_MUST(exact != NULL, "out of memory");
    memcpy(exact, data, n);
    *(int *)now = line;
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static int replay(const char *self, const char *path, int only) {
    int *now = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (now == MAP_FAILED) return complain("no memory to share", path);
    pid_t child = fork();
    if (child == 0) {
        int n = each_line(path, only, give, now);
        (void)printf("%s: %d inputs\n", path, n);
        exit(n ? 0 : complain("there is no input in it", path));
    }
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child) return complain("no process", path);
    if (status != 0 && *now)
        (void)fprintf(stderr, "%s:%d is the input that failed; to repeat: %s %s %d\n", path, *now,
                      self, path, *now);
    return status != 0;
}

static void write_input(int line, const uint8_t *data, size_t n, void *folder) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%05d", (const char *)folder, line);
    FILE *f = fopen(path, "wb");
    FUZZ_MUST(f && fwrite(data, 1, n, f) == n && fclose(f) == 0, "%s cannot be written", path);
}

static int pack(const char *path) {
    static uint8_t data[1 << 20];
    FILE *f = fopen(path, "rb");
    if (!f) return complain("cannot be read", path);
    size_t n = fread(data, 1, sizeof data, f);
    (void)fclose(f);
    if (n) put_escaped(data, n);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--unpack") == 0)
        return each_line(argv[2], 0, write_input, argv[3]) ? 0 : complain("no input", argv[2]);
    if (argc > 2 && strcmp(argv[1], "--pack") == 0) {
        int status = 0;
        for (int i = 2; i < argc; i++) status |= pack(argv[i]);
        return status;
    }
    if (argc == 2 || argc == 3) return replay(argv[0], argv[1], argc == 3 ? atoi(argv[2]) : 0);
    return complain("FILE [LINE] | --unpack FILE DIR | --pack FILE...", argv[0]);
}
