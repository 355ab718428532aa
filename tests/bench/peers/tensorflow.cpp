/* SPDX-License-Identifier: MIT
 *
 * TensorFlow's own runtime: graph and session by its C API, ops of the bench's own with kernels in
 * C++, as TensorFlow's custom ops are written. Devices are CPU devices of one process, between
 * which its partitioner puts Send and Recv. Its graph optimisers are off, so that what was given is
 * what runs. One worker: the caller's thread runs the step; two: a pool of two, which the caller
 * waits for.
 */
#include <tensorflow/c/c_api.h>
#include <tensorflow/core/framework/common_shape_fns.h>
#include <tensorflow/core/framework/op.h>
#include <tensorflow/core/framework/op_kernel.h>
#include <tensorflow/core/framework/shape_inference.h>

#include <cstdio>
#include <string>
#include <vector>

#include "../speed/parts.h"
#include "proto.h"

namespace tf = tensorflow;

/* ---- the ops ------------------------------------------------------------- */

/* `part` is the address of the node's bench_part. */
REGISTER_OP("BenchTick")
    .Attr("part: int")
    .SetIsStateful()
    .SetShapeFn(tf::shape_inference::NoOutputs);
REGISTER_OP("BenchOne")
    .Attr("part: int")
    .Output("y: float")
    .SetIsStateful()
    .SetShapeFn(tf::shape_inference::ScalarShape);
REGISTER_OP("BenchMost")
    .Attr("n: int >= 1")
    .Attr("part: int")
    .Attr("last: bool")
    .Input("xs: n * float")
    .Output("y: float")
    .SetShapeFn(tf::shape_inference::ScalarShape);

namespace {

class part_kernel : public tf::OpKernel {
  public:
    explicit part_kernel(tf::OpKernelConstruction *c) : OpKernel(c) {
        tf::int64 address = 0;
        OP_REQUIRES_OK(c, c->GetAttr("part", &address));
        part = reinterpret_cast<bench_part *>(static_cast<uintptr_t>(address));
    }

  protected:
    bench_part *part;
};

class tick_kernel : public part_kernel {
  public:
    using part_kernel::part_kernel;
    void Compute(tf::OpKernelContext *) override {
        bench_do_control(part);
    }
};

class one_kernel : public part_kernel {
  public:
    using part_kernel::part_kernel;
    void Compute(tf::OpKernelContext *c) override {
        tf::Tensor *y = nullptr;
        OP_REQUIRES_OK(c, c->allocate_output(0, tf::TensorShape({}), &y));
        y->scalar<float>()() = part->to->value = 1;
        if (part->spins) bench_spin(part->spins);
    }
};

class most_kernel : public part_kernel {
  public:
    explicit most_kernel(tf::OpKernelConstruction *c) : part_kernel(c) {
        OP_REQUIRES_OK(c, c->GetAttr("last", &last));
    }

    void Compute(tf::OpKernelContext *c) override {
        float most = c->input(0).scalar<float>()();
        for (int i = 1; i < c->num_inputs(); i++)
            most = std::max(most, c->input(i).scalar<float>()());
        tf::Tensor *y = nullptr;
        OP_REQUIRES_OK(c, c->forward_input_or_allocate_output({0}, 0, tf::TensorShape({}), &y));
        y->scalar<float>()() = most + 1;
        if (last) part->to->value = most + 1;
        if (part->spins) bench_spin(part->spins);
    }

  private:
    bool last = false;
};

REGISTER_KERNEL_BUILDER(Name("BenchTick").Device(tf::DEVICE_CPU), tick_kernel);
REGISTER_KERNEL_BUILDER(Name("BenchOne").Device(tf::DEVICE_CPU), one_kernel);
REGISTER_KERNEL_BUILDER(Name("BenchMost").Device(tf::DEVICE_CPU), most_kernel);

/* ---- what a session is told ---------------------------------------------- */

/* ConfigProto: the devices, the threads, and no optimiser. */
std::string config_of(const bench_job *job) {
    using proto::bytes, proto::number;
    std::string devices = bytes(1, "CPU") + number(2, job->devices);
    std::string level = number(3, -1) /* L0 */ + number(5, -1) /* no JIT */;
    std::string rewrite = number(19, 1); /* disable_meta_optimizer */
    return bytes(1, devices) + number(2, 1) /* intra_op */ + number(5, job->workers) +
           number(9, 1) /* use_per_session_threads */ +
           bytes(10, bytes(3, level) + bytes(10, rewrite));
}

/* RunOptions: on the caller's thread. */
std::string run_options_of(const bench_job *job) {
    return job->workers == 1 ? proto::number(3, -1) : std::string();
}

/* ---- a graph and its session --------------------------------------------- */

class racer {
  public:
    explicit racer(const bench_job *job_of) : job(job_of) {
        if (!bench_parts_init(&parts, job)) throw std::bad_alloc();
        status = TF_NewStatus();
        graph = TF_NewGraph();
        add_nodes();
        open_session();
        std::string options = run_options_of(job);
        run_options = TF_NewBufferFromString(options.data(), options.size());
    }

    ~racer() {
        TF_CloseSession(session, status);
        TF_DeleteSession(session, status);
        TF_DeleteGraph(graph);
        for (TF_Tensor *t : fed) TF_DeleteTensor(t);
        TF_DeleteBuffer(run_options);
        TF_DeleteStatus(status);
        bench_parts_fini(&parts);
    }

    void run(size_t times) {
        for (; times > 0; times--) {
            step();
            drop_results();
        }
    }

