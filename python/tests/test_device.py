"""Arrays that are on a CUDA device already, as a framework hands them over: an emulated device, through DLPack."""

import os

import numpy as np
import pytest

import sotalign
from sotalign import _core
from sotalign._context import context_for

pytestmark = pytest.mark.skipif(
    os.environ.get("SOTALIGN_TEST_DEVICE") != "cuda", reason="SOTALIGN_TEST_DEVICE is not cuda"
)


class Space:
    """An array library of device matrices."""

    float32 = np.dtype(np.float32)

    @staticmethod
    def empty(shape, dtype, device):
        return DeviceArray(np.zeros(shape, dtype))


class DeviceArray:
    device = "cuda:0"

    def __init__(self, host):
        self._memory = _core.device_copy(context_for("cuda:0"), np.ascontiguousarray(host, np.float32))
        self.shape, self.dtype, self.ndim = host.shape, np.dtype(np.float32), 2

    def __dlpack__(self, **options):
        return self._memory.__dlpack__()

    def __dlpack_device__(self):
        return self._memory.__dlpack_device__()

    def __array_namespace__(self):
        return Space

    def numpy(self):
        context = context_for("cuda:0")
        context.synchronize()
        return _core.host_copy(context, self._memory)


def test_results_stay_on_the_device(rng):
    K, K_teacher = (rng.uniform(-1, 1, (20, 14)).astype(np.float32) for _ in range(2))
    expected = sotalign.klot(K, K_teacher, device="cuda")
    found = sotalign.klot(DeviceArray(K), DeviceArray(K_teacher))
    assert found.value == expected.value and isinstance(found.gradient, DeviceArray)
    np.testing.assert_array_equal(found.gradient.numpy(), expected.gradient)
    solution = sotalign.sinkhorn(DeviceArray(K), 0.1)
    np.testing.assert_array_equal(solution.plan().numpy(), sotalign.sinkhorn(K, 0.1, device="cuda").plan())
    V = rng.normal(size=(14, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        solution.apply(DeviceArray(V)).numpy(), sotalign.sinkhorn(K, 0.1, device="cuda").apply(V)
    )


def test_devices_must_match(rng):
    K = rng.uniform(-1, 1, (6, 5)).astype(np.float32)
    with pytest.raises(ValueError, match="K_teacher: expected an array on the device of K"):
        sotalign.klot(DeviceArray(K), K)
    with pytest.raises(ValueError, match="device: expected cuda:0, where K is, found cpu"):
        sotalign.sinkhorn(DeviceArray(K), 0.1, device="cpu")


def test_the_caller_may_bring_its_memory(rng):
    """Like PyTorch's caching allocator."""
    own, live, blocks = context_for("cuda:0"), set(), []

    def allocate(size, stream):
        blocks.append(_core.device_copy(own, np.zeros((1, size // 4 + 64), np.float32)))
        address = _core.address(blocks[-1])
        live.add(address)
        return address

    context = _core.Context("cuda:0", 0, None, allocate, live.remove)
    K = rng.uniform(-1, 1, (20, 14)).astype(np.float32)
    out = np.empty((20, 14), np.float32)
    _core.klot(context, K, K, 0.1, 0.1, True, {}, {}, None, None, out, 1.0)
    assert blocks
    del context
    assert not live
    np.testing.assert_allclose(out, 0, atol=1e-6)
