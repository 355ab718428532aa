/* SPDX-License-Identifier: MIT
 *
 * oneTBB's flow graph: a continue_node per node. `lightweight` runs a node inside of the one that
 * makes it ready, without a task; a chain of ten thousand would recurse as deep, and is left out.
 */
#include <tbb/flow_graph.h>
#include <tbb/task_arena.h>
#include <tbb/version.h>

#include <memory>
#include <vector>

#include "tasks.h"

namespace {

namespace flow = tbb::flow;

template <typename Policy> class graph_of {
  public:
    explicit graph_of(const bench_job *job) : arena(job->workers) {
        if (!bench_parts_init(&parts, job)) throw std::bad_alloc();
        arena.execute([&] { graph.reset(new flow::graph); });
        add_nodes(job->graph);
    }

    ~graph_of() {
        bench_parts_fini(&parts);
    }

    void run(size_t times) {
        arena.execute([&] {
            for (; times > 0; times--) {
                for (node *source : sources) source->try_put(flow::continue_msg());
                graph->wait_for_all();
            }
        });
    }

    bool check() {
        bench_parts_clear(&parts);
        run(1);
        return bench_parts_right(&parts);
    }

  private:
    using node = flow::continue_node<flow::continue_msg, Policy>;

    void add_nodes(const bench_graph *g) {
        for (int32_t i = 0; i < g->n; i++) {
            nodes.emplace_back(new node(*graph, [this, i](const flow::continue_msg &m) {
                bench_do(&parts, i);
                return m;
            }));
            if (bench_is_source(g, i)) sources.push_back(nodes.back().get());
            for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
                flow::make_edge(*nodes[(size_t)g->preds[e]], *nodes.back());
        }
    }

    bench_parts parts{};
    tbb::task_arena arena; /* so many threads, the caller among them */
    std::unique_ptr<flow::graph> graph;
    std::vector<std::unique_ptr<node>> nodes;
    std::vector<node *> sources;
};

using as_tasks = graph_of<flow::queueing>;
using nested = graph_of<flow::lightweight>;

template <typename Graph> void *make(const bench_job *job, const char **why) {
    *why = tasks_refuse(job);
    return *why ? nullptr : new Graph(job);
}

void *make_nested(const bench_job *job, const char **why) {
    constexpr int32_t deep = 1000;
    for (int32_t i = 0; i < job->graph->n; i++)
        if (job->graph->by_most[i] > deep) {
            *why = "would recurse too deep";
            return nullptr;
        }
    return make<nested>(job, why);
}

template <typename Graph> void run(void *self, size_t times) {
    static_cast<Graph *>(self)->run(times);
}

template <typename Graph> bool check(void *self) {
    return static_cast<Graph *>(self)->check();
}

template <typename Graph> void drop(void *self) {
    delete static_cast<Graph *>(self);
}

const bench_racer racers[] = {
    {"tbb", make<as_tasks>, run<as_tasks>, check<as_tasks>, nullptr, drop<as_tasks>},
    {"tbb-lightweight", make_nested, run<nested>, check<nested>, nullptr, drop<nested>},
};

const bench_peer peer = {"oneTBB " TBB_VERSION_STRING ", flow graph", racers, 2, false};

} // namespace

extern "C" const bench_peer *bench_peer_open(const char **why) {
    (void)why;
    return &peer;
}
