"""Runs that learn from annotated masks."""

import json
from pathlib import Path

import pytest
import torch

from edge_sam.config import load_config
from edge_sam.distill.convert import convert
from edge_sam.distill.run import main
from edge_sam.distill.tasks import build_task
from edge_sam.modeling.checkpoints import official_state, read_checkpoint, read_state, save_checkpoint, save_state
from edge_sam.modeling.registry import build_sam
from edge_sam.modeling.repvit import RepViTImageEncoder
from tests.distill.conftest import DECODER_ALONE, FINE_TUNING, FROM_SCRATCH, ROOT
from tests.distill.test_run import error_of

NO_IMAGES_CHANGED = ("DATA.AUGMENTATION", "{}")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def arguments(workplace, tmp_path):
    """The command line of a short run of RepViT-M1, one epoch of four steps."""

    def make(config: str, *opts: object, pretrained: object = "scratch") -> list[str]:
        given = workplace.arguments(config, tmp_path, "MODEL.TYPE", "rep_vit_m1", "TRAIN.EPOCHS", 1, *opts)
        given[given.index("--pretrained") + 1] = str(pretrained)
        return given

    return make


def run_folder(tmp_path, config):
    return tmp_path / Path(config).name / "default"


def parts_that_differ(first, second):
    assert list(first) == list(second)
    return {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}


@pytest.mark.slow
def test_from_nothing_to_a_model_that_is_validated_and_converted(arguments, tmp_path, capsys):
    main(arguments(FROM_SCRATCH, "VALIDATION.NUM_IMAGES", 2, "DISTILL.TEACHER_CHECKPOINT", "nowhere.pth"))
    said = capsys.readouterr().out
    for words in (
        "supervision, prompts in the loop, annotated masks as the target",
        "encoder: fresh weights (scratch)",
        "mask decoder: fresh weights",
        "learn at 0.5 times that rate",
        "mIoU",
    ):
        assert words in said
    assert "embeddings of" not in said
    checkpoint = run_folder(tmp_path, FROM_SCRATCH) / "ckpt_epoch_0.pth"
    groups = read_checkpoint(checkpoint)["optimizer"]["param_groups"]
    assert {round(group["lr"] / groups[0]["lr"], 6) for group in groups} == {1, 0.5}
    converted = read_state(convert(checkpoint, encoder_only=False, teacher=Path("nowhere.pth")))
    assert not parts_that_differ(converted, read_state(checkpoint))
    assert list(converted) == list(official_state(build_sam("rep_vit_m1", 256)))


@pytest.mark.slow
def test_fine_tuning_starts_from_the_whole_model(workplace, arguments, tmp_path, capsys):
    small_steps = ("TRAIN.BASE_LR", 1e-6, "TRAIN.WARMUP_LR", 1e-7, "TRAIN.MIN_LR", 1e-7)
    main(arguments(FINE_TUNING, *small_steps, pretrained=workplace.teacher))
    said = capsys.readouterr().out
    assert f"image encoder out of the whole model in {workplace.teacher}" in said
    assert f"mask decoder: those of {workplace.teacher}" in said
    start = read_state(workplace.teacher)
    tuned = read_state(run_folder(tmp_path, FINE_TUNING) / "ckpt_epoch_0.pth")
    assert parts_that_differ(start, tuned) == {"image_encoder", "mask_decoder"}
    for name, tensor in start.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(tuned[name], tensor, rtol=0, atol=1e-4)


@pytest.mark.parametrize("model_type", ["rep_vit_m2", "vit_t"])
def test_any_sam_format_checkpoint_is_taken_whole(workplace, arguments, tmp_path, model_type):
    torch.manual_seed(5)
    source = build_sam(model_type, 256)
    save_state(official_state(source), tmp_path / "start.safetensors")
    config = load_config(
        ROOT / "training" / "configs" / f"{FINE_TUNING}.yaml",
        {"MODEL.PRETRAINED": str(tmp_path / "start.safetensors"), "MODEL.TYPE": model_type, "DATA.IMG_SIZE": 256},
    )
    said = []
    _, sam = build_task(config, None, said.append)
    assert not parts_that_differ(official_state(source), official_state(sam))
    assert len(said) == 2


