// SPDX-License-Identifier: MIT
//
// The conformance suite, as whoever writes a backend in C++ gets it.
#include <dataflow/conformance.h>

static df_rendezvous *make(void *) {
    df_rendezvous *r = nullptr;
    df_rendezvous_new_local(nullptr, &r, nullptr);
    return r;
}

static void report(void *user, int, const char *, const char *wrong) {
    if (wrong == nullptr) ++*static_cast<int *>(user);
}

int main() {
    int kept = 0;
    df_conformance suite = df_conformance();
    suite.struct_size = sizeof suite;
    suite.user = &kept;
    suite.make = make;
    suite.report = report;
    return df_conformance_run(&suite) == 0 && kept == DF_CONFORMANCE_RULES ? 0 : 1;
}
