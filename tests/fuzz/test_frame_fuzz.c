/* SPDX-License-Identifier: MIT
 *
 * Any bytes are either a message's head, which is written alike again, or an error: whatever was
 * done to them.
 *
 *   test_frame_fuzz                        a short run
 *   test_frame_fuzz --count N [--seed S]   N times
 *   test_frame_fuzz --case I [--seed S]    one, as a failure names it
 *
 * What is started from is a head of each kind, with meta of some lengths. Bytes are changed, cut,
 * and half of the time the checksum is made right again, so that what lies behind it is reached.
 */
#include "transport/frame.h"
#include "transport/wire.h"

#include "base/crc.h"
#include "property/random.h"
#include "support/scale.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t count, only_case = SIZE_MAX;
static uint64_t seed = 1;

enum { MOST = FRAME_BYTES + DF_META_MAX };

/* Returns how many bytes there are. */
static size_t start(draws *d, unsigned char *bytes) {
    static const uint32_t lengths[] = {0, 1, 16, 40, FRAME_ERROR_MAX, DF_META_MAX};
    frame f = {.kind = (frame_kind)draw_between(d, FRAME_REQUEST, FRAME_CANCEL), .call = draw(d)};
    if (f.kind != FRAME_CANCEL) f.meta_bytes = lengths[draw_below(d, 6)];
    if (f.kind <= FRAME_REPLY) f.payload_bytes = draw(d) >> draw_between(d, 1, 63);
    if (f.kind == FRAME_ERROR && f.meta_bytes < 16) f.meta_bytes = 16;
    if (f.kind == FRAME_ERROR && f.meta_bytes > FRAME_ERROR_MAX) f.meta_bytes = FRAME_ERROR_MAX;
    for (uint32_t i = 0; i < f.meta_bytes; i++) bytes[FRAME_BYTES + i] = (unsigned char)draw(d);
    frame_encode(&f, bytes + FRAME_BYTES, bytes);
    return FRAME_BYTES + f.meta_bytes;
}

static void change(draws *d, unsigned char *bytes, size_t n) {
    for (uint32_t k = draw_below(d, 4); k > 0; k--) {
        size_t at = draw_below(d, draw_once_in(d, 4) ? n : FRAME_BYTES);
        bytes[at] = draw_once_in(d, 2) ? (unsigned char)draw(d)
                                       : (unsigned char)(bytes[at] ^ 1u << draw_below(d, 8));
    }
    if (draw_once_in(d, 2)) return;
    uint32_t sum = crc_few(crc_few(0, bytes, 28), bytes + FRAME_BYTES, n - FRAME_BYTES);
    wire_put(&(wire_out){.at = bytes + 28, .left = 4}, sum, 4);
}

/* As an engine reads: 32 bytes, then as many as they say, if there are as many. In blocks of just
 * their size, so that a sanitizer sees one byte too far. NULL: as it must be. */
static const char *wrong_with(const unsigned char *bytes, size_t n, bool *is_frame) {
    unsigned char head[FRAME_BYTES], again[FRAME_BYTES];
    frame f;
    df_error err = {.code = DF_OK}, said;
    *is_frame = false;
    memcpy(head, bytes, FRAME_BYTES);
    df_code code = frame_decode(head, &f, &err);
    if (code != DF_OK) return err.code == code && err.message[0] ? NULL : "code and error differ";
    if (f.meta_bytes > DF_META_MAX) return "more meta than there can be";
    if (f.meta_bytes > n - FRAME_BYTES) return NULL; /* the connection ends before */
    unsigned char *meta = malloc(f.meta_bytes + (size_t)!f.meta_bytes);
    if (!meta) return "no memory";
    memcpy(meta, bytes + FRAME_BYTES, f.meta_bytes);
    code = frame_check(head, &f, meta, &err);
    const char *wrong = code == err.code ? NULL : "code and error differ";
    if (code == DF_OK) {
        *is_frame = true;
        frame_encode(&f, meta, again);
        if (memcmp(head, again, FRAME_BYTES) != 0) wrong = "it is not written alike again";
        frame_get_error(meta, f.meta_bytes, &said);
        if (said.code == DF_OK || said.message[sizeof said.message - 1])
            wrong = "an error that is none";
    }
    free(meta);
    return wrong;
}

static void any_bytes_are_a_head_or_an_error(void **state) {
    static unsigned char bytes[MOST];
    size_t frames = 0, first = only_case == SIZE_MAX ? 0 : only_case;
    size_t end = only_case == SIZE_MAX ? count : only_case + 1;
    (void)state;
    for (size_t i = first; i < end; i++) {
        draws d = draws_of(seed, i);
        bool is_frame;
        size_t n = start(&d, bytes);
        change(&d, bytes, n);
        const char *wrong = wrong_with(bytes, n, &is_frame);
        frames += is_frame;
        if (wrong) fail_msg("%s: run --seed %" PRIu64 " --case %zu", wrong, seed, i);
    }
    print_message("seed %" PRIu64 ": %zu heads, %zu of them right\n", seed, end - first, frames);
    assert_true(end - first < 1000 || (frames > count / 5 && frames < count));
}

int main(int argc, char **argv) {
    count = test_scaled(200000);
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--count") == 0) count = (size_t)n;
        if (strcmp(argv[i], "--case") == 0) only_case = (size_t)n;
        if (strcmp(argv[i], "--seed") == 0) seed = n;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_bytes_are_a_head_or_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
