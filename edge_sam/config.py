"""The run configuration: typed, validated, frozen, read from YAML.

Keys are upper case and nested in sections, as in the YAML files of this field. An unknown key, a wrong type or a key of
this recipe family that this project does not implement is an error that names its path.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edge_sam.errors import EdgeSamError

ModelType = Literal["vit_h", "vit_l", "vit_b", "vit_t", "rep_vit_m1", "rep_vit_m2", "rep_vit_m3"]


def _number(value: Any) -> Any:  # noqa: ANN401 - whatever YAML held
    """PyYAML reads ``1e-3`` as text (YAML 1.1 wants ``1.0e-3``); everybody writes ``1e-3``."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _list(value: Any) -> Any:  # noqa: ANN401
    """One word may stand for a list of one."""
    return [value] if isinstance(value, str) else value


def _minus_one_or_positive(value: int) -> int:
    if value == -1 or value > 0:
        return value
    raise ValueError("should be positive, or -1 for all")


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("should be [low, high]")
    return value


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(value)) < len(value):
        raise ValueError("should name nothing twice")
    return value


PromptTypes = Annotated[
    tuple[Literal["box", "point"], ...], BeforeValidator(_list), Field(min_length=1), AfterValidator(_distinct)
]
NonNegative = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]
FolderName = Annotated[str, Field(pattern=r"^[^/\\\s.][^/\\]*$")]
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]
AreaRange = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_ascending)]
Count = Annotated[int, Field(ge=1)]

# Keys that recipes of this family may hold and that have no implementation here: they may only be switched off.
_REFUSED = {
    "DATA.LOAD_GT_MASK": "the distillation learns from the teacher's masks, not from the annotated ones",
    "DATA.MASK_NMS": "annotations are taken as they are; filter overlapping ones beforehand",
    "DATA.DEBUG": "use DATA.NUM_SAMPLES for a small run",
    "DISTILL.CHANNEL_WISE": "the paper found it worse than PIXEL_WISE (81.8 / 64.9 against 82.0 / 64.6)",
    "DISTILL.CORRELATION": "the paper found structured distillation worse than PIXEL_WISE",
    "DISTILL.DECODER_FEAT": "the paper found it worse than the mask loss (71.6 / 55.0 against 83.1 / 67.4)",
    "DISTILL.DECODER_QUERY": "the decoder learns from masks (DECODER_BCE, DICE, FOCAL) and scores (DECODER_IOU) alone",
    "DISTILL.DECODER_ATTN": "the paper found it no better than the mask loss alone",
    "DISTILL.POINT_REND_SAMPLING": "losses are taken over every unpadded pixel of the low-resolution masks",
    "DISTILL.PROMPT_BOX_TO_POINT": "set PROMPT_TYPE instead: box, point or both",
    "DISTILL.PROMPT_MASK_TO_POINT": "set PROMPT_TYPE instead: box, point or both",
    "DISTILL.LORA": "the paper found low-rank adaptation of the decoder worse than training it whole",
    "DISTILL.RPN_HEAD": "this project has no region proposal network",
}


class _Section(BaseModel):
    """A frozen group of settings that knows all of its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Section):
    """What is read, and how."""

    DATASET: Literal["sa1b"] = "sa1b"
    DATA_PATH: str = "datasets/SA-1B"
    """Folder with ``images/`` and ``annotations/``, or a folder of SA-1B tars."""
    IMG_SIZE: Annotated[int, Field(ge=256, le=1024, multiple_of=64)] = 1024
    """Long side of the resized image and side of the padded square, in pixels."""
    BATCH_SIZE: Count = 8
    """Images a process and step."""
    NUM_WORKERS: Annotated[int, Field(ge=0)] = 4
    PIN_MEMORY: bool = True
    NUM_SAMPLES: Annotated[int, AfterValidator(_minus_one_or_positive)] = -1
    """Use only the first images by name; -1 for all."""
    FILTER_BY_AREA: AreaRange | None = None
    """Phase 2 draws only annotations whose area (original pixels) lies in ``[low, high]``; measuring takes all."""
    BOX_JITTER: NonNegative = 0.0
    """In phase 2 each box side moves by up to this share of the box's width or height."""
    MAX_BAD_SHARE: Share = 0.05
    """A run stops when more than this share of its images or annotation files turned out to be broken."""


class ModelSettings(_Section):
    """Which network is trained, embedded or evaluated."""

    TYPE: ModelType = "rep_vit_m1"
    PRETRAINED: str = ""
    """Where training starts: ``imagenet`` (timm's weights), ``scratch``, or a file. Training refuses an empty one."""
    RESUME: str = ""
    """A training checkpoint to go on from; for a teacher, its checkpoint."""


