"""A few words in a weight file beside its tensors, which no reader of the tensors notices.

A safetensors file has a header for them. A ``.pth`` is a zip archive, of which ``torch.load`` reads the entries that it
knows: the notes are one more, so that other software still finds a plain dictionary of tensors.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from edge_sam.errors import EdgeSamError

_ENTRY = "extra/edge_sam_notes.json"


def append_notes(path: Path, notes: Mapping[str, str]) -> None:
    """Add notes to a file that ``torch.save`` wrote and that has none yet."""
    with zipfile.ZipFile(path, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]  # torch expects all entries in one
        entry = zipfile.ZipInfo(f"{folder}/{_ENTRY}")  # without the time, which would change the file's hash
        archive.writestr(entry, json.dumps(dict(notes)))


def read_notes(path: Path) -> dict[str, str]:
    """Return the notes of a ``.safetensors`` file or of a ``.pth``; none where the file has none, or is no such file.

    Raises:
        EdgeSamError: a truncated or corrupt file.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return dict(file.metadata() or {})
        if not zipfile.is_zipfile(path):  # torch's older format
            return {}
        with zipfile.ZipFile(path) as archive:
            found = [name for name in archive.namelist() if name.partition("/")[2] == _ENTRY]
            return dict(json.loads(archive.read(found[0]))) if found else {}
    except (SafetensorError, zipfile.BadZipFile, OSError, ValueError, TypeError) as error:
        raise EdgeSamError(f"{path}: truncated or corrupt ({error}); fetch or write it again") from error
