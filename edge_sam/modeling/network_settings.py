"""Which network a weight file was trained as, where the file tells.

Tensors alone would not tell: another way to upsample, or another image size, loads without a word. A training
checkpoint holds its whole configuration, a model of this project four settings as a note (see ``file_notes.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import read_checkpoint
from edge_sam.modeling.file_notes import read_notes
from edge_sam.modeling.network_recognition import Network, recognise_network
from edge_sam.modeling.repvit import UpsampleMode

_KEYS = {
    "MODEL.TYPE": "model_type",
    "DATA.IMG_SIZE": "image_size",
    "DISTILL.FUSE": "fuse",
    "DISTILL.UPSAMPLE_MODE": "upsample_mode",
}
"""Settings, and what :class:`Network` calls them."""

_NOTE = "network_settings"


def read_network_settings(path: str | Path) -> dict[str, Any]:
    """Return MODEL.TYPE, DATA.IMG_SIZE, DISTILL.FUSE and DISTILL.UPSAMPLE_MODE by name, as far as the file tells.

    Raises:
        EdgeSamError: as :func:`edge_sam.modeling.checkpoints.read_checkpoint`.
    """
    note = read_notes(Path(path)).get(_NOTE) if Path(path).is_file() else None
    if note is not None:
        return _parsed(note, Path(path))
    config = read_checkpoint(path).get("config")
    return _chosen(config) if isinstance(config, dict) else {}


def expect_network_settings(path: str | Path, settings: Mapping[str, Any]) -> None:
    """Insist that a file is taken for the network that was trained; one that does not tell passes.

    Args:
        path: any weight file.
        settings: the configuration of now, as plain values.

    Raises:
        EdgeSamError: as :func:`read_network_settings`; or names the setting that differs.
    """
    for key, (found, wanted) in contradicted_settings(path, settings).items():
        raise EdgeSamError(f"{path}: was trained with {key} {found}, not {wanted}: add --opts {key} {found}")


def contradicted_settings(path: str | Path, settings: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what a file says otherwise than a configuration: by name, the file's value and the configuration's.

    Args:
        path: any weight file.
        settings: the configuration, as plain values.

    Raises:
        EdgeSamError: as :func:`read_network_settings`.
    """
    wanted = _chosen(settings)
    told = read_network_settings(path)
    return {key: (found, wanted[key]) for key, found in told.items() if found != wanted[key]}


def find_network(
    checkpoint: str | Path,
    state: Mapping[str, Tensor],
    model_type: str | None = None,
    image_size: int | None = None,
    upsample_mode: UpsampleMode | None = None,
    fuse: bool | None = None,
) -> Network:
    """Say which network a file holds: by its own word, else as asked for, else by its tensors and the official sizes.

    Args:
        checkpoint: the file.
        state: its tensors.
        model_type: what is expected; None to leave it to the file, as for the arguments that follow.
        image_size: in pixels.
        upsample_mode: EdgeSAM only.
        fuse: EdgeSAM only.

    Raises:
        EdgeSamError: the file says otherwise, or says nothing and is of no known model.
    """
    asked = {"model_type": model_type, "image_size": image_size, "upsample_mode": upsample_mode, "fuse": fuse}
    chosen: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    for key, found in read_network_settings(checkpoint).items():
        name = _KEYS[key]
        if chosen.setdefault(name, found) != found:
            raise EdgeSamError(f"{checkpoint}: was trained with {key} {found}, not {chosen[name]}: leave that out")
    recognised = Network(model_type) if model_type is not None else recognise_network(state, str(checkpoint))
    return replace(recognised, **chosen)


def network_settings_note(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what a weight file says of a configuration, given as plain values, for ``save_state``."""
    return {_NOTE: json.dumps(_chosen(settings))}


def _chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _KEYS:
        section, name = key.split(".")
        group = config.get(section)
        if isinstance(group, dict) and group.get(name) is not None:
            found[key] = group[name]
    return found


def _parsed(note: str, path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(note)
    except ValueError:
        settings = None
    if not isinstance(settings, dict) or not set(settings) <= set(_KEYS):
        raise EdgeSamError(f"{path}: speaks of unknown network settings: {note[:120]}")
    return settings
