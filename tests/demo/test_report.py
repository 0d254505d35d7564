import json
import re
from html.parser import HTMLParser

import pytest
import torch

from edge_sam.demo.chain import PHASE_1, PHASE_2, Chain
from edge_sam.demo.outcome import MODELS, Outcome
from edge_sam.demo.plan import QUICK
from edge_sam.demo.report import write_report
from edge_sam.evaluation.protocols import guide_suite
from edge_sam.modeling.checkpoints import official_state, save_state
from edge_sam.modeling.registry import build_sam
from tests.synthetic import write_sa1b

MIOU = {"teacher": 0.7, "phase 1": 0.5, "phase 2": 0.5625}


class Page(HTMLParser):
    """What a page asks for, shows and leaves open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def evaluation(miou: float) -> dict:
    """What the evaluation's JSON holds, each later round a little better."""
    results = []
    for protocol in guide_suite():
        rounds = list(protocol.rounds)
        bonus = 0.0 if protocol.point_from == "mask-center" else 0.05
        values = [miou + bonus + 0.01 * number for number in range(len(rounds))]
        results.append({"protocol": protocol.to_json(), "rounds": rounds, "miou": values, "images": 3, "instances": 11})
    return {"results": results, "device": "cpu", "precision": "float32", "refusals": []}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    data = write_sa1b(write_sa1b(folder / "a<b>", "train", 3), "val", 3, seed=1)
    torch.manual_seed(0)
    model = folder / "model.safetensors"
    save_state(official_state(build_sam("rep_vit_m1", 256)), model)
    chain = Chain(data, model, folder)
    runs = {}
    chain.journal.walk("edgesam synth")
    with chain.journal.timed("synth train", "edgesam synth"):
        pass
    for phase, config, losses in (("phase 1", PHASE_1, ("pixel_wise",)), ("phase 2", PHASE_2, ("bce", "dice"))):
        runs[phase] = folder / config.stem
        runs[phase].mkdir()
        train = {f"train/{name}": 0.5 for name in losses}
        records = [{"step": step, "images": 8 * step, "epoch": 0, **train} for step in (1, 2)]
        records.append({"step": 2, "images": 16, "epoch": 0, "miou/box": 0.5, "miou/mask-center": 0.3})
        (runs[phase] / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        with chain.journal.timed(phase, f"python training/train.py --cfg {config} --opts A.B 1 SEED 0"):
            pass
        chain.journal.walk(f"python training/train.py --cfg {config} --opts A.B 1 SEED 0")
    evaluations = {name: evaluation(miou) for name, miou in MIOU.items()}
    return Outcome(chain, QUICK, True, dict.fromkeys(MODELS, model), evaluations, runs)


@pytest.fixture(scope="module")
def page(outcome):
    write_report(outcome, outcome.chain.folder / "report.html")
    return (outcome.chain.folder / "report.html").read_text()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))


def test_the_page_is_whole_and_asks_for_nothing(page):
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in parsed.sources)
    assert "script" not in parsed.tags
    assert "url(" not in page
    assert "http" not in page


def test_the_table_has_every_prompt_model_and_the_gain(page):
    said = text_of(page)
    assert re.search(r"centre 0\.700 0\.500 0\.562 \+0\.062 centre \+1 0\.710 0\.510 0\.57\d \+0\.06\d", said)
    assert re.search(r"box 0\.750 0\.550 0\.61\d", said)
    assert "centre, best of 3 0.700" in said
    assert "11 masks of 3 images" in said
    assert re.search(r"images learnt from 8 \+ 4", said)
    assert "gains 0.062 on one point in the middle" in said


def test_a_loss_is_told_as_one(outcome, tmp_path):
    worse = {**outcome.evaluations, "phase 2": evaluation(0.45)}
    write_report(Outcome(**{**vars(outcome), "evaluations": worse}), tmp_path / "report.html")
    said = text_of((tmp_path / "report.html").read_text())
    assert "loses 0.050 on one point in the middle" in said
    assert "\N{MINUS SIGN}0.050" in said


def test_every_example_has_its_six_panels_with_iou_under_the_models(page):
    parsed = Page(page)
    training = 3
    assert parsed.tags.count("img") == 3 * 6 + training
    assert len(re.findall(r"<b>\d\.\d\d</b>", page)) == 3 * 3


def test_commands_are_there_and_what_names_hold_is_escaped(page):
    assert "python training/train.py --cfg training/configs/rep_vit_m1_fuse_sa_distill.yaml" in page
    assert "a<b>" not in page
    assert "a&lt;b&gt;" in page


def test_a_quick_tour_is_told_as_one(page):
    assert "This was --quick" in text_of(page)
