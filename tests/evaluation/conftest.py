import pytest
import torch

from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distributed import World
from tests.synthetic import write_sa1b


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Seven pictures of one shape in SA-1B layout."""
    return write_sa1b(tmp_path_factory.mktemp("evaluation"), "val", 7, size=(150, 200))


@pytest.fixture
def val_split(photographs):
    return Sa1bDataset(photographs, "val", 256, keep_annotations=True)


@pytest.fixture
def alone():
    """One process on the CPU."""
    return World(0, 1, torch.device("cpu"))
