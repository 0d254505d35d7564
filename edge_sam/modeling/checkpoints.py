"""Weight files and modules, strict both ways. Every file holds official names; see ``official_names.py``."""

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edge_sam.errors import EdgeSamError
from edge_sam.modeling.file_notes import append_notes
from edge_sam.modeling.mask_decoder import MaskDecoder
from edge_sam.modeling.official_files import OFFICIAL_FILES
from edge_sam.modeling.official_names import PARTS, official_names
from edge_sam.modeling.packed_weights import unpack_weights
from edge_sam.modeling.prompt_encoder import PromptEncoder
from edge_sam.modeling.repvit import RepViTImageEncoder
from edge_sam.modeling.sam import Sam

State = dict[str, Tensor]


def read_state(path: str | Path) -> State:
    """Read the tensors of a ``.pth``, ``.pt`` or ``.safetensors`` file on the CPU, without running code from it.

    A dictionary in a dictionary (``{"model": ...}``, ``{"state_dict": ...}``) is unwrapped.

    Raises:
        EdgeSamError: no such file, a truncated or foreign file, or something else than tensors in it.
    """
    path = Path(path)
    content = read_checkpoint(path)
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    strange = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strange or not content:
        found = f"{strange[0]!r} is no tensor" if strange else "it is empty"
        raise EdgeSamError(f"{path}: not a checkpoint, which maps names to tensors ({found})")
    return content


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read the dictionary of a file as it stands: tensors, and what a training run keeps beside them.

    Tensors are mapped where the format allows it: what is not looked at is not read, and the file must not be written
    over (a new one under its name is safe) while they are in use.

    Raises:
        EdgeSamError: no such file, a truncated or foreign file, no dictionary in it.
    """
    path = Path(path)
    if not path.is_file():
        raise EdgeSamError(_missing_file(path))
    try:
        if path.suffix == ".safetensors":
            content = unpack_weights(safetensors.torch.load_file(path), str(path))
        else:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except EdgeSamError:
        raise
    except (pickle.UnpicklingError, LookupError) as error:  # text, too, is read as commands, some of which there are
        raise EdgeSamError(
            f"{path}: not a weight file, or one that holds more than tensors and plain values"
        ) from error
    except Exception as error:  # arbitrary bytes raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise EdgeSamError(f"{path}: truncated or corrupt ({reason}); fetch or write it again") from error
    if not isinstance(content, dict):
        raise EdgeSamError(f"{path}: not a checkpoint: it holds a {type(content).__name__}, not names and tensors")
    return content


def _missing_file(path: Path) -> str:
    for file in OFFICIAL_FILES.values():
        if path.name == file.file_name:
            return f"{path}: no such file; `edgesam download {file.name}` puts it at weights/{file.file_name}"
    return f"{path}: no such file"


def official_state(module: nn.Module) -> State:
    """Return the tensors of a :class:`Sam` or of one of its parts, with official names, in the official order."""
    state = module.state_dict()
    return {official: state[own] for official, own in official_names(module).items()}


def load_official(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load tensors with official names; all of them must be there, with the right shapes, and no other.

    Args:
        module: a :class:`Sam` or one of its parts.
        state: names begin with the part's name for a :class:`Sam`, and do not for a part.
        source: where the state comes from, for the error.

    Raises:
        EdgeSamError: names ``source``, the number and the first three missing and unexpected names, or the first wrong
            shape, and what to do about it where that is known.
    """
    problem = difference(module, state)
    if problem:
        raise EdgeSamError(f"{source}: not the weights of this {_kind(module)}: {problem}{_hint(module, state)}")
    module.load_state_dict({own: state[name] for name, own in official_names(module).items()})


