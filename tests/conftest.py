"""Settings shared by all tests: types checked at run time, one torch thread, fixed seeds."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

if find_spec("jaxtyping") and find_spec("beartype"):
    import typed

    typed.install()  # before `lib` is imported

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def default_seeds():
    """Every test starts from the same state of the default generators."""
    np.random.seed(0)
    torch.manual_seed(0)
