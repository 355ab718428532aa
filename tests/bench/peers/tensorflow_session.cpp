/* SPDX-License-Identifier: MIT
 *
 * tensorflow_session serve            says where it is, and serves as the worker
 * tensorflow_session measure ADDRESS  is its master: reads lines "small N", "step N" and "large N",
 *                                     answers each with the seconds that one took
 *
 * TensorFlow's own distributed session, for the bench `remote`: two of its gRPC servers, and by its
 * C API the graph that tests/bench/remote/cluster.c makes, on the same tasks. The session is that
 * of the master's server, in the master's process, as ours is: a step begins without a call of
 * gRPC. Its graph optimisers are off, so that what was given is what runs.
 */
#include <tensorflow/c/c_api.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "proto.h"

namespace {

enum { HOPS = 100, SMALL = 64, LARGE = 64 << 20 };

void need(bool holds, const char *what, const char *why) {
    if (holds) return;
    fprintf(stderr, "tensorflow: %s: %s\n", what, why);
    exit(1);
}

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- two servers ----------------------------------------------------------- */

/* Where nobody listens: both servers must know both addresses before they are there. Its port is
 * below those that the kernel gives to whoever connects. */
std::string free_address() {
    static int port = 20000 + getpid() % 5000 * 2;
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (bool is_free = false; !is_free; port++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        need(s >= 0 && port < 1 << 16, "a port", "none is free");
        at.sin_port = htons((uint16_t)port);
        is_free = bind(s, reinterpret_cast<sockaddr *>(&at), sizeof at) == 0;
        close(s);
    }
    return "127.0.0.1:" + std::to_string(port - 1);
}

/* ConfigProto: no optimiser. */
std::string config() {
    using proto::bytes, proto::number;
    std::string level = number(3, -1) /* L0 */ + number(5, -1) /* no JIT */;
    std::string rewrite = number(19, 1); /* disable_meta_optimizer */
    return bytes(10, bytes(3, level) + bytes(10, rewrite));
}

/* JobDef, of one task. */
std::string job(const char *name, const std::string &address) {
    using proto::bytes, proto::number;
    return bytes(1, bytes(1, name) + bytes(2, number(1, 0) + bytes(2, address)));
}

TF_Server *start(const char *name, const std::string &worker, const std::string &master) {
    using proto::bytes, proto::number;
    std::string cluster = job("worker", worker) + job("master", master);
    std::string def =
        bytes(1, cluster) + bytes(2, name) + number(3, 0) + bytes(4, config()) + bytes(5, "grpc");
    TF_Status *status = TF_NewStatus();
    TF_Server *server = TF_NewServer(def.data(), def.size(), status);
    need(TF_GetCode(status) == TF_OK, "a server", TF_Message(status));
    TF_ServerStart(server, status);
    need(TF_GetCode(status) == TF_OK, "a server", TF_Message(status));
    TF_DeleteStatus(status);
    return server;
}

void serve() {
    std::string worker = free_address(), master = free_address();
    start("worker", worker, master);
    printf("%s,%s\n", worker.c_str(), master.c_str());
    fflush(stdout);
    for (;;) pause();
}

/* ---- the graph --------------------------------------------------------------- */

const char *const on_worker = "/job:worker/task:0/device:CPU:0";
const char *const on_master = "/job:master/task:0/device:CPU:0";

class client {
  public:
    explicit client(TF_Server *server) : status(TF_NewStatus()), graph(TF_NewGraph()) {
        TF_Output x = variable("x", on_master, SMALL / 4);
        many = there_and_back(x, HOPS + 1);
        one = there_and_back(x, 1);
        fetch = variable("v", on_worker, LARGE / 4);
        open_session(server);
        for (TF_Operation *set : first) run(nullptr, set);
    }

    /* A hop, as in cluster.c. */
    double small(int times) {
        double long_ones = 0, short_ones = 0;
        int steps = times / HOPS + 1;
        for (int i = 0; i < steps; i++) long_ones += timed(many), short_ones += timed(one);
        return (long_ones - short_ones) / steps / (2 * HOPS);
    }

    double step(int times) {
        return mean(one, times);
    }

    double large(int times) {
        return mean(fetch, times);
    }

  private:
    void check(const char *what) {
        need(TF_GetCode(status) == TF_OK, what, TF_Message(status));
    }

    TF_OperationDescription *begin(const char *op, const char *device) {
        std::string name = "n" + std::to_string(n++);
        TF_OperationDescription *d = TF_NewOperation(graph, op, name.c_str());
        TF_SetDevice(d, device);
        return d;
    }

