/* SPDX-License-Identifier: MIT
 *
 * ONNX Runtime, from the library inside of its Python wheel, which has no header: so the calls are
 * taken by their place in its table of functions. Those below belong to version 1 of the table,
 * which never changes ("End of Version 1 - DO NOT MODIFY ABOVE"). Kernels are the bench's own, by
 * the interface for custom ops. Its graphs carry tensors alone. One worker: the sequential
 * executor; two: the parallel one with two threads.
 */
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../speed/parts.h"
#include "proto.h"

/* ---- the table ----------------------------------------------------------- */

struct api;
struct api_base {
    const void *const *(*table)(uint32_t version);
    const char *(*version)();
};
extern "C" const api_base *OrtGetApiBase();

namespace {

using status = void *; /* nullptr: fine */

enum call {
    GET_MESSAGE = 2,
    NEW_ENV = 3,
    NEW_SESSION_OF_BYTES = 8,
    RUN = 9,
    NEW_OPTIONS = 10,
    SET_EXECUTION = 13,
    SET_OPTIMISATION = 23,
    SET_THREADS_IN_NODE = 24,
    SET_THREADS_OF_NODES = 25,
    NEW_DOMAIN = 26,
    ADD_OP = 27,
    ADD_DOMAIN = 28,
    NEW_TENSOR_ON = 49,
    DATA = 51,
    NEW_CPU_MEMORY = 69,
    INT_ATTRIBUTE = 86,
    INPUT = 90,
    OUTPUT = 91,
    FREE_MEMORY = 94,
    FREE_SESSION = 95,
    FREE_VALUE = 96,
    FREE_OPTIONS = 100,
    FREE_DOMAIN = 101
};

const void *const *table;

/* Calls by number: the types are those of the arguments, so these must have the right ones. */
template <typename Result = status, typename... Args> Result call_of(call which, Args... args) {
    Result (*f)(Args...);
    memcpy(&f, &table[which], sizeof f);
    return f(args...);
}

template <typename... Args> void need(call which, Args... args) {
    status s = call_of(which, args...);
    if (!s) return;
    fprintf(stderr, "onnxruntime: %s\n", call_of<const char *>(GET_MESSAGE, (const void *)s));
    exit(1);
}

/* ---- the ops: "Most" with the number of inputs behind it ------------------ */

constexpr int FLOAT = 1;

/* OrtCustomOp as of version 13; what later versions added stays nullptr. */
struct op_table {
    uint32_t version;
    void *(*create)(const op_table *, const void *, const void *info);
    const char *(*name)(const op_table *);
    const char *(*provider)(const op_table *);
    int (*input_type)(const op_table *, size_t);
    size_t (*inputs)(const op_table *);
    int (*output_type)(const op_table *, size_t);
    size_t (*outputs)(const op_table *);
    void (*compute)(void *, void *context);
    void (*destroy)(void *);
    int (*input_kind)(const op_table *, size_t);
    int (*output_kind)(const op_table *, size_t);
    int (*input_memory)(const op_table *, size_t);
    void *later[16];
};

struct most_op : op_table {
    size_t n;
    std::string op_name;
};

struct most_kernel {
    const bench_part *part; /* nullptr: the one that waits for all */
    size_t n;
};

void *most_create(const op_table *op, const void *, const void *info) {
    int64_t address = 0;
    need(INT_ATTRIBUTE, info, (const char *)"part", &address);
    return new most_kernel{reinterpret_cast<const bench_part *>((uintptr_t)address),
                           static_cast<const most_op *>(op)->n};
}

float value_of(const void *value) {
    void *data = nullptr;
    need(DATA, const_cast<void *>(value), &data);
    return *static_cast<float *>(data);
}

void most_compute(void *self, void *context) {
    const most_kernel *k = static_cast<most_kernel *>(self);
    const void *input = nullptr;
    void *output = nullptr, *data = nullptr;
    float most = 0;
    for (size_t i = 0; i < k->n; i++) {
        need(INPUT, (const void *)context, i, &input);
        float x = value_of(input);
        most = i == 0 ? x : std::max(most, x);
    }
    need(OUTPUT, context, (size_t)0, (const int64_t *)nullptr, (size_t)0, &output);
    need(DATA, output, &data);
    *static_cast<float *>(data) = most + 1;
    if (k->part && k->part->spins) bench_spin(k->part->spins);
}

void most_destroy(void *self) {
    delete static_cast<most_kernel *>(self);
}

std::unique_ptr<most_op> new_most(size_t n) {
    auto op = std::make_unique<most_op>();
    op->n = n;
    op->op_name = "Most" + std::to_string(n);
    op->version = 13;
    op->create = most_create;
    op->name = [](const op_table *o) { return static_cast<const most_op *>(o)->op_name.c_str(); };
    op->provider = [](const op_table *) -> const char * { return nullptr; };
    op->input_type = [](const op_table *, size_t) { return FLOAT; };
    op->inputs = [](const op_table *o) { return static_cast<const most_op *>(o)->n; };
    op->output_type = [](const op_table *, size_t) { return FLOAT; };
    op->outputs = [](const op_table *) { return (size_t)1; };
    op->compute = most_compute;
    op->destroy = most_destroy;
    op->input_kind = [](const op_table *, size_t) { return 0; }; /* required */
    op->output_kind = op->input_kind;
    op->input_memory = [](const op_table *, size_t) { return 0; }; /* the default */
    return op;
}

/* ---- a model and its session --------------------------------------------- */

void *env() {
    static void *one = nullptr;
    if (!one) need(NEW_ENV, 3 /* errors */, (const char *)"bench", &one);
    return one;
}

class racer {
  public:
    explicit racer(const bench_job *job_of) : job(job_of) {
        if (!bench_parts_init(&parts, job)) throw std::bad_alloc();
        need(NEW_CPU_MEMORY, 1, 0, &memory);
        std::string model = model_of_graph();
        open_session(model);
        for (const std::string &s : input_texts) input_names.push_back(s.c_str());
        for (const std::string &s : output_texts) output_names.push_back(s.c_str());
        fed_value = 0;
        for (size_t i = 0; i < input_names.size(); i++) inputs.push_back(tensor_on(&fed_value));
        outputs.resize(output_names.size());
    }

