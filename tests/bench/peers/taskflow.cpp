/* SPDX-License-Identifier: MIT
 *
 * Taskflow: a task per node of a graph that is kept. `taskflow` gives all runs of a sample to the
 * executor at once, `taskflow-run` waits for each.
 */
#include <taskflow/taskflow.hpp>

#include <string>
#include <vector>

#include "tasks.h"

namespace {

class racer {
  public:
    explicit racer(const bench_job *job) : executor((size_t)job->workers) {
        const bench_graph *g = job->graph;
        std::vector<tf::Task> tasks;
        if (!bench_parts_init(&parts, job)) throw std::bad_alloc();
        for (int32_t i = 0; i < g->n; i++) {
            tasks.push_back(flow.emplace([this, i] { bench_do(&parts, i); }));
            for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
                tasks[(size_t)g->preds[e]].precede(tasks.back());
        }
    }

    ~racer() {
        bench_parts_fini(&parts);
    }

    void run(size_t times) {
        executor.run_n(flow, times).wait();
    }

    void run_each(size_t times) {
        for (; times > 0; times--) executor.run(flow).wait();
    }

    bool check() {
        bench_parts_clear(&parts);
        run(1);
        return bench_parts_right(&parts);
    }

  private:
    bench_parts parts{};
    tf::Executor executor;
    tf::Taskflow flow;
};

void *make(const bench_job *job, const char **why) {
    *why = tasks_refuse(job);
    return *why ? nullptr : new racer(job);
}

void run(void *self, size_t times) {
    static_cast<racer *>(self)->run(times);
}

void run_each(void *self, size_t times) {
    static_cast<racer *>(self)->run_each(times);
}

bool check(void *self) {
    return static_cast<racer *>(self)->check();
}

void drop(void *self) {
    delete static_cast<racer *>(self);
}

} // namespace

extern "C" const bench_peer *bench_peer_open(const char **) {
    static const bench_racer racers[] = {{"taskflow", make, run, check, nullptr, drop},
                                         {"taskflow-run", make, run_each, check, nullptr, drop}};
    static const std::string version = std::string("Taskflow ") + tf::version();
    static const bench_peer peer = {version.c_str(), racers, 2, false};
    return &peer;
}
