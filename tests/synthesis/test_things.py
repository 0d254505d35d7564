import numpy as np
import pytest

from edge_sam.synthesis.canvas import Canvas
from edge_sam.synthesis.catalog import LIVING, MADE
from edge_sam.synthesis.light import Light
from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import ellipse, rectangle
from edge_sam.synthesis.palettes import ramp
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.textures import Texture
from edge_sam.synthesis.things import Part, Placement, paint_thing

RED = Texture("flat", ramp([(0.0, (200, 20, 20)), (1.0, (200, 20, 20))]), 10.0)
BLUE = Texture("flat", ramp([(0.0, (20, 20, 200)), (1.0, (20, 20, 200))]), 10.0)
CENTER = Placement(60.0, 50.0, 40.0)


def paint(thing, place=CENTER, shadow=0.0):
    canvas = Canvas(100, 120, Light(0.5, -0.8, 0.0, shadow))
    return canvas, paint_thing(canvas, Randomness(0), thing, place)


BUILDERS = [pytest.param(each, id=each.__name__) for each in LIVING | MADE]


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_thing_can_be_painted_at_any_place_and_size(builder):
    for seed in range(12):
        random = Randomness(seed)
        canvas = Canvas(120, 160, Light(0.5, -0.8, 0.5, 0.4))
        size = random.log_between(2, 150)
        thing = builder(Maker(random, size))
        place = Placement(80, 60, size, random.angle(), bool(seed % 2), shadow=("", "ground", "wall")[seed % 3])
        node = paint_thing(canvas, random, thing, place)
        if size > 8:
            assert canvas.areas()[node] > 0
        outlines = np.concatenate(thing.all_outlines())
        assert np.abs(outlines).max() < 3.5, "things are about two units large"


def test_parts_with_masks_are_nested_and_others_are_not_told_apart():
    mark = Part([ellipse(0.5, 0, 0.2, 0.2)], BLUE, masked=True)
    eye = Part([ellipse(-0.5, 0, 0.2, 0.2)], BLUE)
    canvas, node = paint(Part([rectangle(-1, -1, 1, 1)], RED, parts=[mark, eye]))
    assert len(canvas.parents) == 3
    whole, part = canvas.masks([node, node + 1])
    assert whole.sum() == 80 * 80
    assert part.sum() == pytest.approx(np.pi * 64, rel=0.05)
    assert (canvas.picture[50, 40] == (20, 20, 200)).all()


def test_what_is_inside_ends_where_its_parent_ends():
    wide = Part([rectangle(-3, -0.2, 3, 0.2)], BLUE, masked=True, inside=True)
    canvas, node = paint(Part([rectangle(-0.5, -1, 0.5, 1)], RED, parts=[wide]))
    (part,) = canvas.masks([node + 1])
    assert (part.any(0).sum(), part.any(1).sum()) == (40, 16)


def test_holes_show_what_is_behind():
    canvas, node = paint(Part([ellipse(0, 0, 1, 1)], RED, holes=[ellipse(0, 0, 0.5, 0.5)]))
    assert not canvas.masks([node])[0, 50, 60]
    assert (canvas.picture[50, 60] == 127).all()


def test_a_fringe_roughens_the_edge_and_keeps_the_area():
    smooth, ragged = (
        paint(Part([ellipse(0, 0, 0.8, 0.8)], RED, fringe=fringe))[0].masks([1])[0] for fringe in (0, 0.15)
    )
    assert ragged.sum() == pytest.approx(smooth.sum(), rel=0.2)
    changes = [np.abs(np.diff(mask.astype(int))).sum() for mask in (smooth, ragged)]
    assert changes[1] > 1.3 * changes[0]


def test_shadows_darken_the_ground_and_belong_to_nobody():
    canvas, node = paint(Part([rectangle(-0.3, -0.5, 0.3, 0.5)], RED), Placement(60, 50, 40, shadow="wall"), shadow=0.6)
    outside = canvas.masks([node])[0] == 0
    assert canvas.picture[outside].min() < 110
    assert not canvas.owners[outside].any()


def test_a_main_colour_is_used_for_the_main_surface_only():
    make = Maker(Randomness(5), 50.0, color=(10.0, 200.0, 30.0))
    make.random.unit()
    textures = [make.main("skin"), make.main("skin")]
    middles = [texture.ramp[128].astype(int) for texture in textures]
    assert np.abs(middles[0] - (10, 200, 30)).max() <= 2
    assert np.abs(middles[1] - (10, 200, 30)).max() > 20


def test_textures_are_finer_than_their_surface():
    for seed in range(200):
        texture = draw_texture(Randomness(seed), "cloth", 100.0)
        if texture.pattern in ("stripes", "checks", "plaid", "spots"):
            assert texture.wavelength < 41
