"""The images a run learns from, with what its task needs of them: prompts, masks, stored embeddings."""

from collections.abc import Callable
from pathlib import Path

from edge_sam.config import RunConfig
from edge_sam.data.augmentation import Augmentation
from edge_sam.data.sa1b import Sa1bDataset
from edge_sam.distill.tasks import embedder_file, prompt_loop
from edge_sam.embeddings.dataset import WithTeacherEmbedding
from edge_sam.embeddings.images import PREPROCESSING
from edge_sam.embeddings.store import EmbeddingStore

TrainingData = Sa1bDataset | WithTeacherEmbedding


def open_training_data(config: RunConfig, embedder_sha256: str, say: Callable[[str], None]) -> TrainingData:
    """Open the train split, joined with its embeddings where the run reads any.

    Args:
        config: of the run.
        embedder_sha256: of :func:`embedder_file`.
        say: is told what was left out.

    Raises:
        EdgeSamError: no data, or a store that is not of these images, this size or this model.
    """
    dataset = _open_images(config)
    if dataset.unannotated:
        say(f"left out: {dataset.unannotated} images without an annotation file")
    if embedder_file(config) is None:
        return dataset
    joined = WithTeacherEmbedding(dataset, _open_store(config, embedder_sha256))
    if len(joined) < len(dataset):
        say(f"left out: {len(dataset) - len(joined)} images that the embedding pass refused")
    return joined


def _open_images(config: RunConfig) -> Sa1bDataset:
    data, distill = config.DATA, config.DISTILL
    settings = data.AUGMENTATION
    augmentation = Augmentation(settings.FLIP, settings.CROP, settings.SCALE, settings.COLOR, settings.GRAY)
    return Sa1bDataset(
        data.DATA_PATH,
        "train",
        data.IMG_SIZE,
        data.NUM_SAMPLES,
        with_annotations=not distill.ENCODER_ONLY,
        max_annotations=distill.MAX_ALLOWED_PROMPTS,
        clicks=prompt_loop(config).clicks_in_step,
        filter_by_area=data.FILTER_BY_AREA,
        box_jitter=data.BOX_JITTER,
        with_masks=distill.TARGET == "masks",
        augmentation=augmentation if settings.is_used else None,
        seed=config.SEED,
    )


def _open_store(config: RunConfig, embedder_sha256: str) -> EmbeddingStore:
    distill = config.DISTILL
    store = EmbeddingStore.open(Path(distill.TEACHER_EMBED_PATH) / "train")
    key = "DISTILL.TEACHER_CHECKPOINT" if distill.TARGET == "teacher" else "MODEL.PRETRAINED"
    store.expect(
        {"teacher_sha256": embedder_sha256},
        remedy=f"set {key} to the file that the store was made with, or DISTILL.TEACHER_EMBED_PATH "
        f"to a store of {embedder_file(config)}",
    )
    store.expect(
        {"image_size": config.DATA.IMG_SIZE, "preprocessing": PREPROCESSING},
        remedy="set DISTILL.TEACHER_EMBED_PATH to a store made with that, by training/save_embedding.py",
    )
    if distill.TARGET == "masks":
        is_repvit = config.MODEL.TYPE.startswith("rep_vit")
        store.expect(
            {
                "teacher_type": config.MODEL.TYPE,
                "fuse": distill.FUSE if is_repvit else None,
                "upsample_mode": distill.UPSAMPLE_MODE if is_repvit else None,
            },
            remedy="set MODEL.TYPE, DISTILL.FUSE and DISTILL.UPSAMPLE_MODE as they were when the store was made",
        )
    return store
