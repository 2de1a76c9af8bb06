#!/usr/bin/env python3
"""Why there is no sotalign.jax: callbacks of JAX hang, with nothing of ours in them.

  taskset -c 0 timeout 60 python bench/python/jax_callback.py STEPS [sync]

On one core, one step ends, two do not; with "sync", which turns asynchronous dispatch off, all do.
"""
import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_cpu_enable_async_dispatch", sys.argv[2:] != ["sync"])


def on_host(x):
    result = jax.ShapeDtypeStruct((1, 1), jnp.float32)
    return jax.pure_callback(lambda a: np.asarray(a).sum(keepdims=True), result, x)


@jax.jit
def step(k):
    product = k @ k.T / len(k)
    return sum(on_host(jnp.sin(i * product)) for i in range(1, 5))


K = jax.random.uniform(jax.random.key(0), (1500, 1500))
for _ in range(int(sys.argv[1])):
    K = K - step(K)
print("ended, finite:", bool(np.isfinite(np.asarray(K)).all()))
