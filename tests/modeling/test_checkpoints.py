import hashlib
import pickle

import pytest
import timm
import torch

from edge_sam.errors import EdgeSamError
from edge_sam.modeling import checkpoints
from edge_sam.modeling.checkpoints import (
    file_sha256,
    load_imagenet_weights,
    load_official,
    load_prompt_and_mask_decoder,
    load_student_encoder,
    official_state,
    read_checkpoint,
    read_state,
    save_checkpoint,
    save_state,
    split_state,
)
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.official_names import official_names
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.repvit import RepViTImageEncoder
from edge_sam.modeling.tiny_vit import TinyViTImageEncoder


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("rep_vit_m1", 256)


@pytest.fixture(scope="module")
def fresh():
    """A student that has never seen the weights of ``sam``."""
    torch.manual_seed(1)
    return RepViTImageEncoder("m1", 256)


def same(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> bool:
    own = official_state(module)
    return all(torch.equal(own[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_what_is_saved_is_read_bit_for_bit(suffix, sam, tmp_path):
    state = official_state(sam)
    path = tmp_path / "folder" / f"model.{suffix}"
    save_state(state, path)
    read = read_state(path)
    assert set(read) == set(state)
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_order_survives_a_pth_file(sam, tmp_path):
    save_state(official_state(sam), tmp_path / "model.pth")
    assert list(read_state(tmp_path / "model.pth")) == list(official_state(sam))


@pytest.mark.parametrize("key", ["model", "state_dict"])
def test_a_training_checkpoint_is_unwrapped(key, tmp_path):
    save_checkpoint({key: {"a": torch.ones(2)}, "optimizer": {"lr": 0.1}, "step": 7}, tmp_path / "ckpt.pth")
    assert list(read_state(tmp_path / "ckpt.pth")) == ["a"]
    assert read_checkpoint(tmp_path / "ckpt.pth")["step"] == 7


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    save_state({"a": torch.zeros(1)}, path)

    def full_disk(content, file):
        file.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(EdgeSamError, match=r"model\.pth: could not be written \(No space left on device\)"):
        save_state({"a": torch.ones(1)}, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pth"]
    assert read_state(path)["a"].item() == 0


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "model.pth", tmp_path / "file" / "deeper" / "model.safetensors"):
        with pytest.raises(EdgeSamError, match=r"model\.\w+: could not be written \(.*file"):
            save_state({"a": torch.zeros(1)}, path)


def test_a_missing_official_file_says_how_to_get_it(tmp_path):
    with pytest.raises(EdgeSamError, match=r"`edgesam download sam_vit_h` puts it at weights/sam_vit_h_4b8939\.pth"):
        read_state(tmp_path / "sam_vit_h_4b8939.pth")
    with pytest.raises(EdgeSamError, match=r"other\.pth: no such file$"):
        read_state(tmp_path / "other.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_named(kept, suffix, tmp_path):
    path = tmp_path / f"model.{suffix}"
    save_state({"a": torch.randn(1000), "b": torch.randn(1000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    with pytest.raises(EdgeSamError, match=rf"model\.{suffix}: (truncated or corrupt|not a weight file)") as error:
        read_state(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"abc", b"", b"\x80\x02", b"(", b"\x00" * 40, b"I1\n.", b"\x8a\x02", b"cos\nsystem\n"]
)
def test_arbitrary_bytes_are_no_weights(content, tmp_path):
    (tmp_path / "odd.pth").write_bytes(content)
    with pytest.raises(EdgeSamError, match=r"odd\.pth: ") as error:
        read_state(tmp_path / "odd.pth")
    assert "\n" not in str(error.value) and "()" not in str(error.value)


def test_flipped_bytes_are_no_traceback(tmp_path):
    path = tmp_path / "model.pth"
    save_checkpoint({"model": {"a": torch.randn(20)}, "step": 3}, path)
    content = path.read_bytes()
    for position in range(0, len(content), 17):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            read_checkpoint(path)
        except EdgeSamError as error:
            assert "\n" not in str(error)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"a": print}, protocol=2))
    with pytest.raises(EdgeSamError, match="not a weight file, or one that holds more than tensors"):
        read_state(tmp_path / "evil.pth")


@pytest.mark.parametrize(
    ("content", "message"), [([1, 2], "holds a list"), ({"a": 3}, "'a' is no tensor"), ({}, "it is empty")]
)
def test_a_file_of_something_else_is_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(EdgeSamError, match=message):
        read_state(tmp_path / "odd.pth")


def test_missing_and_unexpected_tensors_are_counted_and_named(fresh):
    state = official_state(fresh)
    for name in list(state)[:4]:
        del state[name]
    state["surprise"] = torch.zeros(1)
    before = fresh.state_dict()["trunk.stem.conv2.c.weight"].clone()
    with pytest.raises(EdgeSamError) as error:
        load_official(fresh, state, "some.pth")
    assert str(error.value) == (
        "some.pth: not the weights of this RepViTImageEncoder: 4 missing tensors (features.0.0.c.weight, "
        "features.0.0.bn.weight, features.0.0.bn.bias, ...); 1 unexpected tensor (surprise)"
    )
    assert torch.equal(fresh.state_dict()["trunk.stem.conv2.c.weight"], before)


def test_a_wrong_shape_is_named_and_nothing_is_loaded(fresh):
    state = {name: tensor + 1 for name, tensor in official_state(fresh).items()}
    state["neck.0.weight"] = torch.zeros(256, 128, 1, 1)
    before = fresh.state_dict()["neck.0.weight"].clone()
    with pytest.raises(EdgeSamError, match=r"neck\.0\.weight has shape \(256, 128, 1, 1\), not \(256, 256, 1, 1\)"):
        load_official(fresh, state, "some.pth")
    assert torch.equal(fresh.state_dict()["neck.0.weight"], before)


def test_an_encoder_alone_is_no_whole_model(sam):
    with pytest.raises(EdgeSamError, match=r"scripts/convert_weights\.py FILE --encoder-only"):
        load_official(sam, official_state(sam.image_encoder), "ckpt_epoch_9.pth")


def test_another_kind_of_model_is_recognised(fresh):
    with pytest.raises(EdgeSamError, match=r"looks like a MobileSAM checkpoint \(vit_t\)"):
        load_official(fresh, official_state(TinyViTImageEncoder(256)), "some.pth")


def test_split_state_separates_the_parts(sam):
    parts = split_state(official_state(sam))
    assert list(parts) == ["image_encoder", "prompt_encoder", "mask_decoder"]
    assert same(sam.image_encoder, parts["image_encoder"])
    assert same(sam.mask_decoder, parts["mask_decoder"])
    assert sum(len(part) for part in parts.values()) == len(sam.state_dict())


def test_the_decoder_is_sliced_out_of_a_whole_model(sam, tmp_path):
    save_state(official_state(sam), tmp_path / "teacher.pth")
    prompt_encoder, mask_decoder = PromptEncoder(), MaskDecoder()
    load_prompt_and_mask_decoder(prompt_encoder, mask_decoder, tmp_path / "teacher.pth")
    assert same(prompt_encoder, official_state(sam.prompt_encoder))
    assert same(mask_decoder, official_state(sam.mask_decoder))
    save_state(official_state(sam.image_encoder), tmp_path / "student.pth")
    with pytest.raises(EdgeSamError, match="not the weights of this PromptEncoder: 17 missing"):
        load_prompt_and_mask_decoder(prompt_encoder, mask_decoder, tmp_path / "student.pth")


@pytest.mark.parametrize("legacy", [True, False])
def test_a_file_that_is_replaced_leaves_what_was_read(legacy, tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"a": torch.arange(5000.0)}, path, _use_new_zipfile_serialization=not legacy)
    read = read_state(path)
    save_state({"a": read["a"] + 1}, path)
    assert torch.equal(read["a"], torch.arange(5000.0))
    path.unlink()
    assert torch.equal(read["a"], torch.arange(5000.0))


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_student_comes_out_of_any_file_that_holds_it(whole, wrapped, sam, tmp_path):
    state = official_state(sam if whole else sam.image_encoder)
    save_checkpoint({"model": state, "step": 3} if wrapped else state, tmp_path / "ckpt.pth")
    encoder = RepViTImageEncoder("m1", 256)
    assert "image encoder" in load_student_encoder(encoder, tmp_path / "ckpt.pth")
    assert same(encoder, official_state(sam.image_encoder))


def imagenet_state(naming: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    model = timm.create_model("repvit_m1")
    if naming == "timm":
        return model.state_dict()
    names = {own: name for name, own in official_names(RepViTImageEncoder("m1", 256)).items()}
    state = {names.get(f"trunk.{name}", name): tensor for name, tensor in model.state_dict().items()}
    return {name.replace("head.head", "classifier.classifier"): tensor for name, tensor in state.items()}


@pytest.mark.parametrize("naming", ["timm", "authors"])
def test_imagenet_weights_in_either_naming_become_the_trunk(naming, tmp_path):
    state = imagenet_state(naming)
    save_state(state, tmp_path / "repvit_m1_distill_300.pth")
    encoder = RepViTImageEncoder("m1", 256)
    neck = {name: tensor.clone() for name, tensor in encoder.neck.state_dict().items()}
    assert "fusion and neck start fresh" in load_student_encoder(encoder, tmp_path / "repvit_m1_distill_300.pth")
    expected = {name: tensor for name, tensor in imagenet_state("timm").items() if not name.startswith("head.")}
    assert list(encoder.trunk.state_dict()) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(encoder.trunk.state_dict()[name], tensor), name
    for name, tensor in neck.items():
        assert torch.equal(encoder.neck.state_dict()[name], tensor)


def test_an_incomplete_trunk_is_refused(fresh, tmp_path):
    state = imagenet_state("timm")
    del state["stages.2.blocks.2.se.fc1.bias"]
    save_state(state, tmp_path / "part.pth")
    with pytest.raises(EdgeSamError, match="1 missing tensor "):
        load_student_encoder(fresh, tmp_path / "part.pth")


@pytest.mark.parametrize("naming", ["timm", "authors"])
def test_a_repvit_of_the_later_form_is_refused(naming, fresh, tmp_path):
    state = timm.create_model("repvit_m0_9").state_dict()
    if naming == "authors":
        names = {own.removeprefix("trunk."): name for name, own in official_names(fresh).items()}
        state = {names.get(name, name.replace("token_mixer.", "token_mixer.0.")): state[name] for name in state}
    save_state(state, tmp_path / "repvit_m0_9_distill_300e.pth")
    with pytest.raises(EdgeSamError, match=r"repvit_m0_9_distill_300e\.pth: .*this is RepViT-M0\.9.*take repvit_m1"):
        load_student_encoder(fresh, tmp_path / "repvit_m0_9_distill_300e.pth")


def test_timms_weights_are_fetched_by_name(monkeypatch):
    torch.manual_seed(3)
    encoder, published = RepViTImageEncoder("m2", 256), timm.create_model("repvit_m2")
    asked = []
    monkeypatch.setattr(checkpoints.timm, "create_model", lambda *a, **k: asked.append((a, k)) or published)
    assert "repvit_m2.dist_in1k" in load_imagenet_weights(encoder)
    assert asked == [(("repvit_m2.dist_in1k",), {"pretrained": True})]
    assert torch.equal(encoder.trunk.stem.conv1.c.weight, published.stem.conv1.c.weight)


def test_without_a_network_the_error_says_what_else_can_be_done(monkeypatch, fresh):
    def offline(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(checkpoints.timm, "create_model", offline)
    with pytest.raises(EdgeSamError, match=r"repvit_m1\.dist_in1k: could not be fetched.*no route to host.*scratch"):
        load_imagenet_weights(fresh)
    with pytest.raises(EdgeSamError, match="no ImageNet weights are known for TinyViTImageEncoder"):
        load_imagenet_weights(TinyViTImageEncoder(256))


def test_the_hash_is_that_of_the_contents(tmp_path):
    (tmp_path / "file").write_bytes(b"edge")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"edge").hexdigest()
    with pytest.raises(EdgeSamError, match="no such file"):
        file_sha256(tmp_path / "none")
