"""Where a measurement's numbers go: by default beside the checkpoint, none over those of another measurement."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_sam.errors import EdgeSamError

_HASH_DIGITS = 8


def default_output(checkpoint: str, what: str, kind: str, unusual: Mapping[str, Any]) -> Path:
    """Return ``CHECKPOINT.WHAT.KIND.json``, or ``CHECKPOINT.WHAT_HASH.KIND.json`` where something is unusual.

    Args:
        checkpoint: the measured file; the name has its suffix unless that is ``.pth``.
        what: was measured, in a few words.
        kind: of the numbers.
        unusual: everything else that decides them, where it is not the default; as JSON knows it.
    """
    if unusual:
        digest = hashlib.sha256(json.dumps(unusual, sort_keys=True).encode()).hexdigest()
        what = f"{what}_{digest[:_HASH_DIGITS]}"
    # A converted file keeps its suffix: x.pth and x.safetensors lie side by side.
    return Path(f"{checkpoint.removesuffix('.pth')}.{what}.{kind}.json")


def check_writable(path: Path, option: str = "--output FILE.json") -> None:
    """Find out before the work, not after it, that its outcome cannot be kept."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise EdgeSamError(f"{path}: cannot be written; give another place with {option}")
