"""Settings that may not stand together, each pair with the sentence that says what to change."""

from collections.abc import Iterator

from edge_sam.settings import DataSettings, DistillSettings, ModelSettings, TrainSettings

_NO_FILES = ("scratch", "imagenet")
"""What MODEL.PRETRAINED may be beside a file."""


def contradictions(
    data: DataSettings, model: ModelSettings, distill: DistillSettings, train: TrainSettings
) -> Iterator[str]:
    """Yield what is wrong with a run's settings: they contradict one another, or nothing would look at one of them."""
    if distill.TEMPERATURE != 1 and not distill.USE_TEACHER_LOGITS:
        yield "DISTILL.TEMPERATURE softens the teacher's logits: it needs DISTILL.USE_TEACHER_LOGITS true"
    if model.PRETRAINED_IMG_SIZE is not None and model.PRETRAINED in ("", *_NO_FILES):
        yield "MODEL.PRETRAINED_IMG_SIZE speaks of a file: MODEL.PRETRAINED names none"
    if distill.TARGET == "masks":
        yield from _of_masks(distill)
        yield from _of_start(model, distill)
        yield from _of_stored_embeddings(data, model, distill)
        return
    if distill.PIXEL_GROUPING:
        yield "DISTILL.PIXEL_GROUPING looks at annotated masks: it needs DISTILL.TARGET masks"
    if distill.STORED_EMBEDDINGS:
        yield (
            "DISTILL.STORED_EMBEDDINGS replaces a frozen encoder where masks are learnt (DISTILL.TARGET masks); "
            "the distillations read the teacher's store in any case"
        )
    if data.AUGMENTATION.is_used:
        yield (
            "DATA.AUGMENTATION changes images, and the teacher's embeddings are of unchanged ones: "
            "it needs DISTILL.TARGET masks"
        )
    yield from _of_phase_1(data, distill, train) if distill.ENCODER_ONLY else _of_phase_2(distill)


def _decoder_weights(distill: DistillSettings) -> float:
    return distill.DECODER_BCE + distill.DECODER_DICE + distill.DECODER_FOCAL + distill.DECODER_IOU


def _of_phase_1(data: DataSettings, distill: DistillSettings, train: TrainSettings) -> Iterator[str]:
    if _decoder_weights(distill) > 0:
        yield "DISTILL.ENCODER_ONLY is true but a DISTILL.DECODER_* loss has a weight: which phase is it?"
    if distill.PIXEL_WISE == 0:
        yield "DISTILL.ENCODER_ONLY is true but DISTILL.PIXEL_WISE is 0: nothing to learn"
    if distill.FREEZE_IMAGE_ENCODER:
        yield "DISTILL.ENCODER_ONLY and DISTILL.FREEZE_IMAGE_ENCODER are both true: nothing to learn"
    for key, value in (("FILTER_BY_AREA", data.FILTER_BY_AREA), ("BOX_JITTER", data.BOX_JITTER)):
        if value:
            yield f"DATA.{key} concerns annotations, and DISTILL.ENCODER_ONLY true reads none"
    if train.DECODER_LR_SCALE != 1:
        yield "TRAIN.DECODER_LR_SCALE concerns the decoder, and DISTILL.ENCODER_ONLY true trains none"


def _of_phase_2(distill: DistillSettings) -> Iterator[str]:
    if _decoder_weights(distill) == 0:
        yield "DISTILL.ENCODER_ONLY is false but every DISTILL.DECODER_* weight is 0: nothing to learn"


def _of_masks(distill: DistillSettings) -> Iterator[str]:
    """What supervision by annotated masks has no use for."""
    unused = {
        "ENCODER_ONLY true": (distill.ENCODER_ONLY, "masks come from prompts in the loop: set it false"),
        "PIXEL_WISE": (distill.PIXEL_WISE > 0, "there is no teacher's embedding to match: set it 0"),
        "USE_TEACHER_LOGITS": (distill.USE_TEACHER_LOGITS, "there is no teacher: set it false"),
        "INIT_FROM_TEACHER": (
            distill.INIT_FROM_TEACHER,
            "there is no teacher: set it false; MODEL.PRETRAINED names the whole model to start from, or scratch",
        ),
        "MULTIMASK_ON_BOX": (distill.MULTIMASK_ON_BOX, "a box is not ambiguous, its single mask learns: set it false"),
        "MULTIMASK_OUTPUT 3": (
            distill.MULTIMASK_OUTPUT == 3,
            "the single mask learns in any case: set it 4 (with the three of an ambiguous point) or 1 (alone)",
        ),
    }
    for key, (is_set, advice) in unused.items():
        if is_set:
            yield f"DISTILL.TARGET masks does not go with DISTILL.{key}: {advice}"
    if distill.PIXEL_GROUPING and distill.FREEZE_IMAGE_ENCODER:
        yield "DISTILL.PIXEL_GROUPING is a lesson for the image encoder, and DISTILL.FREEZE_IMAGE_ENCODER is true"
    if distill.DECODER_BCE + distill.DECODER_DICE + distill.DECODER_FOCAL == 0:
        yield "DISTILL.TARGET is masks but DISTILL.DECODER_BCE, DICE and FOCAL are 0: nothing to learn"


def _of_start(model: ModelSettings, distill: DistillSettings) -> Iterator[str]:
    """Whoever starts without a decoder has to train all of it."""
    if model.PRETRAINED not in _NO_FILES:
        return
    for key in ("FREEZE_IMAGE_ENCODER", "FREEZE_PROMPT_ENCODER", "FREEZE_MASK_DECODER"):
        if getattr(distill, key):
            yield (
                f"DISTILL.{key} is true but MODEL.PRETRAINED {model.PRETRAINED} leaves that part fresh: "
                "set it false, or MODEL.PRETRAINED to a whole model"
            )
    if distill.DECODER_IOU == 0:
        yield (
            f"DISTILL.DECODER_IOU is 0 but MODEL.PRETRAINED {model.PRETRAINED} leaves the IoU head fresh: "
            "without a weight it never learns which mask is best"
        )


def _of_stored_embeddings(data: DataSettings, model: ModelSettings, distill: DistillSettings) -> Iterator[str]:
    if not distill.STORED_EMBEDDINGS:
        return
    if not distill.FREEZE_IMAGE_ENCODER:
        yield "DISTILL.STORED_EMBEDDINGS takes the image encoder's place: it needs DISTILL.FREEZE_IMAGE_ENCODER true"
    if data.AUGMENTATION.is_used:
        yield "DISTILL.STORED_EMBEDDINGS are of unchanged images: it does not go with DATA.AUGMENTATION"
    if not model.PRETRAINED:
        yield "DISTILL.STORED_EMBEDDINGS needs MODEL.PRETRAINED: the file of the model that the store was made with"
