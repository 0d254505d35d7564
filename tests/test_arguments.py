import argparse

import pytest

import edge_sam.arguments
from edge_sam.arguments import add_run_arguments, config_from_arguments, run_command
from edge_sam.errors import EdgeSamError


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("DATA: {BATCH_SIZE: 7}\nAMP_ENABLE: true\nTRAIN: {EPOCHS: 3}\n")
    return str(path)


def parse(arguments, *groups, **options):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_run_arguments(parser, *groups, **options)
    return config_from_arguments(parser.parse_args(arguments))


def test_what_is_not_given_leaves_the_file_alone(recipe):
    config = parse(["--cfg", recipe], "batch", "folder", "resume", "training")
    assert (config.NAME, config.DATA.BATCH_SIZE, config.AMP_ENABLE, config.TRAIN.EPOCHS) == ("recipe", 7, True, 3)
    assert not (config.ONLY_CPU or config.USE_WANDB or config.TRAIN.USE_SYNC_BN or config.TRAIN.USE_CHECKPOINT)


def test_every_option_reaches_its_key(recipe):
    config = parse(
        ["--cfg", recipe, "--batch-size", "2", "--data-path", "d", "--pretrained", "scratch", "--resume", "r",
         "--accumulation-steps", "4", "--use-checkpoint", "--disable_amp", "--output", "o", "--tag", "t", "--only-cpu",
         "--use-wandb", "--use-sync-bn", "--local-rank=0"],
        "batch", "folder", "resume", "training",
    )  # fmt: skip
    assert (config.DATA.BATCH_SIZE, config.DATA.DATA_PATH) == (2, "d")
    assert (config.MODEL.PRETRAINED, config.MODEL.RESUME) == ("scratch", "r")
    assert (config.TRAIN.ACCUMULATION_STEPS, config.TRAIN.USE_CHECKPOINT, config.TRAIN.USE_SYNC_BN) == (4, True, True)
    assert (config.AMP_ENABLE, config.OUTPUT, config.TAG) == (False, "o", "t")
    assert config.ONLY_CPU and config.USE_WANDB


def test_opts_win_and_may_come_in_several_places(recipe):
    arguments = ["--cfg", recipe, "--batch-size", "2", "--opts", "DATA.BATCH_SIZE", "3", "DATA.NUM_SAMPLES", "-1"]
    config = parse([*arguments, "--opt", "TRAIN.EPOCHS", "9"], "batch")
    assert (config.DATA.BATCH_SIZE, config.DATA.NUM_SAMPLES, config.TRAIN.EPOCHS) == (3, -1, 9)


def test_a_script_accepts_only_its_groups_and_nothing_abbreviated(recipe, capsys):
    for option in ("--batch-size=2", "--output=o", "--resume=r", "--use-sync-bn", "--data=d"):
        with pytest.raises(SystemExit):
            parse(["--cfg", recipe, option])
    assert "unrecognized arguments: --data=d" in capsys.readouterr().err


def test_config_may_be_the_first_argument(recipe):
    assert parse([recipe, "--data-path", "d"], positional_config=True).DATA.DATA_PATH == "d"


def test_local_rank_is_the_launchers(recipe, monkeypatch):
    with pytest.raises(EdgeSamError, match="--local-rank 3, but LOCAL_RANK is 0"):
        parse(["--cfg", recipe, "--local_rank", "3"])
    monkeypatch.setenv("LOCAL_RANK", "3")
    parse(["--cfg", recipe, "--local_rank", "3"])


def test_a_command_ends_with_one_line(capsys, monkeypatch):
    @run_command
    def command(error):
        if error:
            raise error
        return "done"

    assert command(None) == "done"
    waited = []
    monkeypatch.setattr(edge_sam.arguments.time, "sleep", waited.append)
    for rank, waits in (("0", 0), ("1", 1)):  # nobody ends the second one while it waits
        monkeypatch.setenv("LOCAL_RANK", rank)
        with pytest.raises(SystemExit) as ended:
            command(EdgeSamError("a key is wrong"))
        assert (ended.value.code, capsys.readouterr().err, len(waited)) == (1, "error: a key is wrong\n", waits)
    with pytest.raises(SystemExit) as ended:
        command(KeyboardInterrupt())
    assert ended.value.code == 130
    with pytest.raises(ZeroDivisionError):
        command(ZeroDivisionError())