class DistillSettings(_Section):
    """The two distillations (paper, sections 3.2 and 3.3)."""

    TEACHER_CHECKPOINT: str = "weights/sam_vit_h_4b8939.pth"
    TEACHER_EMBED_PATH: str = "teacher_embed/sa-1b"
    TEACHER_EMBED_DTYPE: Literal["float16", "int8"] = "float16"
    """What the pass that stores embeddings writes; training reads a store as it is."""
    EMBED_DIM: Literal[256] = 256
    FUSE: bool = True
    UPSAMPLE_MODE: Literal["bicubic", "bilinear"] = "bicubic"
    ENCODER_ONLY: bool = True
    """True: phase 1, the embedding is matched. False: phase 2, prompts in the loop."""
    PIXEL_WISE: NonNegative = 1.0
    DECODER_BCE: NonNegative = 0.0
    DECODER_DICE: NonNegative = 0.0
    DECODER_FOCAL: NonNegative = 0.0
    DECODER_IOU: NonNegative = 0.0
    MAX_ALLOWED_PROMPTS: Count = 16
    """Annotations drawn from an image in a step."""
    PROMPT_TYPE: PromptTypes = ("box", "point")
    """A step's first prompts: one of these, drawn with equal chance."""
    DECODE_ITERS: Count = 2
    POINTS_PER_REFINE_ITER: Count = 1
    ITER_ON_BOX: bool = True
    """The box stays in the rounds after the first; without it, a step that starts from boxes has one round."""
    MULTIMASK_OUTPUT: Literal[1, 3, 4] = 4
    MULTIMASK_ON_BOX: bool = False
    USE_TEACHER_LOGITS: bool = False
    """True: the target is the sigmoid of the teacher's logits / TEMPERATURE. False: the logits thresholded at 0."""
    TEMPERATURE: Annotated[float, BeforeValidator(_number), Field(gt=0)] = 1.0
    """Needs USE_TEACHER_LOGITS."""
    FREEZE_IMAGE_ENCODER: bool = False
    FREEZE_PROMPT_ENCODER: bool = True
    FREEZE_MASK_DECODER: bool = False
    INIT_FROM_TEACHER: bool = True
    """Prompt encoder and mask decoder of the student start as the teacher's."""


class OptimizerSettings(_Section):
    """AdamW."""

    NAME: Literal["adamw"] = "adamw"
    EPS: NonNegative = 1e-8
    BETAS: tuple[Share, Share] = (0.9, 0.999)


class TrainSettings(_Section):
    """Length, learning rate and memory of a training run."""

    EPOCHS: Count = 10
    WARMUP_EPOCHS: Annotated[int, Field(ge=0)] = 5
    BASE_LR: NonNegative = 1e-1
    WARMUP_LR: NonNegative = 5e-7
    MIN_LR: NonNegative = 5e-6
    LR_SCALE_BY_BATCH: bool = True
    """Scale the three rates by images per optimizer step / 512. False: they are meant as they stand."""
    LR_CURVE: Literal["published", "continuous"] = "published"
    """published: the cosine does not know of the warm-up and jumps where it ends. continuous: it starts there."""
    WEIGHT_DECAY: NonNegative = 0.01
    CLIP_GRAD: NonNegative = 5.0
    """Largest gradient norm; 0 for none."""
    ACCUMULATION_STEPS: Count = 1
    USE_CHECKPOINT: bool = False
    """Recompute the student's encoder in the backward pass: less memory, more time."""
    USE_SYNC_BN: bool = False
    AUTO_RESUME: bool = True
    """Go on from the newest checkpoint of the run folder."""
    SAVE_STEPS: Annotated[int, Field(ge=0)] = 0
    """Also save every so many steps, so that a killed run loses little; 0: at the ends of epochs only."""
    OPTIMIZER: OptimizerSettings = OptimizerSettings()


class ValidationSettings(_Section):
    """mIoU on the val split at the end of every epoch."""

    NUM_IMAGES: Annotated[int, Field(ge=0)] = 100
    """The first images of the val split by name; 0 for no validation."""
    NUM_INSTANCES: Count = 16
    """The first annotations of each image."""