@pytest.mark.slow
def test_the_decoder_alone_learns_from_stored_embeddings(workplace, arguments, tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise AssertionError("the encoder has no work")

    monkeypatch.setattr(RepViTImageEncoder, "forward", refuse)
    main(arguments(DECODER_ALONE, pretrained=workplace.teacher))
    assert f"embeddings of {workplace.embeddings}" in capsys.readouterr().out
    folder = run_folder(tmp_path, DECODER_ALONE)
    assert parts_that_differ(read_state(workplace.teacher), read_state(folder / "ckpt_epoch_0.pth")) == {"mask_decoder"}

    main(arguments(DECODER_ALONE, "TRAIN.EPOCHS", 2, pretrained=workplace.teacher))
    other = tmp_path / "other.pth"
    save_state(read_state(workplace.teacher), other.with_suffix(".safetensors"))
    said = error_of(arguments(DECODER_ALONE, "TRAIN.EPOCHS", 3, pretrained=other.with_suffix(".safetensors")), capsys)
    assert "teacher_sha256" in said and "set MODEL.PRETRAINED" in said


@pytest.mark.slow
def test_the_decoder_alone_learns_with_its_encoder_at_work(workplace, arguments, tmp_path):
    computed = ("DISTILL.STORED_EMBEDDINGS", False, "DATA.AUGMENTATION", "{FLIP: 0.5}")
    main(arguments(DECODER_ALONE, *computed, pretrained=workplace.teacher))
    folder = run_folder(tmp_path, DECODER_ALONE)
    assert parts_that_differ(read_state(workplace.teacher), read_state(folder / "ckpt_epoch_0.pth")) == {"mask_decoder"}


def test_a_run_does_not_go_on_with_another_encoder(workplace, arguments, tmp_path, capsys, monkeypatch):
    folder = run_folder(tmp_path, DECODER_ALONE)
    config = load_config(
        ROOT / "training" / "configs" / f"{DECODER_ALONE}.yaml",
        opts=["DATA.IMG_SIZE", "256", "MODEL.TYPE", "rep_vit_m1"],
    ).model_dump(mode="json")
    state = {"length": 8, "seed": 0, "epoch": 1, "images_seen": 0}
    content = {"model": read_state(workplace.teacher), "optimizer": {}, "step": 4, "sampler": state, "config": config}
    save_checkpoint({"format": 1, **content, "teacher_sha256": "12ab"}, folder / "ckpt_epoch_0.pth")
    said = error_of(arguments(DECODER_ALONE, pretrained=workplace.teacher), capsys)
    assert "the run began with the encoder of a file with SHA-256 12ab" in said and "--tag" in said


def test_embeddings_of_another_model_are_refused(workplace, arguments, tmp_path, capsys):
    other = tmp_path / "other.pth"
    save_state({**read_state(workplace.teacher), "mask_decoder.iou_token.weight": torch.zeros(1, 256)}, other)
    said = error_of(arguments(DECODER_ALONE, pretrained=other), capsys)
    assert "teacher_sha256" in said and "set MODEL.PRETRAINED to the file that the store was made with" in said
    said = error_of(arguments(DECODER_ALONE, "DISTILL.UPSAMPLE_MODE", "bilinear", pretrained=workplace.teacher), capsys)
    assert "upsample_mode 'bicubic', expected 'bilinear'" in said
    said = error_of(arguments(DECODER_ALONE, "DATA.IMG_SIZE", 512, pretrained=workplace.teacher), capsys)
    assert "image_size 256" in said


def test_a_start_that_does_not_fit_is_refused(workplace, arguments, tmp_path, capsys):
    assert "MODEL.PRETRAINED is empty" in error_of(arguments(FINE_TUNING, pretrained=""), capsys)
    said = error_of(arguments(FINE_TUNING, "MODEL.TYPE", "vit_t", pretrained=workplace.teacher), capsys)
    assert "this looks like an EdgeSAM checkpoint" in said
    encoder = tmp_path / "encoder.pth"
    state = read_state(workplace.teacher)
    prefix = "image_encoder."
    save_state({name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}, encoder)
    said = error_of(arguments(FINE_TUNING, pretrained=encoder), capsys)
    assert "has no mask decoder" in said and "convert_weights.py" in said and "scratch" in said
    trained = tmp_path / "ckpt_epoch_9.pth"
    config = load_config(ROOT / "training" / "configs" / f"{FINE_TUNING}.yaml", {"DATA.IMG_SIZE": 512})
    save_checkpoint({"model": state, "config": config.model_dump(mode="json")}, trained)
    said = error_of(arguments(FINE_TUNING, pretrained=trained), capsys)
    assert "was trained with DATA.IMG_SIZE 512, not 256" in said and "MODEL.PRETRAINED_IMG_SIZE 512" in said
    said = error_of(arguments(FINE_TUNING, "MODEL.PRETRAINED_IMG_SIZE", 128, pretrained=trained), capsys)
    assert "was trained with DATA.IMG_SIZE 512, not 128: add --opts MODEL.PRETRAINED_IMG_SIZE 512" in said


def test_a_start_of_another_size_is_taken_where_that_is_said(workplace, tmp_path):
    path = ROOT / "training" / "configs" / f"{FINE_TUNING}.yaml"
    trained = tmp_path / "ckpt_epoch_9.pth"
    state = read_state(workplace.teacher)
    save_checkpoint({"model": state, "config": load_config(path).model_dump(mode="json")}, trained)
    config = load_config(
        path, {"DATA.IMG_SIZE": 256, "MODEL.PRETRAINED": str(trained), "MODEL.PRETRAINED_IMG_SIZE": 1024}
    )
    _, sam = build_task(config, None, lambda _: None)
    assert sam.image_size == 256 and not parts_that_differ(state, official_state(sam))


def test_data_that_do_not_do_are_refused(workplace, arguments, tmp_path, capsys):
    assert "8 images, fewer than one batch" in error_of(arguments(FROM_SCRATCH, "DATA.BATCH_SIZE", 9), capsys)
    data = tmp_path / "data"
    (data / "annotations" / "train").mkdir(parents=True)
    (data / "images" / "train").mkdir(parents=True)
    said = error_of(arguments(FROM_SCRATCH, "DATA.DATA_PATH", data), capsys)
    assert str(data) in said
    for image in (workplace.data / "images" / "train").iterdir():
        (data / "images" / "train" / image.name).symlink_to(image)
        description = json.loads((workplace.data / "annotations" / "train" / f"{image.stem}.json").read_text())
        maskless = {**description, "annotations": []}
        (data / "annotations" / "train" / f"{image.stem}.json").write_text(json.dumps(maskless))
    said = error_of(arguments(FROM_SCRATCH, "DATA.DATA_PATH", data), capsys)
    assert "8 images in a row are unusable" in said and "empty list of annotations" in said
    assert not list(run_folder(tmp_path, FROM_SCRATCH).glob("*.pth"))


@pytest.mark.slow
def test_a_target_is_kept_to(workplace, arguments, tmp_path, capsys):
    main(arguments(FINE_TUNING, pretrained=workplace.teacher))
    distilling = ("DISTILL.TARGET", "teacher", *NO_IMAGES_CHANGED)
    said = error_of(arguments(FINE_TUNING, *distilling, pretrained=workplace.teacher), capsys)
    assert "has DISTILL.TARGET 'masks', this one 'teacher'" in said


@pytest.mark.slow
def test_two_processes_learn_from_masks(workplace, arguments, tmp_path):
    said = workplace.train(arguments(FROM_SCRATCH, "VALIDATION.NUM_IMAGES", 2), processes=2)
    assert "on 2 x CPU" in said and "1 epochs of 2 steps" in said
    assert (run_folder(tmp_path, FROM_SCRATCH) / "ckpt_epoch_0.pth").is_file()