    TF_Operation *finish(TF_OperationDescription *d) {
        TF_Operation *op = TF_FinishOperation(d, status);
        check("a node");
        return op;
    }

    TF_Output unary(const char *op, TF_Output x, const char *device) {
        TF_OperationDescription *d = begin(op, device);
        TF_AddInput(d, x);
        return {finish(d), 0};
    }

    TF_Output constant(TF_DataType type, const std::vector<int64_t> &shape, double value,
                       const char *device) {
        size_t bytes = TF_DataTypeSize(type);
        TF_Tensor *t = TF_AllocateTensor(type, shape.data(), (int)shape.size(), bytes);
        if (type == TF_FLOAT)
            *static_cast<float *>(TF_TensorData(t)) = (float)value;
        else
            *static_cast<int32_t *>(TF_TensorData(t)) = (int32_t)value;
        TF_OperationDescription *d = begin("Const", device);
        TF_SetAttrType(d, "dtype", type);
        TF_SetAttrTensor(d, "value", t, status);
        check("a constant");
        TF_DeleteTensor(t);
        return {finish(d), 0};
    }

    /* A variable of so many 7, as it is read. */
    TF_Output variable(const char *name, const char *device, int64_t elements) {
        TF_OperationDescription *d = begin("VarHandleOp", device);
        TF_SetAttrType(d, "dtype", TF_FLOAT);
        TF_SetAttrShape(d, "shape", &elements, 1);
        TF_SetAttrString(d, "shared_name", name, strlen(name));
        TF_Output handle = {finish(d), 0};
        d = begin("Fill", device);
        TF_AddInput(d, constant(TF_INT32, {1}, (double)elements, device));
        TF_AddInput(d, constant(TF_FLOAT, {}, 7, device));
        TF_Output fill = {finish(d), 0};
        d = begin("AssignVariableOp", device);
        TF_AddInput(d, handle);
        TF_AddInput(d, fill);
        TF_SetAttrType(d, "dtype", TF_FLOAT);
        first.push_back(finish(d));
        d = begin("ReadVariableOp", device);
        TF_AddInput(d, handle);
        TF_SetAttrType(d, "dtype", TF_FLOAT);
        return {finish(d), 0};
    }

    TF_Output there_and_back(TF_Output x, int times) {
        for (int i = 0; i < times; i++) x = unary("Neg", unary("Neg", x, on_worker), on_master);
        return x;
    }

    void open_session(TF_Server *server) {
        std::string c = config();
        TF_SessionOptions *o = TF_NewSessionOptions();
        TF_SetTarget(o, TF_ServerTarget(server));
        TF_SetConfig(o, c.data(), c.size(), status);
        check("the configuration");
        session = TF_NewSession(graph, o, status);
        check("a session");
        TF_DeleteSessionOptions(o);
    }

    TF_Tensor *run(const TF_Output *fetched, const TF_Operation *target) {
        TF_Tensor *out = nullptr;
        TF_SessionRun(session, nullptr, nullptr, nullptr, 0, fetched, &out, fetched ? 1 : 0,
                      &target, target ? 1 : 0, nullptr, status);
        check("a step");
        return out;
    }

    double timed(TF_Output fetched) {
        double since = now();
        TF_Tensor *out = run(&fetched, nullptr);
        since = now() - since;
        size_t elements = TF_TensorByteSize(out) / sizeof(float);
        const float *all = static_cast<const float *>(TF_TensorData(out));
        need(all[0] == 7 && all[elements - 1] == 7, "a step", "its value is wrong");
        TF_DeleteTensor(out);
        return since;
    }

    double mean(TF_Output fetched, int times) {
        double all = 0;
        for (int i = 0; i < times; i++) all += timed(fetched);
        return all / times;
    }

    TF_Status *status;
    TF_Graph *graph;
    TF_Session *session = nullptr;
    int n = 0;
    std::vector<TF_Operation *> first; /* what gives variables their values */
    TF_Output many, one, fetch;
};

void measure(const std::string &address) {
    size_t comma = address.find(',');
    need(comma != std::string::npos, "the address", "it is not two");
    client c(start("master", address.substr(0, comma), address.substr(comma + 1)));
    char what[8];
    for (int times; scanf("%7s %d", what, &times) == 2;) {
        double each = what[0] == 'l'   ? c.large(times)
                      : what[1] == 't' ? c.step(times)
                                       : c.small(times);
        printf("%.9f\n", each);
        fflush(stdout);
    }
    _exit(0); /* a server cannot be ended in order */
}

} // namespace

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "measure") == 0) measure(argv[2]);
    need(argc == 2 && strcmp(argv[1], "serve") == 0, "usage", "serve, or measure ADDRESS");
    serve();
}