def difference(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Say what keeps tensors from being all weights of a module and no others; empty where nothing does.

    Args:
        module: see :func:`load_official`, as for the argument that follows; on the device ``meta``, too.
        state: with official names.

    Returns:
        The number and the first three names of missing and unexpected tensors; where there are none, the first wrong
        shape.
    """
    names = official_names(module)
    own_state = module.state_dict()
    missing = [name for name in names if name not in state]
    unexpected = [name for name in state if name not in names]
    if missing or unexpected:
        problems = [_listed("missing", missing), _listed("unexpected", unexpected)]
        return "; ".join(problem for problem in problems if problem)
    for name, own in names.items():
        if state[name].shape != own_state[own].shape:
            return f"{name} has shape {tuple(state[name].shape)}, not {tuple(own_state[own].shape)}"
    return ""


def _listed(what: str, names: list[str]) -> str:
    tensors = "tensor" if len(names) == 1 else "tensors"
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} {what} {tensors} ({', '.join(names[:3])}{more})" if names else ""


def _kind(module: nn.Module) -> str:
    return f"Sam with {type(module.image_encoder).__name__}" if isinstance(module, Sam) else type(module).__name__


_FAMILIES = {
    "features.0.0.c.weight": "an EdgeSAM checkpoint (rep_vit_m1, rep_vit_m2, rep_vit_m3)",
    "pos_embed": "a SAM checkpoint (vit_b, vit_l, vit_h)",
    "patch_embed.seq.0.c.weight": "a MobileSAM checkpoint (vit_t)",
}


def _family(names: Iterable[str]) -> str:
    """Recognise the image encoder that ``names`` belong to; empty if there is none known among them."""
    bare = {name.removeprefix("image_encoder.") for name in names}
    return next((family for mark, family in _FAMILIES.items() if mark in bare), "")


def _hint(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Say what the state may be instead, if it looks like something known."""
    if _is_repvit_m0_9(state):
        return f"; {_M0_9_SENTENCE}"
    found, wanted = _family(state), _family(official_names(module))
    if found and wanted and found != wanted:
        return f"; this looks like {found}"
    if isinstance(module, Sam) and not any(name.startswith("mask_decoder.") for name in state):
        return (
            "; if this is a training checkpoint of the encoder alone, convert it first: "
            "python scripts/convert_weights.py FILE --encoder-only"
        )
    return ""


_M0_9_SENTENCE = (
    "this is RepViT-M0.9 or a later RepViT, whose blocks are of another form than those of RepViT-M1: "
    "renaming cannot make one of the other, take repvit_m1"
)


def _is_repvit_m0_9(state: Mapping[str, Tensor]) -> bool:
    """The later blocks have a plain 1x1 convolution where the older ones have one with its own norm."""
    return any(re.search(r"token_mixer\.(0\.)?conv1\.weight$", name) for name in state)


def split_state(state: Mapping[str, Tensor]) -> dict[str, State]:
    """Split a whole checkpoint into its three parts, whose names then begin after the part's."""
    return {
        part: {name.removeprefix(f"{part}."): tensor for name, tensor in state.items() if name.startswith(f"{part}.")}
        for part in PARTS
    }


def load_student_encoder(encoder: nn.Module, path: str | Path) -> str:
    """Load an image encoder from whichever kind of file holds its weights, strictly.

    Args:
        encoder: the student's image encoder.
        path: a file of the encoder alone, a training checkpoint of either phase, or a whole SAM-format file, of which
            the encoder is taken. For RepViT also an ImageNet model in timm's or its authors' naming: the classifier
            is dropped, fusion and neck keep their fresh weights.

    Returns:
        What was loaded, for the log.

    Raises:
        EdgeSamError: as :func:`read_state` and :func:`load_official`.
    """
    state = read_state(path)
    encoder_state = split_state(state)["image_encoder"]
    if encoder_state:
        load_official(encoder, encoder_state, str(path))
        return f"image encoder out of the whole model in {path}"
    if isinstance(encoder, RepViTImageEncoder) and not any(name.startswith("neck.") for name in state):
        _load_imagenet_state(encoder, state, str(path))
        return f"ImageNet trunk of {path}; fusion and neck start fresh"
    load_official(encoder, state, str(path))
    return f"image encoder of {path}"


def load_imagenet_weights(encoder: nn.Module) -> str:
    """Load the ImageNet weights that timm publishes (``repvit_m1.dist_in1k``) into the student's trunk.

    Returns:
        What was loaded, for the log.

    Raises:
        EdgeSamError: the encoder has no such weights, or they cannot be fetched.
    """
    if not isinstance(encoder, RepViTImageEncoder):
        raise EdgeSamError(
            f"no ImageNet weights are known for {type(encoder).__name__}: give a file, or start from scratch"
        )
    name = f"repvit_{encoder.arch}.dist_in1k"
    try:
        model = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise EdgeSamError(
            f"{name}: could not be fetched from timm's hub ({type(error).__name__}: {reason}); "
            "set MODEL.PRETRAINED to a local file of it, or to scratch"
        ) from error
    _load_imagenet_state(encoder, model.state_dict(), name)
    return f"ImageNet trunk {name}; fusion and neck start fresh"


def _load_imagenet_state(encoder: RepViTImageEncoder, state: Mapping[str, Tensor], source: str) -> None:
    """Load a classification model in timm's naming (``stem``, ``stages``, ``head``) or its authors' (``features``)."""
    if _is_repvit_m0_9(state):
        raise EdgeSamError(f"{source}: {_M0_9_SENTENCE}")
    own_names = official_names(encoder)
    trunk_names = {name: own.removeprefix("trunk.") for name, own in own_names.items() if own.startswith("trunk.")}
    if any(name.startswith("stem.") for name in state):
        official = {own: name for name, own in trunk_names.items()}
        state = {official.get(name, name): tensor for name, tensor in state.items()}
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith(("classifier.", "head."))}
    fresh = {name: tensor for name, tensor in official_state(encoder).items() if name not in trunk_names}
    load_official(encoder, {**trunk, **fresh}, source)


def load_prompt_and_mask_decoder(prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, path: str | Path) -> None:
    """Load both out of a whole checkpoint, e.g. the teacher's official file.

    Raises:
        EdgeSamError: as :func:`read_state` and :func:`load_official`.
    """
    parts = split_state(read_state(path))
    load_official(prompt_encoder, parts["prompt_encoder"], str(path))
    load_official(mask_decoder, parts["mask_decoder"], str(path))


def save_state(state: Mapping[str, Tensor], path: str | Path, notes: Mapping[str, str] | None = None) -> None:
    """Write tensors, as safetensors if the suffix says so; the file appears whole or not at all.

    Args:
        state: what to write.
        path: where to.
        notes: what else the file says, see ``file_notes.py``.

    Raises:
        EdgeSamError: the file cannot be written.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with _written_whole(path) as temporary:
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(tensors, temporary, dict(notes or {}))
        else:
            torch.save(tensors, temporary)
            append_notes(temporary, notes or {})


def save_checkpoint(content: Mapping[str, Any], path: str | Path) -> None:
    """Write a dictionary that :func:`read_checkpoint` reads back; the file appears whole or not at all.

    Raises:
        EdgeSamError: the file cannot be written.
    """
    with _written_whole(Path(path)) as temporary:
        torch.save(dict(content), temporary)


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name in the same folder; afterwards force the file to the disk and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _force_to_disk(temporary)
        temporary.replace(path)
        _force_to_disk(path.parent)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EdgeSamError(f"{path}: could not be written ({' '.join(str(error).split())[:160]})") from error
    finally:
        with suppress(OSError):  # it was renamed, or could not be made: then that is what is to be told
            temporary.unlink()


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        EdgeSamError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise EdgeSamError(_missing_file(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
