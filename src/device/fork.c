/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MADV_WIPEONFORK */
#endif
#include "device/fork.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

bool fork_page_open(fork_page *p) {
    p->bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *at = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    *at = 1;
    (void)madvise(at, p->bytes, MADV_WIPEONFORK); /* without it the driver tells, if it can */
    p->at = at;
    return true;
}

void fork_page_close(fork_page *p) {
    (void)munmap((void *)(uintptr_t)p->at, p->bytes);
}
