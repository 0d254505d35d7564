"""The command-line options that the scripts share, and how each becomes a key of the run configuration.

An option given on the command line wins over the YAML file, and ``--opts`` wins over both.
"""

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Literal, ParamSpec, TypeVar

from edge_sam.config import RunConfig, load_config
from edge_sam.distributed import already_reported
from edge_sam.errors import EdgeSamError

OptionGroup = Literal["batch", "folder", "resume", "training"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_PATIENCE_WITH_REPORT = 30.0  # seconds in which a slower process that fails alike has printed

# Where an option lands; an option that was not given is None and leaves the key alone.
_KEY_OF_OPTION = {
    "data_path": "DATA.DATA_PATH",
    "batch_size": "DATA.BATCH_SIZE",
    "only_cpu": "ONLY_CPU",
    "amp_enable": "AMP_ENABLE",
    "output": "OUTPUT",
    "tag": "TAG",
    "resume": "MODEL.RESUME",
    "pretrained": "MODEL.PRETRAINED",
    "accumulation_steps": "TRAIN.ACCUMULATION_STEPS",
    "use_checkpoint": "TRAIN.USE_CHECKPOINT",
    "use_sync_bn": "TRAIN.USE_SYNC_BN",
    "use_wandb": "USE_WANDB",
}


def add_run_arguments(parser: argparse.ArgumentParser, *groups: OptionGroup, positional_config: bool = False) -> None:
    """Add the options that every script takes, and those of the named groups.

    Every script: ``--cfg``, ``--opts`` (``--opt``), ``--data-path``, ``--only-cpu``, ``--disable_amp`` and the
    ``--local-rank`` that ``torch.distributed.launch`` passes.

    Args:
        parser: create it with ``allow_abbrev=False``, so that no option is guessed from its beginning.
        groups: ``batch``: ``--batch-size``. ``folder``: ``--output``, ``--tag``. ``resume``: ``--resume``.
            ``training``: ``--pretrained``, ``--accumulation-steps``, ``--use-checkpoint``, ``--use-sync-bn``,
            ``--use-wandb``. What a script does not name, it does not accept.
        positional_config: take the YAML file as the first argument instead of as ``--cfg``.
    """
    config_help = "YAML file of the run; shipped ones are in training/configs/"
    if positional_config:
        parser.add_argument("cfg", metavar="CFG", help=config_help)
    else:
        parser.add_argument("--cfg", required=True, metavar="FILE", help=config_help)
    parser.add_argument(
        "--opts", "--opt", nargs="+", action="extend", default=[], metavar="KEY VALUE",
        help="settings laid over the file, e.g. --opts DATA.IMG_SIZE 256 TRAIN.EPOCHS 4",
    )  # fmt: skip
    parser.add_argument("--data-path", metavar="DIR", help="DATA.DATA_PATH: images/ and annotations/, or tars")
    _add_switch(parser, "only_cpu", True, "use no GPU even where there is one", "--only-cpu")
    _add_switch(
        parser, "amp_enable", False, "no bf16 autocast, whatever the file says", "--disable_amp", "--disable-amp"
    )
    parser.add_argument(
        "--local-rank", "--local_rank", type=int, metavar="N", help="passed by torch.distributed.launch, not by you"
    )
    if "batch" in groups:
        parser.add_argument("--batch-size", type=int, metavar="N", help="DATA.BATCH_SIZE: images a process and step")
    if "folder" in groups:
        parser.add_argument("--output", metavar="DIR", help="run folders are DIR/<config name>/<tag>")
        parser.add_argument("--tag", help="name of this run among those of the same file")
    if "resume" in groups:
        parser.add_argument("--resume", metavar="FILE", help="MODEL.RESUME: the checkpoint to go on from or to load")
    if "training" in groups:
        _add_training_arguments(parser)


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pretrained", metavar="WEIGHTS", help="MODEL.PRETRAINED: imagenet, scratch or a file")
    parser.add_argument("--accumulation-steps", type=int, metavar="N", help="batches an optimizer step")
    _add_switch(parser, "use_checkpoint", True, "recompute activations: less memory, more time", "--use-checkpoint")
    _add_switch(parser, "use_sync_bn", True, "batch statistics over all processes (CUDA only)", "--use-sync-bn")
    _add_switch(parser, "use_wandb", True, "track the run in Weights & Biases too", "--use-wandb")


def _add_switch(parser: argparse.ArgumentParser, name: str, value: bool, text: str, *flags: str) -> None:
    """Add an option without a value that stays None when it is not given, so that the file's setting holds."""
    parser.add_argument(*flags, dest=name, action="store_const", const=value, help=text)


def config_from_arguments(namespace: argparse.Namespace) -> RunConfig:
    """Read the run configuration that the parsed options describe.

    Raises:
        EdgeSamError: as :func:`edge_sam.config.load_config`; or ``--local-rank`` is not what the launcher says.
    """
    launched = int(os.environ.get("LOCAL_RANK", "0"))
    if namespace.local_rank not in (None, launched):
        raise EdgeSamError(
            f"--local-rank {namespace.local_rank}, but LOCAL_RANK is {launched}: leave the option to the launcher"
        )
    given = vars(namespace)
    overrides = {key: given[option] for option, key in _KEY_OF_OPTION.items() if option in given}
    return load_config(namespace.cfg, overrides, namespace.opts)


def _report(error: EdgeSamError) -> None:
    """Print the error, unless another process does.

    The launcher ends all processes as soon as one has exited. So one that leaves the report to another must not be the
    first: it waits to be ended, and prints after all when nobody ends it, for then the other did not fail alike.
    """
    if already_reported(error):
        try:
            time.sleep(_PATIENCE_WITH_REPORT)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    print(f"error: {error}", file=sys.stderr, flush=True)


def run_command(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make ``function`` the main of a command (decorator).

    An :class:`EdgeSamError` becomes one line ``error: ...`` on stderr and exit status 1. Every process of a group
    exits so; the line is printed once. Ctrl-C exits with 130. Anything else is a bug and keeps its traceback.
    """

    @functools.wraps(function)
    def command(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except EdgeSamError as error:
            _report(error)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    return command
