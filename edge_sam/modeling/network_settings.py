"""Which network a weight file was trained as, where the file tells.

Tensors alone would not tell: another way to upsample, or another image size, loads without a word. A training
checkpoint holds its whole configuration, a safetensors file of this project four settings in its header.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import read_checkpoint

_KEYS = ("MODEL.TYPE", "DATA.IMG_SIZE", "DISTILL.FUSE", "DISTILL.UPSAMPLE_MODE")
_NOTE = "network_settings"


def read_network_settings(path: str | Path) -> dict[str, Any]:
    """Return MODEL.TYPE, DATA.IMG_SIZE, DISTILL.FUSE and DISTILL.UPSAMPLE_MODE by name, as far as the file tells.

    Raises:
        EdgeSamError: as :func:`edge_sam.modeling.checkpoints.read_checkpoint`.
    """
    if Path(path).suffix == ".safetensors" and Path(path).is_file():
        return _read_header(Path(path))
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
    wanted = _chosen(settings)
    for key, found in read_network_settings(path).items():
        if found != wanted[key]:
            raise EdgeSamError(f"{path}: was trained with {key} {found}, not {wanted[key]}: add --opts {key} {found}")


def network_settings_note(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what the header of a safetensors file says of a configuration, given as plain values."""
    return {_NOTE: json.dumps(_chosen(settings))}


def _chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _KEYS:
        section, name = key.split(".")
        group = config.get(section)
        if isinstance(group, dict) and group.get(name) is not None:
            found[key] = group[name]
    return found


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            note = (file.metadata() or {}).get(_NOTE, "{}")
        settings = json.loads(note)
    except (SafetensorError, OSError, ValueError) as error:
        raise EdgeSamError(f"{path}: truncated or corrupt ({error}); fetch or write it again") from error
    if not isinstance(settings, dict) or not set(settings) <= set(_KEYS):
        raise EdgeSamError(f"{path}: its header speaks of unknown network settings: {note[:120]}")
    return settings
