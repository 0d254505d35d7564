"""What many tests share: where the large inputs lie, and weights that any machine can make again."""

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

SHARED = Path(os.environ.get("EDGE_SAM_SHARED", Path(__file__).parents[2] / "shared"))


def _need(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} under $EDGE_SAM_SHARED")
    return path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes that a test starts: sums depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared() -> Callable[..., Path]:
    """``shared("golden", "training.npz")``: a path to large test data, or a skip that names what is missing."""
    return _need


@pytest.fixture(scope="session")
def golden(shared) -> Callable[[str], "np.lib.npyio.NpzFile"]:
    """``golden("training")``: the arrays of ``golden/training.npz``."""
    return lambda name: np.load(shared("golden", f"{name}.npz"), allow_pickle=False)


@pytest.fixture(scope="session")
def golden_weights(shared) -> ModuleType:
    """The module that fills manifests with deterministic arrays."""
    spec = importlib.util.spec_from_file_location("golden_weights", shared("golden", "weights.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden_manifest(shared) -> Callable[[str], dict[str, list[int]]]:
    """``golden_manifest("edge_sam")``: tensor name -> shape, in the order of the official checkpoint."""
    return lambda name: json.loads(shared("golden", f"manifest_{name}.json").read_text())


@pytest.fixture(scope="session")
def golden_state(shared, golden_weights) -> Callable[[str], dict[str, torch.Tensor]]:
    """``golden_state("edge_sam")``: the state dict of ``manifest_edge_sam.json``."""

    def make(name: str) -> dict[str, torch.Tensor]:
        arrays = golden_weights.make_state_dict(shared("golden", f"manifest_{name}.json"))
        return {key: torch.from_numpy(array) for key, array in arrays.items()}

    return make


@pytest.fixture(scope="session")
def golden_input(golden_weights) -> Callable[..., torch.Tensor]:
    """``golden_input("image", 1, 3, 1024, 1024)``: the unit-normal tensor ``input.image``."""
    return lambda name, *shape: torch.from_numpy(golden_weights.make_tensor(f"input.{name}", shape))
