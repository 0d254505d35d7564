"""From a configuration to one of the three tasks: encoder distillation, prompt distillation, prompt supervision."""

from collections.abc import Callable

from torch import nn

from edge_sam.config import RunConfig
from edge_sam.distill.encoder_distillation import EncoderDistillation
from edge_sam.distill.losses import PromptLossWeights
from edge_sam.distill.prompt_distillation import PromptDistillation
from edge_sam.distill.prompt_loop import PromptLoop
from edge_sam.distill.prompt_supervision import PromptSupervision
from edge_sam.distill.student import build_encoder, build_student_sam, load_sam_start_weights, load_start_weights
from edge_sam.distill.training_checkpoint import TrainingCheckpoint
from edge_sam.modeling.checkpoints import load_official, load_prompt_and_mask_decoder
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.registry import build_decoder
from edge_sam.modeling.sam import Sam

Say = Callable[[str], None]


def describe_task(config: RunConfig) -> str:
    """Say in a few words what the run does."""
    if config.DISTILL.TARGET == "masks":
        return "supervision, prompts in the loop, annotated masks as the target"
    return "phase 1, encoder" if config.DISTILL.ENCODER_ONLY else "phase 2, prompts in the loop"


def embedder_file(config: RunConfig) -> str | None:
    """Return the checkpoint whose image encoder made the embeddings that the run reads; None when it reads none."""
    if config.DISTILL.TARGET == "teacher":
        return config.DISTILL.TEACHER_CHECKPOINT
    return config.MODEL.PRETRAINED if config.DISTILL.STORED_EMBEDDINGS else None


def prompt_loop(config: RunConfig) -> PromptLoop:
    """Return how a step prompts."""
    distill = config.DISTILL
    return PromptLoop(
        first_prompts=distill.PROMPT_TYPE,
        rounds=1 if distill.ENCODER_ONLY else distill.DECODE_ITERS,
        clicks=distill.POINTS_PER_REFINE_ITER,
        keep_box=distill.ITER_ON_BOX,
        masks_from_points=distill.MULTIMASK_OUTPUT,
        masks_from_boxes=distill.MULTIMASK_OUTPUT if distill.MULTIMASK_ON_BOX else 1,
        seed=config.SEED,
    )


def build_task(config: RunConfig, checkpoint: TrainingCheckpoint | None, say: Say) -> tuple[nn.Module, Sam]:
    """Build the models, load what they start from or go on from, and join them to a task.

    Args:
        config: of the run.
        checkpoint: to go on from; None for a run's beginning.
        say: is told what was loaded.

    Returns:
        The task, and the whole model that is validated.

    Raises:
        EdgeSamError: weights that are missing or do not fit, or nothing to train.
    """
    if config.DISTILL.ENCODER_ONLY:
        return _build_encoder_distillation(config, checkpoint, say)
    student = build_student_sam(config)
    teacher = _load_teacher(config) if config.DISTILL.TARGET == "teacher" else None
    if checkpoint is None:
        load_sam_start_weights(student, teacher, config, say)
    else:
        _go_on_from(checkpoint, student)
    distill, loop = config.DISTILL, prompt_loop(config)
    weights = PromptLossWeights(
        distill.DECODER_BCE, distill.DECODER_DICE, distill.DECODER_FOCAL, distill.DECODER_IOU, distill.PIXEL_WISE
    )
    if teacher is None:
        supervision = PromptSupervision(student, loop, weights, distill.STORED_EMBEDDINGS, distill.PIXEL_GROUPING)
        return supervision, student
    temperature = distill.TEMPERATURE if distill.USE_TEACHER_LOGITS else None
    return PromptDistillation(student, *teacher, loop, weights, temperature), student


def _build_encoder_distillation(
    config: RunConfig, checkpoint: TrainingCheckpoint | None, say: Say
) -> tuple[nn.Module, Sam]:
    encoder = build_encoder(config)
    teacher = _load_teacher(config)
    if checkpoint is None:
        say(f"student encoder: {load_start_weights(encoder, config)}")
    else:
        _go_on_from(checkpoint, encoder)
    return EncoderDistillation(encoder, config.DISTILL.PIXEL_WISE), Sam(encoder, *teacher)


def _load_teacher(config: RunConfig) -> tuple[PromptEncoder, MaskDecoder]:
    teacher = build_decoder(config.DATA.IMG_SIZE)
    load_prompt_and_mask_decoder(*teacher, config.DISTILL.TEACHER_CHECKPOINT)
    return teacher


def _go_on_from(checkpoint: TrainingCheckpoint, student: nn.Module) -> None:
    load_official(student, checkpoint.model, "the checkpoint to go on from")