    ~racer() {
        for (void *v : inputs) call_of<void>(FREE_VALUE, v);
        call_of<void>(FREE_SESSION, session);
        call_of<void>(FREE_OPTIONS, options);
        call_of<void>(FREE_DOMAIN, domain);
        call_of<void>(FREE_MEMORY, memory);
        bench_parts_fini(&parts);
    }

    void run(size_t times) {
        for (; times > 0; times--) {
            step();
            drop_outputs();
        }
    }

    bool check() {
        step();
        bool right = true;
        for (size_t i = 0; i < outputs.size(); i++)
            right = right && value_of(outputs[i]) == expected[i];
        drop_outputs();
        return right;
    }

  private:
    void step() {
        need(RUN, session, (const void *)nullptr, input_names.data(),
             (const void *const *)inputs.data(), inputs.size(), output_names.data(), outputs.size(),
             outputs.data());
    }

    void drop_outputs() {
        for (void *&v : outputs) {
            call_of<void>(FREE_VALUE, v);
            v = nullptr;
        }
    }

    void *tensor_on(float *value) {
        void *tensor = nullptr;
        need(NEW_TENSOR_ON, (const void *)memory, (void *)value, sizeof *value,
             (const int64_t *)nullptr, (size_t)0, FLOAT, &tensor);
        return tensor;
    }

    std::string node(int32_t i, const std::vector<std::string> &from) {
        std::string text, name = "n" + std::to_string(i);
        uintptr_t part = i < job->graph->n ? reinterpret_cast<uintptr_t>(&parts.parts[i]) : 0;
        for (const std::string &f : from) text += proto::bytes(1, f);
        auto &op = ops[from.size()];
        if (!op) op = new_most(from.size());
        std::string attribute =
            proto::bytes(1, "part") + proto::number(3, (int64_t)part) + proto::number(20, 2);
        return text + proto::bytes(2, name) + proto::bytes(3, name) + proto::bytes(4, op->op_name) +
               proto::bytes(5, attribute) + proto::bytes(7, "bench");
    }