class RunConfig(_Section):
    """Everything that decides a run. ``NAME`` is the YAML file's stem and the run folder's name."""

    NAME: FolderName | Literal[""] = ""
    DATA: DataSettings = DataSettings()
    MODEL: ModelSettings = ModelSettings()
    DISTILL: DistillSettings = DistillSettings()
    TRAIN: TrainSettings = TrainSettings()
    VALIDATION: ValidationSettings = ValidationSettings()
    AMP_ENABLE: bool = False
    """bf16 autocast over the networks and the losses."""
    OUTPUT: str = "output"
    TAG: FolderName = "default"
    SEED: Annotated[int, Field(ge=0)] = 0
    PRINT_FREQ: Count = 10
    """Steps between two lines of the log and the metrics."""
    ONLY_CPU: bool = False
    USE_WANDB: bool = False

    @property
    def run_folder(self) -> Path:
        """``<output>/<config name>/<tag>``."""
        return Path(self.OUTPUT) / self.NAME / self.TAG

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        """Refuse settings that contradict one another, or that this phase would not look at."""
        for problem in self._contradictions():
            raise ValueError(problem)
        return self

    def _contradictions(self) -> Iterator[str]:
        distill = self.DISTILL
        decoder = distill.DECODER_BCE + distill.DECODER_DICE + distill.DECODER_FOCAL + distill.DECODER_IOU
        if distill.TEMPERATURE != 1 and not distill.USE_TEACHER_LOGITS:
            yield "DISTILL.TEMPERATURE softens the teacher's logits: it needs DISTILL.USE_TEACHER_LOGITS true"
        if not distill.ENCODER_ONLY:
            if decoder == 0:
                yield "DISTILL.ENCODER_ONLY is false but every DISTILL.DECODER_* weight is 0: nothing to learn"
            return
        if decoder > 0:
            yield "DISTILL.ENCODER_ONLY is true but a DISTILL.DECODER_* loss has a weight: which phase is it?"
        if distill.PIXEL_WISE == 0:
            yield "DISTILL.ENCODER_ONLY is true but DISTILL.PIXEL_WISE is 0: nothing to learn"
        if distill.FREEZE_IMAGE_ENCODER:
            yield "DISTILL.ENCODER_ONLY and DISTILL.FREEZE_IMAGE_ENCODER are both true: nothing to learn"
        for key, value in (("FILTER_BY_AREA", self.DATA.FILTER_BY_AREA), ("BOX_JITTER", self.DATA.BOX_JITTER)):
            if value:
                yield f"DATA.{key} concerns annotations, and DISTILL.ENCODER_ONLY true reads none"

    def to_yaml(self) -> str:
        """Return the resolved configuration as YAML that :func:`load_config` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: str | Path, overrides: dict[str, Any] | None = None, opts: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, lay ``overrides`` and then ``opts`` over it, and validate the whole.

    Args:
        path: the YAML file; its stem becomes ``NAME`` unless the file holds one.
        overrides: dotted key -> value, from command-line options; ``None`` values are left out.
        opts: ``KEY VALUE KEY VALUE ...`` as given after ``--opts``; values are read as YAML.

    Raises:
        EdgeSamError: no such file, not a mapping, unknown key, wrong type, a refused key, an odd number of ``opts``.
    """
    path = Path(path)
    if not path.is_file():
        raise EdgeSamError(f"{path}: no such configuration file (shipped ones are in training/configs/)")
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise EdgeSamError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise EdgeSamError(f"{path}: holds no mapping of keys to settings")
    if len(opts) % 2:
        raise EdgeSamError(f"--opts takes pairs KEY VALUE, but {opts[-1]!r} has no value")
    tree = {key: {} if value is None else value for key, value in tree.items()}  # a section without settings
    tree.setdefault("NAME", path.stem)
    for key, value in (overrides or {}).items():
        if value is not None:
            _set(tree, key, value)
    for key, text in zip(opts[::2], opts[1::2], strict=True):
        try:
            _set(tree, key, yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise EdgeSamError(f"--opts {key}: {text!r} is not a YAML value") from error
    _drop_refused(tree, path)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise EdgeSamError(f"{path}: {_first_problem(error)}") from error


def _set(tree: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401
    *sections, leaf = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise EdgeSamError(f"{key}: {section} is a setting, not a section")
    tree[leaf] = value


def _drop_refused(tree: dict[str, Any], path: Path) -> None:
    """Take out refused keys that are switched off; raise for the others."""
    for key, reason in _REFUSED.items():
        section, leaf = key.split(".")
        group = tree.get(section)
        if isinstance(group, dict) and leaf in group:
            value = group.pop(leaf)
            if value not in (None, False, 0, 0.0, -1, "", []):
                raise EdgeSamError(f"{path}: {key} = {value!r} is not supported: {reason}")


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}; known here: {', '.join(_known_keys(first['loc'][:-1]))}{more}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, found {first['input']!r}{more}" if key else f"{message}{more}"


def _known_keys(section: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in section:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return list(model.model_fields)
