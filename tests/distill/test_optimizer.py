import pytest
import torch
from torch import nn

from edge_sam.distill.optimizer import build_optimizer, load_moments, parameter_groups
from edge_sam.errors import EdgeSamError
from edge_sam.modeling.registry import build_image_encoder


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.token = nn.Embedding(1, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)


def count(group):
    return [len(group["params"]), sum(parameter.numel() for parameter in group["params"])]


def test_groups_of_repvit_match_golden(golden):
    groups = parameter_groups(build_image_encoder("rep_vit_m1"), 0.01)
    assert [count(group) for group in groups] == golden("training")["param_groups_count"].tolist()


def test_norms_and_biases_do_not_decay():
    module = Small()
    decayed, spared = parameter_groups(module, 0.01)
    assert decayed["weight_decay"] == 0.01 and spared["weight_decay"] == 0
    assert [id(parameter) for parameter in decayed["params"]] == [id(module.conv.weight), id(module.token.weight)]
    expected = [module.conv.bias, module.norm.weight, module.norm.bias]
    assert [id(parameter) for parameter in spared["params"]] == [id(parameter) for parameter in expected]


def test_the_decoder_may_learn_at_a_rate_of_its_own():
    module = nn.ModuleDict({"image_encoder": Small(), "prompt_encoder": nn.Embedding(1, 4), "mask_decoder": Small()})
    groups = parameter_groups(module, 0.01, decoder_lr_scale=0.5)
    assert [(group["weight_decay"], group["lr_scale"]) for group in groups] == [
        (0.01, 1),
        (0.01, 0.5),
        (0, 1),
        (0, 0.5),
    ]
    assert [len(group["params"]) for group in groups] == [2, 3, 3, 3]
    in_order = [id(parameter) for group in groups for parameter in group["params"]]
    same = parameter_groups(module, 0.01)
    assert [(group["weight_decay"], group["lr_scale"]) for group in same] == [(0.01, 1), (0, 1)]
    assert in_order == [id(parameter) for group in same for parameter in group["params"]]


def test_moments_stay_with_their_parameters_when_the_decoder_s_rate_changes():
    def model():
        return nn.ModuleDict({"image_encoder": Small(), "mask_decoder": Small()})

    before = stepped(model())
    after = build_optimizer(model(), 0.01, (0.9, 0.999), 1e-8, decoder_lr_scale=0.5)
    load_moments(after, before.state_dict(), "here.pth")
    shapes = [parameter.shape for group in after.param_groups for parameter in group["params"]]
    moments = after.state_dict()["state"]
    assert len(moments) == len(shapes)
    assert all(moments[index]["exp_avg"].shape == shape for index, shape in enumerate(shapes))
    alone = {"image_encoder": Small().requires_grad_(False), "mask_decoder": Small()}
    assert [len(group["params"]) for group in build_optimizer(
        nn.ModuleDict(alone), 0.01, (0.9, 0.999), 1e-8, decoder_lr_scale=0.5
    ).param_groups] == [0, 2, 0, 3]  # fmt: skip


def test_frozen_parameters_are_left_out():
    module = Small()
    optimizer = build_optimizer(module, 0.01, betas=(0.9, 0.999), eps=1e-8)
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert not held & {id(parameter) for parameter in module.frozen.parameters()}
    assert isinstance(optimizer, torch.optim.AdamW)


def stepped(module, weight_decay=0.01, betas=(0.9, 0.999)):
    optimizer = build_optimizer(module, weight_decay, betas, eps=1e-8)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    return optimizer


def test_moments_go_on_under_the_settings_of_now():
    saved = stepped(Small()).state_dict()
    optimizer = build_optimizer(Small(), 0.3, betas=(0.5, 0.6), eps=1e-3)
    load_moments(optimizer, saved, "here.pth")
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0]
    assert all(group["betas"] == (0.5, 0.6) and group["eps"] == 1e-3 for group in optimizer.param_groups)
    for index, state in optimizer.state_dict()["state"].items():
        assert state["step"] == 1 and torch.equal(state["exp_avg"], saved["state"][index]["exp_avg"])


@pytest.mark.parametrize("shape", [(3, 5, 3), None])
def test_moments_of_other_parameters_are_refused(shape):
    module = Small()
    if shape is None:
        module.norm.requires_grad_(False)
    else:
        module.conv = nn.Conv2d(*shape)
    saved = stepped(Small()).state_dict()
    with pytest.raises(EdgeSamError, match=r"here\.pth: its run trained 5 tensors.*PROMPT_TYPE.*--tag"):
        load_moments(build_optimizer(module, 0.01, (0.9, 0.999), 1e-8), saved, "here.pth")
