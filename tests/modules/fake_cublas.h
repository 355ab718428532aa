/* SPDX-License-Identifier: MIT
 *
 * fake_cublas.h - what of cuBLAS the library asks for, on host memory, with books.
 */
#ifndef MODULES_FAKE_CUBLAS_H
#define MODULES_FAKE_CUBLAS_H

typedef struct fake_cublas_books {
    int handles;        /* live now */
    int calls;          /* products so far */
    int fail_calls;     /* a status for all that follow; 0: none */
    int fail_creates;   /* the same of handles */
    const void *stream; /* of the last call */
} fake_cublas_books;

/* Found by the name "fake_cublas". */
typedef fake_cublas_books *fake_cublas_function(void);

#endif /* MODULES_FAKE_CUBLAS_H */
