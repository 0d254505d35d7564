import re

import pytest

from edge_sam.cli import main
from edge_sam.errors import EdgeSamError
from edge_sam.evaluation.datasets import DATASETS
from edge_sam.evaluation.suites import SUITES, SuitePart, find_suite


def test_suites_are_what_they_are_called():
    (sa1k,) = find_suite("sa1k")
    assert (sa1k.dataset, sa1k.num_images, sa1k.max_instances) == ("sa", 1000, 64)
    assert [protocol.rounds for protocol in sa1k.protocols] == [("box", "+1", "+2"), ("mask-center", "+1", "+2")]
    assert SUITES["paper"] == SUITES["sa1k"] + SUITES["coco"] + SUITES["lvis"]
    (lvis,) = find_suite("lvis")
    assert [(protocol.num_multimask_outputs, protocol.rounds) for protocol in lvis.protocols] == [
        (masks, (first, "+1", "+2")) for masks in (1, 3) for first in ("box", "mask-center")
    ]
    assert {part.dataset for parts in SUITES.values() for part in parts} <= set(DATASETS)
    assert len({protocol.file_name for protocol in lvis.protocols}) == len(lvis.protocols)


def test_options_go_to_every_part():
    parts = find_suite("paper", num_images=3, max_instances=2, ground_truth="edgesam", seed=5)
    assert {(part.num_images, part.max_instances) for part in parts} == {(3, 2)}
    assert {(p.ground_truth, p.seed) for part in parts for p in part.protocols} == {("edgesam", 5)}


@pytest.mark.parametrize(("dataset", "suite"), [("sa", "sa1k"), ("coco", "coco"), ("lvis", "lvis")])
def test_a_suite_has_its_own_part_for_a_data_set(dataset, suite):
    """COCO of the paper is all of val2017, not SA-1K's 1000 images and 64 masks."""
    assert find_suite("paper", dataset=dataset) == find_suite(suite)


def test_another_data_set_gets_every_protocol_once():
    (part,) = find_suite("paper", dataset="cocofied_lvis")
    assert part == SuitePart("cocofied_lvis", SUITES["lvis"][0].protocols)
    assert (part.num_images, part.max_instances) == (-1, None)
    (few,) = find_suite("paper", dataset="cocofied_lvis", num_images=3, max_instances=2)
    assert (few.num_images, few.max_instances) == (3, 2)
    (quick,) = find_suite("quick", dataset="coco")
    assert (quick.dataset, quick.num_images, quick.max_instances) == ("coco", 50, 16), "quick it stays"


def test_a_list_of_images_stands_for_one_data_set(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a\n")
    (part,) = find_suite("sa1k", image_list=names)
    assert part.chosen.startswith("images of names.txt (sha256 ") and part.chosen.endswith("), first 64 masks of each")
    with pytest.raises(EdgeSamError, match="--suite paper has 3 data sets"):
        find_suite("paper", image_list=names)
    with pytest.raises(EdgeSamError, match="--num-images says which, too"):
        find_suite("coco", image_list=names, num_images=3)


def test_an_unknown_suite_is_told_with_those_there_are(capsys):
    with pytest.raises(EdgeSamError, match="--suite nothing: no such suite; there is quick, sa1k"):
        find_suite("nothing")
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    names = list(SUITES)
    assert f"quick (default), {', '.join(names[1:-1])} or {names[-1]}" in said
