"""The sets of measurements that ``edgesam eval --suite NAME`` knows: which data, which protocols.

A protocol with clicks gives a number after each of them: "box, 2 clicks" is box, box +1 and box +2.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.datasets import images_in_words
from edge_sam.evaluation.protocols import EvaluationProtocol, GroundTruth


@dataclass(frozen=True)
class SuitePart:
    """Protocols on a data set.

    Attributes:
        dataset: as ``--dataset`` names it, see :mod:`edge_sam.evaluation.datasets`.
        protocols: what is measured there.
        num_images: the first so many by name; -1 for all.
        max_instances: the first so many masks of an image; None for all.
        image_list: file with the names of the images instead.
    """

    dataset: str
    protocols: tuple[EvaluationProtocol, ...]
    num_images: int = -1
    max_instances: int | None = None
    image_list: Path | None = None

    @property
    def chosen(self) -> str:
        """Which images and masks of the data set are measured, in words."""
        images = images_in_words(self.num_images, self.image_list)
        return images if self.max_instances is None else f"{images}, first {self.max_instances} masks of each"


_BOX = EvaluationProtocol("box", refine_iters=2)
_CENTER = EvaluationProtocol("point", "mask-center", refine_iters=2)
_BOX_OF_THREE = replace(_BOX, num_multimask_outputs=3)
_CENTER_OF_THREE = replace(_CENTER, num_multimask_outputs=3)

_QUICK = SuitePart("sa", (_BOX, _CENTER), num_images=50, max_instances=16)
_SA_1K = SuitePart("sa", (_BOX, _CENTER), num_images=1000, max_instances=64)
_COCO = SuitePart("coco", (_BOX, _CENTER))
_LVIS = SuitePart("lvis", (_BOX, _CENTER, _BOX_OF_THREE, _CENTER_OF_THREE))

SUITES: dict[str, tuple[SuitePart, ...]] = {
    "quick": (_QUICK,),
    "sa1k": (_SA_1K,),
    "coco": (_COCO,),
    "lvis": (_LVIS,),
    "paper": (_SA_1K, _COCO, _LVIS),
}
"""By name. ``paper``: what EdgeSAM's authors report (paper, section 4)."""


def find_suite(
    name: str,
    *,
    dataset: str | None = None,
    num_images: int | None = None,
    max_instances: int | None = None,
    image_list: Path | None = None,
    ground_truth: GroundTruth = "exact",
    seed: int = 0,
) -> tuple[SuitePart, ...]:
    """Return what a suite measures.

    Args:
        name: of the suite.
        dataset: only its part on this data set. Where it has none: every protocol of its once, on as many images and
            masks as its parts agree on, or else on all.
        num_images: instead of the suite's.
        max_instances: instead of the suite's.
        image_list: file with names of images, instead of a number of them; of a suite on one data set.
        ground_truth: of all protocols, as for the arguments that follow.
        seed: see :class:`edge_sam.evaluation.protocols.EvaluationProtocol`.

    Raises:
        EdgeSamError: there is no such suite, or a list for several data sets, or beside a number of images.
    """
    if name not in SUITES:
        raise EdgeSamError(f"--suite {name}: no such suite; there is {', '.join(SUITES)}")
    parts = SUITES[name]
    if dataset is not None:
        parts = _on_one_dataset(parts, dataset)
    if image_list is not None and (len(parts) > 1 or num_images is not None):
        what = f"--suite {name} has {len(parts)} data sets" if len(parts) > 1 else "--num-images says which, too"
        raise EdgeSamError(f"--image-list {image_list}: {what}: leave one of the two out")
    return tuple(
        replace(
            part,
            image_list=image_list,
            protocols=tuple(replace(protocol, ground_truth=ground_truth, seed=seed) for protocol in part.protocols),
            num_images=part.num_images if num_images is None else num_images,
            max_instances=part.max_instances if max_instances is None else max_instances,
        )
        for part in parts
    )


def _on_one_dataset(parts: tuple[SuitePart, ...], dataset: str) -> tuple[SuitePart, ...]:
    """Return what the parts of a suite measure on a data set, see :func:`find_suite`."""
    own = tuple(part for part in parts if part.dataset == dataset)
    if own:
        return own
    protocols = tuple(dict.fromkeys(protocol for part in parts for protocol in part.protocols))
    sizes = {(part.num_images, part.max_instances) for part in parts}
    # 1000 images of SA-1B say nothing of how many of another data set a suite of several would take.
    num_images, max_instances = sizes.pop() if len(sizes) == 1 else (-1, None)
    return (SuitePart(dataset, protocols, num_images, max_instances),)
