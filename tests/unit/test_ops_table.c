/* SPDX-License-Identifier: MIT
 *
 * The table in docs/ops.md has every op of the library, by its signature, and no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/kernels.h"
#include "op/op.h"

#include <stdio.h>
#include <string.h>

static char page[64 * 1024]; /* without the '\' in front of '|' */
static op_registry *ops;

static int open_page(void **state) {
    (void)state;
    FILE *f = fopen(DATAFLOW_TESTS_DIR "/../docs/ops.md", "r");
    if (!f) return -1;
    size_t n = 0;
    for (int c; (c = fgetc(f)) != EOF && n + 1 < sizeof page;)
        if (c != '\\') page[n++] = (char)c;
    fclose(f);
    ops = op_registry_new(NULL);
    return ops && kernels_register(ops, NULL, NULL) == DF_OK &&
                   op_register_transfer(ops, NULL) == DF_OK
               ? 0
               : -1;
}

static int close_page(void **state) {
    (void)state;
    op_registry_free(ops);
    return 0;
}

static void every_op_is_in_the_table(void **state) {
    (void)state;
    for (size_t i = 0; i < op_count(ops); i++) {
        char cell[600];
        int n = snprintf(cell, sizeof cell, "`%s`", op_at(ops, i)->signature);
        assert_in_range(n, 1, sizeof cell - 1);
        if (!strstr(page, cell)) fail_msg("docs/ops.md does not have %s", cell);
    }
}

/* Of the rows' first cells: what is in backquotes. */
static void the_table_has_no_other(void **state) {
    (void)state;
    for (char *row = page; (row = strstr(row, "\n| `")); row++) {
        char *end = strstr(row, "` |"), *at = row + 3;
        assert_non_null(end);
        while (at < end) {
            char name[64] = "";
            (void)sscanf(at, "`%63[A-Za-z0-9_]", name);
            if (!op_find(ops, name)) fail_msg("docs/ops.md has \"%s\", which is no op", name);
            at = strchr(at + 1, '`') + 1;
            while (at < end && *at != '`') at++;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_is_in_the_table),
        cmocka_unit_test(the_table_has_no_other),
    };
    return cmocka_run_group_tests(tests, open_page, close_page);
}
