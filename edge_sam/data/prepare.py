"""SA-1B's tars, downloaded or at hand, laid out as ``images/SPLIT/NAME.jpg`` and ``annotations/SPLIT/NAME.json``.

Every image is decoded and every annotation file parsed before it is written. A run that was stopped goes on: each file
is there whole or not at all, and a tar that is finished leaves a note in ``.prepared/SPLIT``.
"""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_sam.atomic_writing import write_atomically
from edge_sam.data.annotations import BrokenSample, expect_size, parse_annotations
from edge_sam.data.download import HttpRefusal, download
from edge_sam.data.sources import PUBLISHED_SUBSET, find_tars, read_name_list
from edge_sam.data.split_folders import SplitFolders
from edge_sam.data.tars import Member, TarIndex, read_member, scan_tar
from edge_sam.data.transforms import decode_image
from edge_sam.errors import EdgeSamError
from edge_sam.progress import show_download, show_progress

LINK_PAGE = "https://ai.meta.com/datasets/segment-anything-downloads/"
"""Where a visitor gets a link file of their own."""

_EXPIRED = (401, 403, 410)


@dataclass(frozen=True)
class RefusedMember:
    """Something in a tar that was not laid out: a member, a pair, or one annotation of an image that was."""

    split: str
    tar: str
    name: str
    reason: str


@dataclass(frozen=True)
class PrepareReport:
    """What a split holds after :func:`prepare_sa1b`.

    Attributes:
        tars: names of the tars, in order.
        finished_before: how many of them an earlier run had finished.
        images: pairs of image and annotation file that these tars gave.
        refused: what was left out, and why.
        refused_file: the same as JSON lines, for all splits.
    """

    tars: tuple[str, ...]
    finished_before: int
    images: int
    refused: tuple[RefusedMember, ...]
    refused_file: Path

    def describe(self) -> str:
        """Say it in one line."""
        before = f" ({self.finished_before} of them finished before)" if self.finished_before else ""
        told = f"{len(self.refused)} refused (see {self.refused_file})" if self.refused else "nothing refused"
        return f"{self.images} images with annotations from {len(self.tars)} tars{before}, {told}"


def prepare_sa1b(
    source: str | Path,
    destination: str | Path,
    split: str,
    subset_file: str | Path | None = None,
    *,
    workers: int | None = None,
    keep_tars: bool = False,
) -> PrepareReport:
    """Lay out a split of SA-1B under ``destination``, going on where an earlier run stopped.

    Args:
        source: a link file (tab-separated, first line ``file_name<TAB>cdn_link``), or a folder of tars.
        destination: the SA-1B folder; made when it is not there.
        split: ``train`` or ``val``.
        subset_file: names the tars, one a line. By default those of the published subset, or for a folder of tars
            those that the loader would read (see :func:`edge_sam.data.sources.open_source`).
        workers: threads that check images; by default one a core.
        keep_tars: keep downloaded tars (in ``.prepared/SPLIT``) after they were laid out.

    Raises:
        EdgeSamError: no such source, a name it does not have, an expired link, a damaged tar, disk too small, another
            run at work in the same place, or not one usable image.
    """
    source, destination = Path(source), Path(destination)
    subset = Path(subset_file) if subset_file is not None else None
    if workers is not None and workers < 1:
        raise EdgeSamError(f"number of workers is {workers}; it should be at least 1")
    if split not in PUBLISHED_SUBSET:
        raise EdgeSamError(f"split is {split!r}; it should be one of {', '.join(PUBLISHED_SUBSET)}")
    tars = _local_tars(source, split, subset) if source.is_dir() else _linked_tars(source, split, subset)
    layout = _Layout(destination, split)
    finished_before = 0
    try:
        with layout.folders.claimed():
            layout.check_finished(tars)
            for number, (name, place) in enumerate(tars.items(), start=1):
                if layout.note(name).is_file():
                    finished_before += 1
                    continue
                label = f"{name} ({number}/{len(tars)})"
                tar = place if isinstance(place, Path) else _fetch(name, place, layout.folders.notes, label)
                layout.lay_out(tar, label, workers or os.cpu_count() or 1, downloaded=not isinstance(place, Path))
                if not isinstance(place, Path) and not keep_tars:
                    tar.unlink()
            report = layout.report(tuple(tars), finished_before)
    except OSError as error:
        raise EdgeSamError(f"{error.filename or destination}: cannot be written ({error.strerror})") from error
    if report.images == 0:
        raise EdgeSamError(f"{source}: not one usable image in {len(tars)} tars; {report.refused_file} says why")
    return report


