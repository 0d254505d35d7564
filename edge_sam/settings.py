"""The sections of a run's settings, each key with its type, range and default.

Keys are upper case, as in the YAML files of this field. What settings may not stand together is in
``contradictions.py``, how a file is read in ``config.py``.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
PositiveShare = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1)]
ShareRange = Annotated[tuple[PositiveShare, PositiveShare], AfterValidator(_ascending)]
AreaRange = Annotated[tuple[NonNegative, NonNegative], AfterValidator(_ascending)]
Count = Annotated[int, Field(ge=1)]
ImageSize = Annotated[int, Field(ge=128, le=1024, multiple_of=64)]


class Section(BaseModel):
    """A frozen group of settings that knows all of its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AugmentationSettings(Section):
    """How training images are changed, their masks and prompts with them (DISTILL.TARGET masks)."""

    FLIP: Share = 0.0
    """Share of images mirrored left to right."""
    CROP: ShareRange = (1.0, 1.0)
    """Sides of the part that is used, as a share of the picture's: drawn from ``[low, high]``."""
    SCALE: ShareRange = (1.0, 1.0)
    """Long side of the resized image as a share of IMG_SIZE: drawn from ``[low, high]``."""
    COLOR: Share = 0.0
    """Strength of changes of brightness, contrast, saturation and tint."""
    GRAY: Share = 0.0
    """Share of images made grey."""

    @property
    def is_used(self) -> bool:
        """Whether any image is changed."""
        return self != AugmentationSettings()


class DataSettings(Section):
    """What is read, and how."""

    DATASET: Literal["sa1b"] = "sa1b"
    DATA_PATH: str = "datasets/SA-1B"
    """Folder with ``images/`` and ``annotations/``, or a folder of SA-1B tars."""
    IMG_SIZE: ImageSize = 1024
    """Long side of the resized image and side of the padded square, in pixels."""
    BATCH_SIZE: Count = 8
    """Images a process and step."""
    NUM_WORKERS: Annotated[int, Field(ge=0)] = 4
    PIN_MEMORY: bool = True
    NUM_SAMPLES: Annotated[int, AfterValidator(_minus_one_or_positive)] = -1
    """Use only the first images by name; -1 for all."""
    FILTER_BY_AREA: AreaRange | None = None
    """Prompts come only from annotations whose area (original pixels) lies in ``[low, high]``; measuring takes all."""
    BOX_JITTER: NonNegative = 0.0
    """Each side of a box prompt moves by up to this share of the box's width or height."""
    AUGMENTATION: AugmentationSettings = AugmentationSettings()
    MAX_BAD_SHARE: Share = 0.05
    """A run stops when more than this share of its images or annotation files turned out to be broken."""


class ModelSettings(Section):
    """Which network is trained, embedded or evaluated."""

    TYPE: ModelType = "rep_vit_m1"
    PRETRAINED: str = ""
    """Where training starts: ``imagenet`` (timm's weights), ``scratch``, or a file. Training refuses an empty one."""
    PRETRAINED_IMG_SIZE: ImageSize | None = None
    """DATA.IMG_SIZE of the run that the file PRETRAINED comes from, where this one is meant to have another."""
    RESUME: str = ""
    """A training checkpoint to go on from; for a teacher, its checkpoint."""


class DistillSettings(Section):
    """The two distillations (paper, sections 3.2 and 3.3), and training on annotated masks in the same loop."""

    TARGET: Literal["teacher", "masks"] = "teacher"
    """teacher: its embeddings or masks are learnt. masks: those of the annotations, without a teacher."""
    STORED_EMBEDDINGS: bool = False
    """With TARGET masks and a frozen encoder: its embeddings are read from TEACHER_EMBED_PATH, not computed."""
    TEACHER_CHECKPOINT: str = "weights/sam_vit_h_4b8939.pth"
    TEACHER_EMBED_PATH: str = "teacher_embed/sa-1b"
    TEACHER_EMBED_DTYPE: Literal["float16", "int8"] = "float16"
    """What the pass that stores embeddings writes; training reads a store as it is."""
    EMBED_DIM: Literal[256] = 256
    FUSE: bool = True
    UPSAMPLE_MODE: Literal["bicubic", "bilinear"] = "bicubic"
    ENCODER_ONLY: bool = True
    """True: phase 1, the embedding is matched. False: prompts in the loop (phase 2, or TARGET masks)."""
    PIXEL_WISE: NonNegative = 1.0
    DECODER_BCE: NonNegative = 0.0
    DECODER_DICE: NonNegative = 0.0
    DECODER_FOCAL: NonNegative = 0.0
    DECODER_IOU: NonNegative = 0.0
    PIXEL_GROUPING: NonNegative = 0.0
    """With TARGET masks: features of one mask's pixels are alike, for an encoder that starts from nothing."""
    MAX_ALLOWED_PROMPTS: Count = 16
    """Annotations drawn from an image in a step."""
    PROMPT_TYPE: PromptTypes = ("box", "point")
    """A step's first prompts: one of these, drawn with equal chance."""
    DECODE_ITERS: Count = 2
    POINTS_PER_REFINE_ITER: Count = 1
    ITER_ON_BOX: bool = True
    """The box stays in the rounds after the first; without it, a step that starts from boxes has one round."""
    MULTIMASK_OUTPUT: Literal[1, 3, 4] = 4
    """Masks compared in steps from points; with TARGET masks 4 is the single mask and the best of the three."""
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


class OptimizerSettings(Section):
    """AdamW."""

    NAME: Literal["adamw"] = "adamw"
    EPS: NonNegative = 1e-8
    BETAS: tuple[Share, Share] = (0.9, 0.999)


class TrainSettings(Section):
    """Length, learning rate and memory of a training run."""

    EPOCHS: Count = 10
    WARMUP_EPOCHS: NonNegative = 5
    """May be a fraction: a small data set seen often, or a large one seen once, warms up within an epoch."""
    BASE_LR: NonNegative = 1e-1
    WARMUP_LR: NonNegative = 5e-7
    MIN_LR: NonNegative = 5e-6
    LR_SCALE_BY_BATCH: bool = True
    """Scale the three rates by images per optimizer step / 512. False: they are meant as they stand."""
    DECODER_LR_SCALE: Annotated[float, BeforeValidator(_number), Field(gt=0, allow_inf_nan=False)] = 1.0
    """Rate of prompt encoder and mask decoder relative to the image encoder's."""
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


class ValidationSettings(Section):
    """mIoU on the val split at the end of every epoch."""

    NUM_IMAGES: Annotated[int, Field(ge=0)] = 100
    """The first images of the val split by name; 0 for no validation."""
    NUM_INSTANCES: Count = 16
    """The first annotations of each image."""
