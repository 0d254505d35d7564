import pytest

from edge_sam.evaluation.protocols import EvaluationProtocol, guide_suite


@pytest.mark.parametrize("ground_truth", ["exact", "edgesam"])
def test_guide_measures_box_point_and_centre(ground_truth):
    suite = guide_suite(ground_truth, seed=3)
    assert [protocol.name for protocol in suite] == ["box", "point", "mask-center", "mask-center, oracle of 3"]
    assert [protocol.rounds for protocol in suite] == [
        ("box", "+1", "+2"),
        ("point",),
        ("mask-center", "+1", "+2"),
        ("mask-center",),
    ]
    assert all(f"ground truth {ground_truth} (" in protocol.describe() for protocol in suite)


def test_line_tells_protocols_apart():
    protocols = [
        EvaluationProtocol(),
        EvaluationProtocol(ground_truth="edgesam"),
        EvaluationProtocol(refine_iters=1),
        EvaluationProtocol(refine_iters=2),
        EvaluationProtocol(refine_iters=2, seed=1),
        EvaluationProtocol("point"),
        EvaluationProtocol("point", "mask-center"),
        EvaluationProtocol("point", "box-center"),
        EvaluationProtocol("point", "mask-rand"),
        EvaluationProtocol("point", "mask-rand", seed=1),
        *(EvaluationProtocol("box", "point", 0, 3, select) for select in ("score", "stability", "area", "oracle")),
        EvaluationProtocol("box", "point", 0, 4, "score"),
    ]
    lines = [protocol.describe() for protocol in protocols]
    assert len(set(lines)) == len(lines)
    assert not any("\n" in line for line in lines)


def test_seed_is_told_only_where_chance_decides():
    assert "seed" not in EvaluationProtocol("point", "mask-center", seed=5).describe()
    assert "seed 5" in EvaluationProtocol("point", "mask-rand", seed=5).describe()
    assert "seed 5" in EvaluationProtocol("box", refine_iters=1, seed=5).describe()


def test_json_has_the_name_the_line_and_every_field():
    content = EvaluationProtocol("point", "mask-center", 2, 3, "area", "edgesam", 7).to_json()
    assert content["name"] == "mask-center, area of 3"
    assert content["line"].startswith("point (mask-center) then 2 clicks")
    assert (content["refine_iters"], content["multimask_select"], content["seed"]) == (2, "area", 7)
