/* SPDX-License-Identifier: MIT
 *
 * The version is said in one place, the header; the library and the build say the same.
 */
#include <dataflow/dataflow.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void the_library_has_the_version_of_its_headers(void **state) {
    (void)state;
    char text[32];
    (void)snprintf(text, sizeof text, "%d.%d.%d", DF_VERSION_MAJOR, DF_VERSION_MINOR,
                   DF_VERSION_PATCH);
    assert_string_equal(df_version(), text);
}

static void it_is_built_and_installed_as_that(void **state) {
    (void)state;
    assert_string_equal(df_version(), DATAFLOW_BUILT_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_has_the_version_of_its_headers),
        cmocka_unit_test(it_is_built_and_installed_as_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
