import pytest
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.network_recognition import Network, recognise_network

MANIFESTS = {
    "edge_sam": Network("rep_vit_m1"),
    "repvit_m1_fuse": Network("rep_vit_m1"),
    "repvit_m2_fuse": Network("rep_vit_m2"),
    "repvit_m3_fuse": Network("rep_vit_m3"),
    "repvit_m1_nofuse": Network("rep_vit_m1", fuse=False),
    "sam_vit_b": Network("vit_b"),
    "sam_vit_l": Network("vit_l"),
    "sam_vit_h": Network("vit_h"),
    "mobile_sam": Network("vit_t"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_official_files_are_recognised(name, golden_manifest):
    state = {key: torch.empty(shape, device="meta") for key, shape in golden_manifest(name).items()}
    assert recognise_network(state, name) == MANIFESTS[name]


@pytest.mark.parametrize(
    "names", [[], ["weight"], ["pos_embed"], ["features.24.0.weight"], ["features.3.0.weight", "neck.0.weight"]]
)
def test_others_are_refused(names):
    with pytest.raises(EdgeSamError, match=r"file\.pth: not the tensors of a known model .*known are vit_b, vit_l"):
        recognise_network({name: torch.zeros(1, 4) for name in names}, "file.pth")
