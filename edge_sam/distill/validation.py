"""mIoU of the student on the val split, between epochs."""

from dataclasses import dataclass

import torch.distributed as dist

from edge_sam.data.sa1b import Refusal, Sa1bDataset
from edge_sam.distill.stop_signal import ignore_stop_signals
from edge_sam.distributed import World
from edge_sam.evaluation.miou import evaluate_miou
from edge_sam.evaluation.protocols import EvaluationProtocol
from edge_sam.modeling.sam import Sam

PROTOCOLS = (EvaluationProtocol("box"), EvaluationProtocol("point", "mask-center"))


@dataclass(frozen=True)
class Validation:
    """Measures a model that is in training by box and by centre point, single-mask token.

    Attributes:
        sam: on the device of ``world``; its encoder (phase 1) or all of it (phase 2) is what is trained.
        dataset: val split, with annotations kept.
        world: the processes, which share the work.
        image_batch: images encoded at once.
        max_instances: the first so many annotations of each image.
        num_workers: of each process.
        amp: bf16 autocast.
    """

    sam: Sam
    dataset: Sa1bDataset
    world: World
    image_batch: int
    max_instances: int
    num_workers: int
    amp: bool

    def measure(self) -> tuple[dict[str, float], tuple[Refusal, ...]]:
        """Return mIoU by first prompt and ``mean``, their mean; and what could not be read. All processes call it."""
        self._agree_on_statistics()
        results = evaluate_miou(
            self.sam,
            self.dataset,
            PROTOCOLS,
            world=self.world,
            image_batch=self.image_batch,
            max_instances=self.max_instances,
            num_workers=self.num_workers,
            amp=self.amp,
            worker_init_fn=ignore_stop_signals,
        )
        scores = {result.protocol.name: result.miou[0] for result in results}
        return {**scores, "mean": sum(scores.values()) / len(scores)}, results[0].refusals

    def _agree_on_statistics(self) -> None:
        """Give every process the main one's batch statistics, which are those that the checkpoint holds."""
        if self.world.size > 1:
            for buffer in self.sam.buffers():
                dist.broadcast(buffer, src=0)
