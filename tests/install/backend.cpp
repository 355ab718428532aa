// SPDX-License-Identifier: MIT
//
// The conformance suites, as whoever writes a backend in C++ gets them, and the network for tests.
#include <dataflow/conformance.h>
#include <dataflow/mem_transport.h>
#include <dataflow/transport_conformance.h>

static df_rendezvous *make(void *) {
    df_rendezvous *r = nullptr;
    df_rendezvous_new_local(nullptr, &r, nullptr);
    return r;
}

static void report(void *user, int, const char *, const char *wrong) {
    if (wrong == nullptr) ++*static_cast<int *>(user);
}

static bool network_keeps_its_rules() {
    int kept = 0;
    df_mem_network *net = nullptr;
    df_mem_options options = df_mem_options();
    options.struct_size = sizeof options;
    options.threads = 1;
    if (df_mem_network_new(&options, &net, nullptr) != DF_OK) return false;
    df_transport_ops ops;
    df_mem_network_ops(net, &ops);
    df_transport_conformance suite = df_transport_conformance();
    suite.struct_size = sizeof suite;
    suite.user = &kept;
    suite.ops = &ops;
    suite.address = "mem://suite:0";
    suite.large = 1000000;
    suite.parked = 100;
    suite.report = report;
    if (df_transport_conformance_run(&suite) != 0) return false;
    df_mem_network_free(net);
    return kept == DF_TRANSPORT_CONFORMANCE_RULES;
}

int main() {
    if (!network_keeps_its_rules()) return 1;
    int kept = 0;
    df_conformance suite = df_conformance();
    suite.struct_size = sizeof suite;
    suite.user = &kept;
    suite.make = make;
    suite.report = report;
    return df_conformance_run(&suite) == 0 && kept == DF_CONFORMANCE_RULES ? 0 : 1;
}
