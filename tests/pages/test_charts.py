import re
import xml.etree.ElementTree as ElementTree

import pytest

from edge_sam.pages.charts import HEIGHT, WIDTH, Line, dots, line_chart, round_step


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    """The places of each line of a chart."""
    root = ElementTree.fromstring(svg)
    lines = [element.get("points").split() for element in root.iter("polyline")]
    return [[tuple(map(float, point.split(","))) for point in line] for line in lines]


def test_higher_values_stand_higher_and_inside():
    (line,) = points_of(line_chart("x", [Line("a", "a", [(0, 1.0), (10, 3.0), (20, 2.0)])], "images"))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x0 < x1 < x2
    assert y1 < y2 < y0
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in line)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.2)


def test_on_a_logarithmic_axis_equal_ratios_are_equal_distances():
    chart = line_chart("x", [Line("a", "a", [(0, 100.0), (1, 10.0), (2, 1.0)])], "images", logarithmic=True)
    (line,) = points_of(chart)
    assert line[1][1] - line[0][1] == pytest.approx(line[2][1] - line[1][1], abs=0.2)
    assert {"1", "10", "100"} <= set(re.findall(r">(\d+)</text>", chart))


@pytest.mark.parametrize("values", [[(5, 0.5)], [(0, 0.0), (8, 0.0)], [(1, 1e-9), (2, 2e-9)]])
def test_few_or_equal_values_can_be_drawn(values):
    assert len(points_of(line_chart("x", [Line("a", "a", values)], "images"))) == 1


def test_names_are_escaped():
    chart = line_chart('a "<title>"', [Line("a", "a", [(0, 1.0), (1, 2.0)])], "<images>")
    ElementTree.fromstring(chart)
    assert "<images>" not in chart


def test_dots_lie_between_the_ends_of_their_line():
    root = ElementTree.fromstring(dots([("teacher", 0.7), ("phase-1", 0.2), ("phase-2", 0.45)], 0.2, 0.7))
    right, left, middle = (float(circle.get("cx")) for circle in root.iter("circle"))
    assert left < middle < right
    assert middle == pytest.approx((left + right) / 2, abs=0.1)


@pytest.mark.parametrize(("step", "rounded"), [(0.013, 0.02), (0.2, 0.2), (3.1, 5), (6, 10), (0.051, 0.1), (0, 1)])
def test_steps_are_round(step, rounded):
    assert round_step(step) == pytest.approx(rounded)


def test_names_stand_at_the_places_of_their_numbers():
    chart = line_chart("x", [Line("a", "a", [(0, 0.2), (1, 0.3), (2, 0.4)])], "prompts", x_ticks=("box", "+1", "+2"))
    (line,) = points_of(chart)
    root = ElementTree.fromstring(chart)
    places = {text.text: float(text.get("x")) for text in root.iter("text")}
    assert [places[name] for name in ("box", "+1", "+2")] == pytest.approx([x for x, _ in line])


def test_whiskers_reach_around_their_points_and_inside():
    line = Line("a", "a", [(0, 0.5), (1, 0.6)], whiskers=[(0.1, 0.9), (0.55, 0.65)])
    chart = line_chart("x", [line], "prompts")
    drawn = [one for one in ElementTree.fromstring(chart).iter("line") if "whisker" in one.get("class")]
    for (x, y), whisker in zip(points_of(chart)[0], drawn, strict=True):
        low, high = float(whisker.get("y1")), float(whisker.get("y2"))
        assert float(whisker.get("x1")) == x and 0 < high < y < low < HEIGHT


def test_an_outline_from_zero_has_no_end():
    chart = line_chart(
        "x", [Line("a", "a", [(0, 5.0), (0.5, 5.0), (0.5, 0.0), (1, 0.0)], steps=True)], "IoU", from_zero=True
    )
    assert "<circle" not in chart
    root = ElementTree.fromstring(chart)
    axis = next(one for one in root.iter("line") if one.get("class") == "axis")
    assert points_of(chart)[0][-1][1] == pytest.approx(float(axis.get("y1")), abs=0.1)
    assert {"0", "0.5", "1"} <= {text.text for text in root.iter("text")}