def read_links(path: Path) -> dict[str, str]:
    """Read a link file of SA-1B: tar name -> signed link.

    Raises:
        EdgeSamError: no such file, another form, or a name that is a path.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeSamError(f"{path}: neither a folder of tars nor a link file (get one at {LINK_PAGE})") from error
    if not lines or lines[0].split("\t") != ["file_name", "cdn_link"]:
        raise EdgeSamError(f"{path}: no link file: its first line should be file_name<TAB>cdn_link")
    links: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        name, _, link = (part.strip() for part in line.partition("\t"))
        if Path(name).name != name or not name.endswith(".tar") or not link.startswith(("http://", "https://")):
            raise EdgeSamError(f"{path}: line {number} should be the name of a tar, a tab and a link (http or https)")
        links[name] = link
    return links


def _linked_tars(source: Path, split: str, subset: Path | None) -> dict[str, Path | str]:
    links = read_links(source)
    names = read_name_list(subset) if subset is not None else PUBLISHED_SUBSET[split]
    missing = [name for name in names if name not in links]
    if missing:
        raise EdgeSamError(
            f"{source}: has no link for {len(missing)} of the {len(names)} tars of the {split} split: "
            f"{', '.join(missing)} (get a whole link file at {LINK_PAGE})"
        )
    return {name: links[name] for name in sorted(set(names))}


def _local_tars(source: Path, split: str, subset: Path | None) -> dict[str, Path | str]:
    return {tar.name: tar for tar in find_tars(source, split, subset)}


def _fetch(name: str, link: str, folder: Path, label: str) -> Path:
    if (folder / name).is_file():
        return folder / name
    try:
        with show_download(label) as progress:
            return download(link, folder / name, progress=progress)
    except HttpRefusal as error:
        if error.status in _EXPIRED:
            raise EdgeSamError(
                f"{name}: the server refuses its link (HTTP status {error.status}): links to SA-1B are signed and "
                f"expire; get a new link file at {LINK_PAGE} and run the same command with it to go on"
            ) from error
        raise


class _Layout:
    """One split under the destination, with the notes of what is finished."""

    def __init__(self, destination: Path, split: str) -> None:
        self.destination = destination
        self.split = split
        self.folders = SplitFolders.under(destination, split)

    def note(self, tar_name: str) -> Path:
        """Where it is noted that a tar is finished."""
        return self.folders.notes / f"{tar_name}.json"

    def check_finished(self, tars: dict[str, Path | str]) -> None:
        """See that the images that the notes speak of have not been taken away."""
        noted = sum(_read_note(self.note(name))["images"] for name in tars if self.note(name).is_file())
        found = sum(1 for _ in os.scandir(self.folders.images))
        if found < noted:
            raise EdgeSamError(
                f"{self.folders.images}: holds {found} images, but {noted} were laid out there; to lay them out again, "
                f"remove {self.folders.notes}"
            )

    def lay_out(self, tar: Path, label: str, workers: int, downloaded: bool) -> None:
        """Check and write all pairs of a tar, then note it as finished."""
        try:
            index = scan_tar(tar)
        except EdgeSamError:
            if downloaded:
                tar.unlink()  # so that the next run fetches it anew
            raise
        pairs, refused = _pairs(index)
        self._check_space(tar, pairs)
        placed = 0
        with show_progress(label, len(pairs)) as progress, ThreadPoolExecutor(workers) as threads:
            jobs = [threads.submit(self._place, tar, image, annotation) for image, annotation in pairs]
            try:
                for (image, _), job in zip(pairs, jobs, strict=True):
                    try:
                        refused += [(image.stem, reason) for reason in job.result()]
                        placed += 1
                    except BrokenSample as error:
                        refused.append((image.stem, str(error)))
                    progress(1)
            finally:
                threads.shutdown(cancel_futures=True)
        os.sync()  # the note must not outlive a power cut that the files do not
        write_atomically(self.note(tar.name), json.dumps({"images": placed, "refused": refused}))

    def report(self, tars: tuple[str, ...], finished_before: int) -> PrepareReport:
        """Sum up the notes of these tars, and write the list of refusals of all."""
        notes = {name: _read_note(self.note(name)) for name in tars}
        refused = [RefusedMember(self.split, tar, *entry) for tar in tars for entry in notes[tar]["refused"]]
        return PrepareReport(
            tars=tars,
            finished_before=finished_before,
            images=sum(note["images"] for note in notes.values()),
            refused=tuple(refused),
            refused_file=self._write_refused(),
        )

    def _write_refused(self) -> Path:
        entries = [
            RefusedMember(note.parent.name, note.name.removesuffix(".json"), *entry)
            for note in sorted(self.folders.notes.parent.glob("*/*.tar.json"))
            for entry in _read_note(note)["refused"]
        ]
        path = self.destination / "refused.jsonl"
        write_atomically(path, "".join(f"{json.dumps(asdict(entry))}\n" for entry in entries))
        return path

    def _check_space(self, tar: Path, pairs: list[tuple[Member, Member]]) -> None:
        needed = sum(image.size + annotation.size for image, annotation in pairs if not self._is_there(image))
        free = shutil.disk_usage(self.folders.images).free
        if needed > free:
            raise EdgeSamError(
                f"{self.destination}: {tar.name} needs {needed / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left"
            )

    def _is_there(self, image: Member) -> bool:
        return (self.folders.images / image.name).exists()

    def _place(self, tar: Path, image: Member, annotation: Member) -> list[str]:
        """Check one pair and write it; return what is to be told about single annotations.

        Raises:
            BrokenSample: it is not written, and why.
        """
        annotation_bytes = read_member(tar, annotation)
        parsed = parse_annotations(annotation_bytes)
        if parsed.file_name and Path(parsed.file_name).stem != image.stem:
            raise BrokenSample(f"annotation file is that of {parsed.file_name}")
        image_path, annotation_path = self.folders.images / image.name, self.folders.annotations / f"{image.stem}.json"
        if _has_size(image_path, image.size) and _has_size(annotation_path, annotation.size):
            return parsed.refused  # from an earlier run, which checked before it wrote
        image_bytes = read_member(tar, image)
        picture = decode_image(image_bytes)
        expect_size((picture.height, picture.width), (parsed.height, parsed.width))
        for path, content in ((image_path, image_bytes), (annotation_path, annotation_bytes)):
            if path.exists() and path.read_bytes() != content:
                raise BrokenSample(f"{path} is there already, with other content")
            write_atomically(path, content)
        return parsed.refused


def _read_note(note: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(note.read_bytes())
    except ValueError as error:
        raise EdgeSamError(f"{note}: damaged; remove it, and the same command lays its tar out again") from error
    return content


def _pairs(index: TarIndex) -> tuple[list[tuple[Member, Member]], list[tuple[str, str]]]:
    """Return (image, annotation) of each name, and (name, reason) of every member that has no partner."""
    annotations = {member.stem: member for member in index.members if member.is_annotation}
    pairs: dict[str, tuple[Member, Member]] = {}
    refused = list(index.refused)
    for member in index.members:
        if member.is_annotation:
            continue
        if member.stem not in annotations:
            refused.append((member.name, "has no annotation file"))
        elif member.stem in pairs:
            refused.append((member.name, f"is a second image beside {pairs[member.stem][0].name}"))
        else:
            pairs[member.stem] = (member, annotations[member.stem])
    refused += [(member.name, "has no image") for stem, member in annotations.items() if stem not in pairs]
    return list(pairs.values()), refused


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
