import pytest
import torch

from edge_sam.modeling.registry import build_sam


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A small model with fresh weights, as save_pretrained writes it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    build_sam("rep_vit_m1", 256).save_pretrained(folder)
    return folder
