"""Checks in several processes (book: the page of evidence)."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from threadpoolctl import threadpool_limits


def one_thread_each(jobs):
    """A pool of so many new processes, each with one thread."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), _one_thread)


def _one_thread():
    torch.set_num_threads(1)
    threadpool_limits(1)  # the BLAS of numpy
