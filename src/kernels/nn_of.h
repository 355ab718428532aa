/* SPDX-License-Identifier: MIT
 *
 * nn_of.h - rows of softmax for one floating type, included once for each with
 *
 *   NN_T        the type of an element
 *   NN_TAG      what its functions' names end in
 *   NN_EXP, NN_LOG  the C library's functions for it
 *
 * The largest element is subtracted first, so that no exponential overflows; sums are
 * kept in double, in ascending order.
 */
#define NN_JOIN2(NAME, TAG) NAME##_##TAG
#define NN_JOIN(NAME, TAG)  NN_JOIN2(NAME, TAG)
#define NAMED(NAME)         NN_JOIN(NAME, NN_TAG)

/* NaN if there is one, so that it reaches every result of the row. */
static NN_T NAMED(largest)(const NN_T *x, int64_t n) {
    NN_T most = x[0];
    for (int64_t i = 1; i < n; i++)
        if (x[i] > most || x[i] != x[i]) most = x[i];
    return most;
}

/* out[i] = exp(x[i] - most); returns their sum. out may be x. */
static double NAMED(exponentials)(const NN_T *x, NN_T most, int64_t n, NN_T *out) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = NN_EXP(x[i] - most);
        sum += (double)out[i];
    }
    return sum;
}

static void NAMED(softmax_row)(const NN_T *x, int64_t n, NN_T *out) {
    double sum = NAMED(exponentials)(x, NAMED(largest)(x, n), n, out);
    for (int64_t i = 0; i < n; i++) out[i] = (NN_T)((double)out[i] / sum);
}

static void NAMED(softmax)(const void *x, int64_t rows, int64_t n, void *out) {
    for (int64_t r = 0; r < rows; r++)
        NAMED(softmax_row)((const NN_T *)x + r * n, n, (NN_T *)out + r * n);
}

/* The loss of a row; its gradient goes to `gradient`. */
static NN_T NAMED(cross_entropy_row)(const NN_T *x, int64_t n, int64_t label, NN_T *gradient) {
    NN_T most = NAMED(largest)(x, n);
    double sum = NAMED(exponentials)(x, most, n, gradient);
    for (int64_t i = 0; i < n; i++) gradient[i] = (NN_T)((double)gradient[i] / sum);
    gradient[label] -= 1;
    return NN_LOG((NN_T)sum) - (x[label] - most);
}

static void NAMED(cross_entropy)(const df_tensor *logits, const df_tensor *labels, void *loss,
                                 void *gradient) {
    int64_t n = logits->dims[1];
    for (int64_t r = 0; r < logits->dims[0]; r++)
        ((NN_T *)loss)[r] = NAMED(cross_entropy_row)((const NN_T *)logits->data + r * n, n,
                                                     label_at(labels, r), (NN_T *)gradient + r * n);
}

#undef NAMED
#undef NN_JOIN
#undef NN_JOIN2
#undef NN_T
#undef NN_TAG
#undef NN_EXP
#undef NN_LOG
