"""Processes and threads: forked children, Python threads side by side."""

import os
import threading

import numpy as np

import minidl as dl
from minidl import functional as F


def large_gradient():
    """A forward and backward pass large enough for parallel kernels of both kinds."""
    x = dl.tensor(np.linspace(-1, 1, 300 * 400).reshape(300, 400), requires_grad=True)
    F.tanh(x @ x.T).sum().backward()
    return x.grad.numpy().copy()


def test_a_forked_child_computes_the_same_with_one_thread():
    expected = large_gradient()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        equal = np.array_equal(large_gradient(), expected) and dl.get_num_threads() == 1
        os.write(write, b"equal" if equal else b"other")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0 and os.read(read, 5) == b"equal"
    os.close(read)
    os.close(write)


def test_python_threads_do_not_disturb_each_other():
    expected, found = large_gradient(), []
    workers = [threading.Thread(target=lambda: found.append(large_gradient())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for gradient in found:
        np.testing.assert_array_equal(gradient, expected)


def test_denormals_survive_in_the_users_process():
    smallest = np.full(100_000, 1e-40, np.float32)
    large_gradient()
    assert (smallest * np.float32(0.5) > 0).all()
    assert (dl.tensor(smallest) * 0.5).numpy().all()


def test_matmul_flushes_denormals():
    x = dl.tensor(np.full((4, 4), 1e-30, np.float32))
    assert not (x @ x).numpy().any()
