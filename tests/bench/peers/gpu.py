# SPDX-License-Identifier: MIT
"""What PyTorch and JAX reach for the copies of tests/bench/gpu.c: GB/s, medians of 9."""
import importlib.util
import time

import numpy

ROUNDS = 9


def median(call, n, size):
    times = []
    for _ in range(ROUNDS + 2):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return n * size / sorted(times[2:])[ROUNDS // 2] / 1e9


def with_torch(n, size):
    import torch

    pageable = [torch.ones(size // 4) for _ in range(n)]
    pinned = [t.pin_memory() for t in pageable]
    there = [t.cuda() for t in pageable]
    back = [torch.empty(size // 4).pin_memory() for _ in range(n)]

    def all_of(copy):
        def call():
            kept = [copy(i) for i in range(n)]
            torch.cuda.synchronize()
            return kept

        return median(call, n, size)

    return {
        "pageable in": all_of(lambda i: pageable[i].to("cuda")),
        "pageable out": all_of(lambda i: there[i].cpu()),
        "pinned in": all_of(lambda i: there[i].copy_(pinned[i], non_blocking=True)),
        "pinned out": all_of(lambda i: back[i].copy_(there[i], non_blocking=True)),
    }


def with_jax(n, size):
    import jax

    host = [numpy.ones(size // 4, dtype=numpy.float32) for _ in range(n)]
    # an array that was fetched before is given again: each round has its own
    rounds = [[jax.device_put(h) for h in host] for _ in range(ROUNDS + 2)]

    def into():
        for t in [jax.device_put(h) for h in host]:
            t.block_until_ready()

    def out():
        for t in rounds.pop():
            numpy.array(t, copy=True)

    return {"pageable in": median(into, n, size), "pageable out": median(out, n, size)}


for module, measure in (("torch", with_torch), ("jax", with_jax)):
    if importlib.util.find_spec(module) is None:
        print(f"{module}: is not there")
        continue
    for n, size in ((64, 1 << 20), (32, 16 << 20), (2, 256 << 20)):
        rates = measure(n, size)
        print(f"{module} {n} x {size >> 10} KiB:", ", ".join(f"{k} {v:.2f}" for k, v in rates.items()))
