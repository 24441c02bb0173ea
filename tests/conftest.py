"""Settings shared by all tests: one torch thread and fixed default seeds."""

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def default_seeds():
    """Every test starts from the same state of the default generators."""
    np.random.seed(0)
    torch.manual_seed(0)
