"""Every YAML file that is shipped, and the recipe that the guide promises."""

from pathlib import Path

import pytest

from edge_sam.config import RunConfig, load_config

CONFIGS = Path(__file__).parents[1] / "training" / "configs"
ALL = sorted(CONFIGS.rglob("*.yaml"))
PHASE_1 = CONFIGS / "rep_vit_m1_fuse_sa_distill.yaml"
PHASE_2 = CONFIGS / "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill.yaml"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_loads_and_round_trips(path, tmp_path):
    config = load_config(path)
    assert path.stem == config.NAME
    (tmp_path / "resolved.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "resolved.yaml") == config


def test_every_kind_of_teacher_has_one():
    teachers = {load_config(path).MODEL.TYPE for path in ALL if path.parent.name == "teacher"}
    assert teachers == {"vit_h", "vit_l", "vit_b", "vit_t", "rep_vit_m1"}


def flat(config: RunConfig, keys: str) -> list[object]:
    values = []
    for key in keys.split():
        value = config
        for part in key.split("."):
            value = getattr(value, part)
        values.append(value)
    return values


def test_phase_1_is_the_published_recipe():
    config = load_config(PHASE_1)
    keys = (
        "TRAIN.EPOCHS TRAIN.WARMUP_EPOCHS TRAIN.BASE_LR TRAIN.WARMUP_LR TRAIN.MIN_LR TRAIN.WEIGHT_DECAY TRAIN.CLIP_GRAD"
    )
    assert flat(config, keys) == [10, 5, 0.1, 5e-7, 5e-6, 0.01, 5.0]
    keys = "MODEL.TYPE MODEL.PRETRAINED DISTILL.ENCODER_ONLY DISTILL.PIXEL_WISE DISTILL.FUSE DISTILL.UPSAMPLE_MODE"
    assert flat(config, keys) == ["rep_vit_m1", "imagenet", True, 1.0, True, "bicubic"]
    assert flat(config, "DATA.IMG_SIZE DATA.BATCH_SIZE AMP_ENABLE TRAIN.LR_CURVE") == [1024, 8, False, "published"]


def test_phase_2_is_the_published_recipe():
    config = load_config(PHASE_2)
    keys = (
        "TRAIN.EPOCHS TRAIN.WARMUP_EPOCHS TRAIN.BASE_LR TRAIN.WARMUP_LR TRAIN.MIN_LR TRAIN.WEIGHT_DECAY TRAIN.CLIP_GRAD"
    )
    assert flat(config, keys) == [5, 0, 3.2e-3, 3.2e-5, 3.2e-4, 0.05, 0.01]
    distill = config.DISTILL
    losses = (distill.DECODER_BCE, distill.DECODER_DICE, distill.DECODER_FOCAL, distill.DECODER_IOU, distill.PIXEL_WISE)
    assert losses == (5.0, 5.0, 0.0, 0.0, 0.0)
    assert (distill.MAX_ALLOWED_PROMPTS, distill.PROMPT_TYPE, distill.DECODE_ITERS) == (16, ("box", "point"), 2)
    assert (distill.MULTIMASK_OUTPUT, distill.MULTIMASK_ON_BOX, distill.ITER_ON_BOX) == (4, False, True)
    assert (distill.FREEZE_PROMPT_ENCODER, distill.FREEZE_MASK_DECODER, distill.INIT_FROM_TEACHER) == (
        True,
        False,
        True,
    )
    assert f"output/{PHASE_1.stem}/default/ckpt_epoch_9.pth" == config.MODEL.PRETRAINED
    assert config.DISTILL.TEACHER_CHECKPOINT == "weights/sam_vit_h_4b8939.pth"


SUPERVISED = CONFIGS / "supervised"


def test_each_way_to_learn_from_masks_has_a_recipe():
    scratch, whole, decoder = (
        load_config(SUPERVISED / f"{name}.yaml")
        for name in ("lab_teacher_crops", "finetune_edge_sam", "finetune_decoder")
    )
    assert {config.DISTILL.TARGET for config in (scratch, whole, decoder)} == {"masks"}
    assert scratch.MODEL.PRETRAINED == "scratch" and not scratch.DISTILL.FREEZE_PROMPT_ENCODER
    assert whole.MODEL.PRETRAINED == "weights/edge_sam_3x.pth" and not whole.DISTILL.FREEZE_IMAGE_ENCODER
    assert decoder.DISTILL.STORED_EMBEDDINGS and decoder.DISTILL.FREEZE_IMAGE_ENCODER
    assert not decoder.DISTILL.FREEZE_MASK_DECODER


def test_the_lab_teachers_second_stage_goes_on_from_the_first():
    crops, whole = (load_config(SUPERVISED / f"{name}.yaml") for name in ("lab_teacher_crops", "lab_teacher"))
    assert f"output/{crops.NAME}/default/ckpt_epoch_{crops.TRAIN.EPOCHS - 1}_model.pth" == whole.MODEL.PRETRAINED
    assert whole.MODEL.PRETRAINED_IMG_SIZE == crops.DATA.IMG_SIZE
    same = "MODEL.TYPE DISTILL.FUSE DISTILL.UPSAMPLE_MODE DATA.DATA_PATH"
    assert flat(crops, same) == flat(whole, same)


def test_both_phases_read_what_the_teacher_wrote():
    guide = [path for path in ALL if path.parent.name != "supervised"]
    stores = {load_config(path).DISTILL.TEACHER_EMBED_PATH for path in guide}
    assert stores == {"teacher_embed/sa-1b"}
