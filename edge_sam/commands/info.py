"""``edgesam info``: what a weight file holds."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from edge_sam.modeling.network_recognition import Network

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_info(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    info = commands.add_parser("info", help="what a weight file holds", allow_abbrev=False)
    info.add_argument("checkpoint", type=Path, help="any weight file, or a folder of save_pretrained")
    info.set_defaults(run=_info)


def _info(chosen: argparse.Namespace) -> None:
    for name, value in describe_checkpoint(chosen.checkpoint).items():
        print(f"{name:<12}{value}")


def describe_checkpoint(path: Path) -> dict[str, str]:
    """Say what a file holds: kind, network and how it is known, whether whole, parameters by part, SHA-256, training.

    Raises:
        EdgeSamError: no such file, a broken one, or one of no known model.
    """
    from edge_sam.modeling.checkpoints import file_sha256, read_checkpoint, read_state
    from edge_sam.modeling.network_settings import find_network
    from edge_sam.modeling.pretrained import WEIGHTS_NAME

    path = path / WEIGHTS_NAME if path.is_dir() else path
    state, content = read_state(path), read_checkpoint(path)
    about = {"file": str(path), "size": f"{path.stat().st_size / 1e6:.1f} MB", "SHA-256": file_sha256(path)}
    about["holds"] = "a training checkpoint" if isinstance(content.get("optimizer"), dict) else "weights"
    network = find_network(path, state)
    about["network"] = _in_words(network, path)
    about["complete"] = _complete(network, state)
    about["parameters"] = _parameters(state)
    sampler = content.get("sampler")
    if isinstance(content.get("step"), int) and isinstance(sampler, dict):
        about["training"] = (
            f"{content['step']} steps, {sampler.get('epoch')} epochs and {sampler.get('images_seen')} images"
        )
    if content.get("teacher_sha256"):
        about["teacher"] = f"SHA-256 {content['teacher_sha256']}"
    return about


def _in_words(network: "Network", path: Path) -> str:
    from edge_sam.modeling.network_settings import read_network_settings

    told = "as the file says" if read_network_settings(path) else "by its tensors; they do not tell the size"
    kind = f"{network.model_type}, {network.image_size} px"
    if network.model_type.startswith("rep_vit"):
        kind += f", {f'fused, {network.upsample_mode} upsampling' if network.fuse else 'without fusion'}"
    return f"{kind} ({told})"


def _complete(network: "Network", state: Mapping[str, "Tensor"]) -> str:
    import torch

    from edge_sam.modeling.checkpoints import difference, split_state
    from edge_sam.modeling.registry import build_fresh

    with torch.device("meta"):  # names and shapes alone
        sam = build_fresh(network)
    if any(split_state(state).values()):
        what, problem = "a whole model", difference(sam, state)
    else:
        what, problem = "an image encoder alone", difference(sam.image_encoder, state)
    return f"no, as {what}: {problem}" if problem else f"yes, {what}"


def _parameters(state: Mapping[str, "Tensor"]) -> str:
    from edge_sam.modeling.checkpoints import split_state

    parts: dict[str, Any] = {name: part for name, part in split_state(state).items() if part}
    counts = {name: sum(tensor.numel() for tensor in part.values()) for name, part in parts.items()}
    if not counts:
        return f"{sum(tensor.numel() for tensor in state.values()):,}: an image encoder alone"
    return f"{sum(counts.values()):,}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items())
