import pytest

from edge_sam.config import RunConfig, load_config
from edge_sam.errors import EdgeSamError


@pytest.fixture
def write(tmp_path):
    def write(text, name="recipe.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_name_is_the_file_s_unless_it_holds_one(write):
    assert load_config(write("SEED: 1")).NAME == "recipe"
    assert load_config(write("NAME: other")).NAME == "other"


def test_round_trip(write, tmp_path):
    config = load_config(
        write(
            "TRAIN: {BASE_LR: 3.2e-3}\nDATA: {FILTER_BY_AREA: [10, 1e5]}\n"
            "DISTILL: {PROMPT_TYPE: point, ENCODER_ONLY: false, DECODER_BCE: 5}"
        )
    )
    again = load_config(write(config.to_yaml(), "resolved.yaml"))
    assert again == config
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_numbers_as_everybody_writes_them(write):
    config = load_config(write("TRAIN: {BASE_LR: 1e-3, MIN_LR: 1.0e-5}"), opts=["TRAIN.WARMUP_LR", "5e-7"])
    assert (config.TRAIN.BASE_LR, config.TRAIN.MIN_LR, config.TRAIN.WARMUP_LR) == (1e-3, 1e-5, 5e-7)


def test_opts_win_over_options_which_win_over_the_file(write):
    path = write("DATA: {BATCH_SIZE: 1, NUM_WORKERS: 1}\nSEED: 1")
    config = load_config(path, {"DATA.BATCH_SIZE": 2, "SEED": 2, "TAG": None}, ["SEED", "3"])
    assert (config.DATA.BATCH_SIZE, config.DATA.NUM_WORKERS, config.SEED, config.TAG) == (2, 1, 3, "default")


@pytest.mark.parametrize("text", ["/meine Bilder ä/Lauf #1", "2024", "on", "null", "12:30:00", "/tmp/a: b/x", "''", ""])
def test_text_on_the_command_line_stays_as_it_stands(write, text):
    keys = ["OUTPUT", "DATA.DATA_PATH", "MODEL.PRETRAINED", "DISTILL.TEACHER_EMBED_PATH"]
    config = load_config(write("{}"), opts=[word for key in keys for word in (key, text)])
    found = (config.OUTPUT, config.DATA.DATA_PATH, config.MODEL.PRETRAINED, config.DISTILL.TEACHER_EMBED_PATH)
    assert found == (text,) * 4


def test_names_on_the_command_line_are_text_and_the_rest_is_yaml(write):
    opts = ["TAG", "2024", "NAME", "on", "DATA.FILTER_BY_AREA", "null", "DISTILL.PROMPT_TYPE", "[box]", "DATA.IMG_SIZE"]
    config = load_config(write("DATA: {FILTER_BY_AREA: [1, 2]}"), opts=[*opts, "256 # pixels"])
    assert (config.TAG, config.NAME, config.DATA.FILTER_BY_AREA, config.DATA.IMG_SIZE) == ("2024", "on", None, 256)
    assert config.DISTILL.PROMPT_TYPE == ("box",)


@pytest.mark.parametrize(
    ("text", "opts", "message"),
    [
        ("DISTIL: {}", (), "unknown key DISTIL; known here: NAME, DATA"),
        ("TRAIN: {EPOCH: 3}", (), "unknown key TRAIN.EPOCH; known here: EPOCHS"),
        ("TRAIN: {OPTIMIZER: {LR: 3}}", (), "unknown key TRAIN.OPTIMIZER.LR; known here: NAME, EPS, BETAS"),
        ("{}", ("DATA.IMAGE_SIZE", "256"), "unknown key DATA.IMAGE_SIZE"),
        ("{}", ("SEED.X", "1"), "unknown key SEED.X|SEED"),
        ("SEED: 1", ("SEED.X", "1"), "SEED is a setting, not a section"),
        ("{}", ("SEED",), "'SEED' has no value"),
        ("TRAIN: {EPOCHS: many}", (), "TRAIN.EPOCHS: .*found 'many'"),
        ("DATA: {IMG_SIZE: 200}", (), "DATA.IMG_SIZE"),
        ("DATA: {IMG_SIZE: 2048}", (), "DATA.IMG_SIZE"),
        ("MODEL: {TYPE: rep_vit_m9}", (), "MODEL.TYPE.*rep_vit_m1"),
        ("DISTILL: {PROMPT_TYPE: [scribble]}", (), "DISTILL.PROMPT_TYPE"),
        ("DISTILL: {MULTIMASK_OUTPUT: 2}", (), "DISTILL.MULTIMASK_OUTPUT"),
        ("DISTILL: {ENCODER_ONLY: false}", (), "nothing to learn"),
        ("DISTILL: {DECODER_BCE: 1.0}", (), "DISTILL.ENCODER_ONLY is true"),
        ("DISTILL: {TEMPERATURE: 2}", (), "needs DISTILL.USE_TEACHER_LOGITS"),
        ("DISTILL: {FREEZE_IMAGE_ENCODER: true}", (), "FREEZE_IMAGE_ENCODER.*nothing to learn"),
        ("DISTILL: {PROMPT_TYPE: [box, box]}", (), "name nothing twice"),
        ("DATA: {BOX_JITTER: 0.1}", (), "DATA.BOX_JITTER concerns annotations"),
        ("DATA: {FILTER_BY_AREA: [9, 1]}", (), r"\[low, high\]"),
        ("DATA: {AUGMENTATION: {CROP: [0.9, 0.1]}}", (), r"DATA.AUGMENTATION.CROP.*\[low, high\]"),
        ("DATA: {AUGMENTATION: {CROP: [0, 1]}}", (), "DATA.AUGMENTATION.CROP"),
        ("DATA: {AUGMENTATION: {SCALE: [0.5, 1.5]}}", (), "DATA.AUGMENTATION.SCALE"),
        ("DATA: {AUGMENTATION: {COLOR: 1.5}}", (), "DATA.AUGMENTATION.COLOR"),
        ("MODEL: {PRETRAINED: scratch, PRETRAINED_IMG_SIZE: 128}", (), "MODEL.PRETRAINED names none"),
        ("DATA: {AUGMENTATION: {ROTATE: 1}}", (), "unknown key DATA.AUGMENTATION.ROTATE; known here: FLIP, CROP"),
        ("DATA: {AUGMENTATION: {FLIP: 0.5}}", (), "DATA.AUGMENTATION changes images.*needs DISTILL.TARGET masks"),
        ("DISTILL: {STORED_EMBEDDINGS: true}", (), "DISTILL.TARGET masks"),
        ("TRAIN: {DECODER_LR_SCALE: 0}", (), "TRAIN.DECODER_LR_SCALE"),
        ("TRAIN: {DECODER_LR_SCALE: 0.5}", (), "DISTILL.ENCODER_ONLY true trains none"),
        ("DATA: {LOAD_GT_MASK: true}", (), "set DISTILL.TARGET masks"),
        ("DATA: {NUM_SAMPLES: 0}", (), "positive, or -1"),
        ("SEED: -1", (), "SEED"),
        ("TAG: ../../elsewhere", (), "TAG"),
        ("NAME: /elsewhere", (), "NAME"),
        ("TRAIN: {BASE_LR: .inf}", (), "TRAIN.BASE_LR"),
        ("- a\n- b", (), "holds no mapping"),
        ("a: [", (), "not YAML"),
    ],
)
def test_what_is_wrong_is_named(write, text, opts, message):
    with pytest.raises(EdgeSamError, match=message) as error:
        load_config(write(text), opts=opts)
    assert "\n" not in str(error.value)


MASKS = """
MODEL: {PRETRAINED: some.pth}
DISTILL: {TARGET: masks, ENCODER_ONLY: false, PIXEL_WISE: 0, INIT_FROM_TEACHER: false, DECODER_BCE: 1, DECODER_IOU: 1,
          FREEZE_PROMPT_ENCODER: false}
"""
STORED = ["DISTILL.STORED_EMBEDDINGS", "true", "DISTILL.FREEZE_IMAGE_ENCODER", "true"]


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["DISTILL.ENCODER_ONLY", "true"], "does not go with DISTILL.ENCODER_ONLY true.*set it false"),
        (["DISTILL.PIXEL_WISE", "1"], "does not go with DISTILL.PIXEL_WISE.*set it 0"),
        (["DISTILL.USE_TEACHER_LOGITS", "true"], "does not go with DISTILL.USE_TEACHER_LOGITS"),
        (["DISTILL.INIT_FROM_TEACHER", "true"], "does not go with DISTILL.INIT_FROM_TEACHER.*MODEL.PRETRAINED"),
        (["DISTILL.MULTIMASK_ON_BOX", "true"], "does not go with DISTILL.MULTIMASK_ON_BOX"),
        (["DISTILL.MULTIMASK_OUTPUT", "3"], "does not go with DISTILL.MULTIMASK_OUTPUT 3: .* set it 4 .* or 1"),
        (["DISTILL.DECODER_BCE", "0"], "DECODER_BCE, DICE and FOCAL are 0: nothing to learn"),
        (["MODEL.PRETRAINED", "scratch", "DISTILL.FREEZE_PROMPT_ENCODER", "true"], "scratch leaves that part fresh"),
        (["MODEL.PRETRAINED", "imagenet", "DISTILL.FREEZE_IMAGE_ENCODER", "true"], "imagenet leaves that part fresh"),
        (["MODEL.PRETRAINED", "scratch", "DISTILL.DECODER_IOU", "0"], "leaves the IoU head fresh"),
        (["DISTILL.PIXEL_GROUPING", "1", "DISTILL.FREEZE_IMAGE_ENCODER", "true"], "a lesson for the image encoder"),
        (["DISTILL.TARGET", "teacher", "DISTILL.PIXEL_GROUPING", "1"], "PIXEL_GROUPING looks at annotated masks"),
        (["DISTILL.STORED_EMBEDDINGS", "true"], "needs DISTILL.FREEZE_IMAGE_ENCODER true"),
        ([*STORED, "DATA.AUGMENTATION.GRAY", "0.1"], "does not go with DATA.AUGMENTATION"),
        ([*STORED, "MODEL.PRETRAINED", ""], "needs MODEL.PRETRAINED"),
        (["DISTILL.TARGET", "teacher", "DISTILL.DECODER_BCE", "0", "DISTILL.DECODER_IOU", "0"], "nothing to learn"),
    ],
)
def test_what_learning_from_masks_does_not_go_with_is_named(write, opts, message):
    assert load_config(write(MASKS)).DISTILL.TARGET == "masks"
    with pytest.raises(EdgeSamError, match=message) as error:
        load_config(write(MASKS), opts=opts)
    assert "\n" not in str(error.value)


