// SPDX-License-Identifier: MIT
//
// The same from C++, which has no DF_SHAPE.
#include <dataflow/dataflow.h>

int main() {
    const int64_t dims[] = {2, -7};
    df_shape shape;
    shape.rank = 2;
    shape.dims = dims;
    df_error err;
    df_tensor *t = nullptr;
    df_code code = df_tensor_new(nullptr, DF_INT32, shape, &t, &err);
    return code == DF_INVALID_ARGUMENT && err.code == code && t == nullptr ? 0 : 1;
}
