"""Models in folders and repositories of the Hugging Face hub: ``config.json`` beside ``model.safetensors``."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HFValidationError

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.checkpoints import official_state, read_state, save_state
from edge_sam.modeling.loading import build_network, network_of
from edge_sam.modeling.network_recognition import Network
from edge_sam.modeling.network_settings import contradicted_settings, network_settings_note
from edge_sam.modeling.repvit import UpsampleMode
from edge_sam.modeling.sam import Sam

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


def save_pretrained(sam: Sam, folder: str | Path) -> None:
    """Write a model so that :func:`load_pretrained` and the hub understand it; see :meth:`Sam.save_pretrained`."""
    folder = Path(folder)
    network = network_of(sam)
    save_state(official_state(sam), folder / WEIGHTS_NAME, network_settings_note(network.settings))
    try:
        (folder / CONFIG_NAME).write_text(json.dumps(asdict(network), indent=2) + "\n")
    except OSError as error:
        raise EdgeSamError(f"{folder / CONFIG_NAME}: could not be written ({error.strerror})") from error


def load_pretrained(name: str | Path, revision: str | None = None) -> Sam:
    """Load a model from a folder, or from the hub where there is no such folder; see :meth:`Sam.from_pretrained`."""
    folder = Path(name)
    if folder.is_dir():
        config, weights = folder / CONFIG_NAME, folder / WEIGHTS_NAME
        if not config.is_file():
            raise EdgeSamError(f"{folder}: has no {CONFIG_NAME}; save_pretrained writes one beside {WEIGHTS_NAME}")
    else:
        config, weights = (_fetch(str(name), file, revision) for file in (CONFIG_NAME, WEIGHTS_NAME))
    network = _read_config(config)
    for key, (found, said) in contradicted_settings(weights, network.settings).items():
        raise EdgeSamError(f"{config}: says {key} {said}, but {weights.name} beside it was trained with {found}")
    return build_network(network, read_state(weights), str(weights))


def _fetch(repository: str, file: str, revision: str | None) -> Path:
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except (OSError, HFValidationError) as error:
        reason = " ".join(str(error).split())[:160]
        raise EdgeSamError(
            f"{repository}: no such folder, and {file} could not be had from the Hugging Face hub ({reason})"
        ) from error


def _read_config(path: Path) -> Network:
    try:
        config: Any = json.loads(path.read_text())
    except ValueError as error:
        raise EdgeSamError(f"{path}: not JSON ({error})") from error
    names = [field.name for field in fields(Network)]
    missing = [name for name in names if name not in config] if isinstance(config, dict) else names
    if missing:
        raise EdgeSamError(f"{path}: lacks {', '.join(missing)}: not the configuration of a model of this project")
    chosen = {name: config[name] for name in names}
    right = {
        "model_type": isinstance(chosen["model_type"], str),
        "image_size": type(chosen["image_size"]) is int,
        "fuse": isinstance(chosen["fuse"], bool),
        "upsample_mode": chosen["upsample_mode"] in get_args(UpsampleMode),
    }
    wrong = [name for name in names if not right[name]]
    if wrong:
        raise EdgeSamError(f"{path}: {wrong[0]} is {chosen[wrong[0]]!r}")
    return Network(**chosen)