def test_learning_from_masks_goes_with_the_rest(write):
    allowed = ["DATA.AUGMENTATION.FLIP", "0.5", "DATA.BOX_JITTER", "0.1", "TRAIN.DECODER_LR_SCALE", "4e-1"]
    config = load_config(write(MASKS), opts=[*allowed, "DISTILL.MULTIMASK_OUTPUT", "1"])
    assert config.DATA.AUGMENTATION.is_used and config.TRAIN.DECODER_LR_SCALE == 0.4
    assert not load_config(write(MASKS), opts=STORED).DATA.AUGMENTATION.is_used
    assert load_config(write(MASKS), opts=["MODEL.PRETRAINED", "scratch"]).DISTILL.DECODER_IOU == 1


def test_a_missing_file_names_where_the_shipped_ones_are(tmp_path):
    with pytest.raises(EdgeSamError, match=r"nothing\.yaml: no such configuration file .*training/configs/"):
        load_config(tmp_path / "nothing.yaml")


REFUSED = [
    "DATA.LOAD_GT_MASK", "DATA.MASK_NMS", "DATA.DEBUG", "DISTILL.CHANNEL_WISE", "DISTILL.CORRELATION",
    "DISTILL.DECODER_FEAT", "DISTILL.DECODER_QUERY", "DISTILL.DECODER_ATTN", "DISTILL.POINT_REND_SAMPLING",
    "DISTILL.PROMPT_BOX_TO_POINT", "DISTILL.PROMPT_MASK_TO_POINT", "DISTILL.LORA", "DISTILL.RPN_HEAD",
]  # fmt: skip


@pytest.mark.parametrize("key", REFUSED)
def test_settings_of_the_family_that_do_not_work_here_say_so(write, key):
    section, leaf = key.split(".")
    assert load_config(write(f"{section}: {{{leaf}: false}}")) == load_config(write("{}"))
    with pytest.raises(EdgeSamError, match=f"{key} = True is not supported: .{{20}}"):
        load_config(write(f"{section}: {{{leaf}: true}}"))
    with pytest.raises(EdgeSamError, match=f"{key} = 0.5 is not supported"):
        load_config(write("{}"), opts=[key, "0.5"])


def test_a_section_may_be_empty(write):
    assert load_config(write("DATA:\nTRAIN:\n"), opts=["DATA.IMG_SIZE", "256"]).DATA.IMG_SIZE == 256


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgeSamError, match="not YAML"):
        load_config(tmp_path / "recipe.yaml")


def test_settings_are_frozen(write):
    config = load_config(write("{}"))
    with pytest.raises(ValueError, match="frozen"):
        config.SEED = 2


def test_run_folder(write):
    config = load_config(write("{}"), {"OUTPUT": "here", "TAG": "first"})
    assert config.run_folder.parts == ("here", "recipe", "first")
