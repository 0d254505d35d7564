"""The run configuration: typed, validated, frozen, read from YAML.

Keys are upper case and nested in sections (``settings.py``), as in the YAML files of this field. An unknown key, a
wrong type or a key of this recipe family that this project does not implement is an error that names its path.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from edge_sam.contradictions import contradictions
from edge_sam.errors import EdgeSamError
from edge_sam.settings import (
    Count,
    DataSettings,
    DistillSettings,
    FolderName,
    ModelSettings,
    Section,
    TrainSettings,
    ValidationSettings,
)

# Keys that recipes of this family may hold and that have no implementation here: they may only be switched off.
_REFUSED = {
    "DATA.LOAD_GT_MASK": "set DISTILL.TARGET masks to learn from the annotated masks",
    "DATA.MASK_NMS": "annotations are taken as they are; filter overlapping ones beforehand",
    "DATA.DEBUG": "use DATA.NUM_SAMPLES for a small run",
    "DISTILL.CHANNEL_WISE": "the paper found it worse than PIXEL_WISE (81.8 / 64.9 against 82.0 / 64.6)",
    "DISTILL.CORRELATION": "the paper found structured distillation worse than PIXEL_WISE",
    "DISTILL.DECODER_FEAT": "the paper found it worse than the mask loss (71.6 / 55.0 against 83.1 / 67.4)",
    "DISTILL.DECODER_QUERY": "the decoder learns from masks (DECODER_BCE, DICE, FOCAL) and scores (DECODER_IOU) alone",
    "DISTILL.DECODER_ATTN": "the paper found it no better than the mask loss alone",
    "DISTILL.POINT_REND_SAMPLING": "losses are taken over every unpadded pixel of the low-resolution masks",
    "DISTILL.PROMPT_BOX_TO_POINT": "set PROMPT_TYPE instead: box, point or both",
    "DISTILL.PROMPT_MASK_TO_POINT": "set PROMPT_TYPE instead: box, point or both",
    "DISTILL.LORA": "the paper found low-rank adaptation of the decoder worse than training it whole",
    "DISTILL.RPN_HEAD": "this project has no region proposal network",
}


class RunConfig(Section):
    """Everything that decides a run. ``NAME`` is the YAML file's stem and the run folder's name."""

    NAME: Annotated[str, Field(pattern=r"^([^/\\\s.][^/\\]*)?$")] = ""
    DATA: DataSettings = DataSettings()
    MODEL: ModelSettings = ModelSettings()
    DISTILL: DistillSettings = DistillSettings()
    TRAIN: TrainSettings = TrainSettings()
    VALIDATION: ValidationSettings = ValidationSettings()
    AMP_ENABLE: bool = False
    """bf16 autocast over the networks and the losses."""
    OUTPUT: str = "output"
    TAG: FolderName = "default"
    SEED: Annotated[int, Field(ge=0)] = 0
    PRINT_FREQ: Count = 10
    """Steps between two lines of the log and the metrics."""
    ONLY_CPU: bool = False
    USE_WANDB: bool = False

    @property
    def run_folder(self) -> Path:
        """``<output>/<config name>/<tag>``."""
        return Path(self.OUTPUT) / self.NAME / self.TAG

    @model_validator(mode="after")
    def _settings_agree(self) -> Self:
        """Refuse settings that contradict one another, or that this kind of run would not look at."""
        for problem in contradictions(self.DATA, self.MODEL, self.DISTILL, self.TRAIN):
            raise ValueError(problem)
        return self

    def to_yaml(self) -> str:
        """Return the resolved configuration as YAML that :func:`load_config` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: str | Path, overrides: dict[str, Any] | None = None, opts: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file, lay ``overrides`` and then ``opts`` over it, and validate the whole.

    Args:
        path: the YAML file; its stem becomes ``NAME`` unless the file holds one.
        overrides: dotted key -> value, from command-line options; ``None`` values are left out.
        opts: ``KEY VALUE KEY VALUE ...`` as given after ``--opts``; values are read as YAML, except where the setting
            is text, which a path with a `` #`` or a name such as ``2024`` would not stay.

    Raises:
        EdgeSamError: no such file, not a mapping, unknown key, wrong type, a refused key, an odd number of ``opts``.
    """
    path = Path(path)
    if not path.is_file():
        raise EdgeSamError(f"{path}: no such configuration file (shipped ones are in training/configs/)")
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise EdgeSamError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise EdgeSamError(f"{path}: holds no mapping of keys to settings")
    if len(opts) % 2:
        raise EdgeSamError(f"--opts takes pairs KEY VALUE, but {opts[-1]!r} has no value")
    tree = {key: {} if value is None else value for key, value in tree.items()}  # a section without settings
    tree.setdefault("NAME", path.stem)
    for key, value in (overrides or {}).items():
        if value is not None:
            _set(tree, key, value)
    text_keys = set(_text_keys(RunConfig))
    for key, text in zip(opts[::2], opts[1::2], strict=True):
        try:
            _set(tree, key, text if key in text_keys else yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise EdgeSamError(f"--opts {key}: {text!r} is not a YAML value") from error
    _drop_refused(tree, path)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise EdgeSamError(f"{path}: {_first_problem(error)}") from error


def _text_keys(section: type[BaseModel], beginning: str = "") -> Iterator[str]:
    """Name the settings whose type is text, in a section and those below it."""
    for name, field in section.model_fields.items():
        if field.annotation is str:
            yield beginning + name
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _text_keys(field.annotation, f"{beginning}{name}.")


def _set(tree: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401
    *sections, leaf = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise EdgeSamError(f"{key}: {section} is a setting, not a section")
    tree[leaf] = value


def _drop_refused(tree: dict[str, Any], path: Path) -> None:
    """Take out refused keys that are switched off; raise for the others."""
    for key, reason in _REFUSED.items():
        section, leaf = key.split(".")
        group = tree.get(section)
        if isinstance(group, dict) and leaf in group:
            value = group.pop(leaf)
            if value not in (None, False, 0, 0.0, -1, "", []):
                raise EdgeSamError(f"{path}: {key} = {value!r} is not supported: {reason}")


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}; known here: {', '.join(_known_keys(first['loc'][:-1]))}{more}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}, found {first['input']!r}{more}" if key else f"{message}{more}"


def _known_keys(section: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in section:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return list(model.model_fields)