    bool check() {
        bench_parts_clear(&parts);
        step();
        bool right = job->tensors ? sinks_right() : bench_parts_right(&parts);
        drop_results();
        return right;
    }

  private:
    void need(const char *what) {
        if (TF_GetCode(status) == TF_OK) return;
        fprintf(stderr, "tensorflow: %s: %s\n", what, TF_Message(status));
        exit(1);
    }

    TF_OperationDescription *begin(const char *op, int32_t i, const char *kind) {
        std::string name = kind + std::to_string(i);
        TF_OperationDescription *d = TF_NewOperation(graph, op, name.c_str());
        int device = job->device_of && i < job->graph->n ? job->device_of[i] : 0;
        TF_SetDevice(d, ("/device:CPU:" + std::to_string(device)).c_str());
        return d;
    }

    TF_Operation *finish(TF_OperationDescription *d) {
        TF_Operation *op = TF_FinishOperation(d, status);
        need("a node");
        return op;
    }

    void set_part(TF_OperationDescription *d, int32_t i) {
        TF_SetAttrInt(d, "part", (int64_t) reinterpret_cast<uintptr_t>(&parts.parts[i]));
    }

    TF_Operation *add_tick(int32_t i) {
        const bench_graph *g = job->graph;
        TF_OperationDescription *d = begin("BenchTick", i, "n");
        set_part(d, i);
        for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
            TF_AddControlInput(d, nodes[(size_t)g->preds[e]]);
        return finish(d);
    }

    TF_Output add_feed(int32_t i) {
        TF_OperationDescription *d = begin("Placeholder", i, "feed");
        TF_SetAttrType(d, "dtype", TF_FLOAT);
        TF_SetAttrShape(d, "shape", nullptr, 0);
        feeds.push_back({finish(d), 0});
        TF_Tensor *t = TF_AllocateTensor(TF_FLOAT, nullptr, 0, sizeof(float));
        *static_cast<float *>(TF_TensorData(t)) = 0;
        fed.push_back(t);
        return feeds.back();
    }

    TF_Operation *add_most(int32_t i) {
        const bench_graph *g = job->graph;
        std::vector<TF_Output> inputs;
        for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
            inputs.push_back({nodes[(size_t)g->preds[e]], 0});
        if (inputs.empty() && job->feeds) inputs.push_back(add_feed(i));
        TF_OperationDescription *d = begin(inputs.empty() ? "BenchOne" : "BenchMost", i, "n");
        set_part(d, i);
        if (!inputs.empty()) {
            TF_AddInputList(d, inputs.data(), (int)inputs.size());
            TF_SetAttrBool(d, "last", bench_is_sink(g, i) && !job->feeds);
        }
        return finish(d);
    }

    /* What nobody reads is fetched, or waited for by one node that is run for its sake. */
    void add_nodes() {
        const bench_graph *g = job->graph;
        for (int32_t i = 0; i < g->n; i++) {
            nodes.push_back(job->tensors ? add_most(i) : add_tick(i));
            if (job->feeds && bench_is_sink(g, i)) fetches.push_back({nodes.back(), 0});
        }
        results.resize(fetches.size());
        if (job->feeds) return;
        TF_OperationDescription *d = begin("NoOp", g->n, "all");
        for (int32_t i = 0; i < g->n; i++)
            if (bench_is_sink(g, i)) TF_AddControlInput(d, nodes[(size_t)i]);
        target = finish(d);
    }

    void open_session() {
        TF_SessionOptions *o = TF_NewSessionOptions();
        std::string config = config_of(job);
        TF_SetConfig(o, config.data(), config.size(), status);
        need("the configuration");
        session = TF_NewSession(graph, o, status);
        need("a session");
        TF_DeleteSessionOptions(o);
    }

    void step() {
        TF_SessionRun(session, run_options, feeds.data(), fed.data(), (int)feeds.size(),
                      fetches.data(), results.data(), (int)fetches.size(), &target, target ? 1 : 0,
                      nullptr, status);
        need("a step");
    }

    bool sinks_right() const {
        size_t at = 0;
        for (int32_t i = 0; i < job->graph->n; i++) {
            if (!bench_is_sink(job->graph, i)) continue;
            float is = job->feeds ? *static_cast<float *>(TF_TensorData(results[at++]))
                                  : parts.cells[i].value;
            if (is != bench_expected(job, i)) return false;
        }
        return true;
    }

    void drop_results() {
        for (TF_Tensor *&t : results) {
            TF_DeleteTensor(t);
            t = nullptr;
        }
    }

    const bench_job *job;
    bench_parts parts{};
    TF_Status *status;
    TF_Graph *graph;
    TF_Session *session = nullptr;
    TF_Buffer *run_options;
    TF_Operation *target = nullptr;
    std::vector<TF_Operation *> nodes;
    std::vector<TF_Output> feeds, fetches;
    std::vector<TF_Tensor *> fed, results;
};

void *make(const bench_job *job, const char **) {
    return new racer(job);
}

void run(void *self, size_t times) {
    static_cast<racer *>(self)->run(times);
}

bool check(void *self) {
    return static_cast<racer *>(self)->check();
}

void drop(void *self) {
    delete static_cast<racer *>(self);
}

} // namespace

extern "C" const bench_peer *bench_peer_open(const char **) {
    static const bench_racer r = {"tensorflow", make, run, check, nullptr, drop};
    static const std::string version = std::string("TensorFlow ") + TF_Version();
    static const bench_peer peer = {version.c_str(), &r, 1, true};
    return &peer;
}
