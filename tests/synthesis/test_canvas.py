import numpy as np

from edge_sam.synthesis.canvas import Canvas, shaded
from edge_sam.synthesis.light import Light


def painted(canvas, node, top, left, height, width, color):
    colors = np.full((height, width, 3), color, np.uint8)
    canvas.paint(np.ones((height, width), bool), colors, top, left, node)


def make():
    return Canvas(40, 60, Light(0, -1, 0.5, 0.5))


def test_masks_are_visible_pixels_of_a_node_and_of_its_descendants():
    canvas = make()
    whole = canvas.add_node()
    part = canvas.add_node(whole)
    other = canvas.add_node()
    painted(canvas, whole, 5, 5, 20, 20, 10)
    painted(canvas, part, 10, 10, 5, 5, 20)
    painted(canvas, other, 20, 20, 10, 10, 30)
    masks = canvas.masks([whole, part, other])
    assert masks.shape == (3, 40, 60)
    assert masks.sum((1, 2)).tolist() == [400 - 25, 25, 100] == canvas.areas()[[whole, part, other]].tolist()
    assert (masks[0] >= masks[1]).all() and not (masks[0] & masks[2]).any()


def test_a_group_is_the_union_of_what_it_holds():
    canvas = make()
    group = canvas.add_node()
    for left in (5, 30):
        painted(canvas, canvas.add_node(group), 5, left, 8, 10, 200)
    assert canvas.masks([group]).sum() == 160
    assert canvas.box_sides()[group] == 8


def test_box_sides_of_hidden_nodes_are_zero():
    canvas = make()
    hidden, front = canvas.add_node(), canvas.add_node()
    painted(canvas, hidden, 5, 5, 4, 4, 10)
    painted(canvas, front, 0, 0, 20, 20, 20)
    assert canvas.box_sides()[hidden] == 0 and canvas.areas()[hidden] == 0


def test_painting_without_a_node_changes_no_mask():
    canvas = make()
    node = canvas.add_node()
    painted(canvas, node, 0, 0, 40, 60, 100)
    painted(canvas, None, 10, 10, 10, 10, 200)
    assert canvas.masks([node]).all()
    assert canvas.picture[15, 15, 0] == 200


def test_edges_are_blended():
    canvas = make()
    painted(canvas, canvas.add_node(), 0, 0, 40, 60, 100)
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    canvas.paint(mask, np.full((20, 20, 3), 200, np.uint8), 10, 10, canvas.add_node(), softness=1.0)
    assert canvas.picture[20, 20, 0] == 200 and canvas.picture[11, 11, 0] == 100
    assert 100 < canvas.picture[20, 14, 0] < canvas.picture[20, 15, 0] < 200


def test_shadows_may_reach_over_the_edge():
    canvas = make()
    canvas.darken(-5, -5, np.full((15, 15), 255, np.uint8), 0.5)
    assert canvas.picture[5, 5, 0] < 70 and canvas.picture[15, 15, 0] == 127
    canvas.darken(100, 100, np.full((15, 15), 255, np.uint8), 0.5)


def test_shading_saturates():
    colors = np.full((1, 3, 3), 200, np.uint8)
    assert shaded(colors, np.array([[64, 128, 255]], np.uint8))[0, :, 0].tolist() == [100, 200, 255]