    std::string input_of(int32_t i) {
        if (job->feeds || input_texts.empty()) input_texts.push_back("x" + std::to_string(i));
        return input_texts.back();
    }

    /* What nobody reads is fetched, or goes into one node more, which is. */
    std::string model_of_graph() {
        const bench_graph *g = job->graph;
        std::string graph;
        std::vector<std::string> sinks;
        float most = 0;
        for (int32_t i = 0; i < g->n; i++) {
            std::vector<std::string> from;
            for (int32_t e = g->first_pred[i]; e < g->first_pred[i + 1]; e++)
                from.push_back("n" + std::to_string(g->preds[e]));
            if (from.empty()) from.push_back(input_of(i));
            graph += proto::bytes(1, node(i, from));
            if (!bench_is_sink(g, i)) continue;
            sinks.push_back("n" + std::to_string(i));
            expected.push_back(bench_expected(job, i));
            most = std::max(most, expected.back());
        }
        output_texts = sinks;
        if (!job->feeds && sinks.size() > 1) {
            graph += proto::bytes(1, node(g->n, sinks));
            output_texts = {"n" + std::to_string(g->n)};
            expected = {most + 1};
        }
        graph += proto::bytes(2, "bench");
        for (const std::string &s : input_texts) graph += proto::bytes(11, scalar(s));
        for (const std::string &s : output_texts) graph += proto::bytes(12, scalar(s));
        return proto::number(1, 8) + opset("", 17) + opset("bench", 1) + proto::bytes(7, graph);
    }

    static std::string scalar(const std::string &name) {
        std::string tensor = proto::number(1, FLOAT) + proto::bytes(2, "");
        return proto::bytes(1, name) + proto::bytes(2, proto::bytes(1, tensor));
    }

    static std::string opset(const std::string &of, int64_t version) {
        return proto::bytes(8, proto::bytes(1, of) + proto::number(2, version));
    }

    void open_session(const std::string &model) {
        need(NEW_OPTIONS, &options);
        need(NEW_DOMAIN, (const char *)"bench", &domain);
        for (auto &entry : ops) need(ADD_OP, domain, (const void *)entry.second.get());
        need(ADD_DOMAIN, options, domain);
        need(SET_OPTIMISATION, options, 0);
        need(SET_THREADS_IN_NODE, options, 1);
        need(SET_EXECUTION, options, job->workers > 1 ? 1 : 0);
        need(SET_THREADS_OF_NODES, options, job->workers);
        need(NEW_SESSION_OF_BYTES, (const void *)env(), (const void *)model.data(), model.size(),
             (const void *)options, &session);
    }

    const bench_job *job;
    bench_parts parts{};
    void *options = nullptr, *domain = nullptr, *session = nullptr, *memory = nullptr;
    float fed_value = 0;
    std::map<size_t, std::unique_ptr<most_op>> ops; /* by their number of inputs */
    std::vector<std::string> input_texts, output_texts;
    std::vector<const char *> input_names, output_names;
    std::vector<void *> inputs, outputs;
    std::vector<float> expected;
};

void *make(const bench_job *job, const char **why) {
    *why = !job->tensors      ? "has no control edges"
           : job->devices > 1 ? "has no devices to send between"
                              : nullptr;
    return *why ? nullptr : new racer(job);
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

extern "C" const bench_peer *bench_peer_open(const char **why) {
    static const bench_racer r = {"onnxruntime", make, run, check, nullptr, drop};
    static const std::string version = std::string("ONNX Runtime ") + OrtGetApiBase()->version();
    static const bench_peer peer = {version.c_str(), &r, 1, false};
    table = OrtGetApiBase()->table(13);
    *why = "has no version 13 of its table";
    return table ? &peer : nullptr;
}
