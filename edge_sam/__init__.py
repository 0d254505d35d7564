"""EdgeSAM: prompt-in-the-loop distillation of the Segment Anything Model for on-device use."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator
    from edge_sam.inference.predictor import SamPredictor
    from edge_sam.modeling.registry import sam_model_registry
    from edge_sam.modeling.sam import Sam

__all__ = ["Sam", "SamAutomaticMaskGenerator", "SamPredictor", "__version__", "sam_model_registry"]
__version__ = "0.1.0"

_HOMES = {
    "Sam": "edge_sam.modeling.sam",
    "SamAutomaticMaskGenerator": "edge_sam.inference.automatic_masks",
    "SamPredictor": "edge_sam.inference.predictor",
    "sam_model_registry": "edge_sam.modeling.registry",
}


def __getattr__(name: str) -> object:
    """Import the models only when they are asked for: ``edgesam --help`` does not wait for PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
