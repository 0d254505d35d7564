import numpy as np

from edge_sam.inference.image_crops import point_grid
from edge_sam.inference.point_sparing import coarse_to_fine, unspared_points


def asked_with(masks, grid, at_once=1000):
    """Positions that are asked where masks (m, n) of the points are known from the beginning."""
    return [position for batch in unspared_points(grid, lambda: masks.T, at_once) for position in batch.tolist()]


def test_levels_are_a_split_into_nested_grids():
    for side in (1, 2, 5, 32):
        levels = coarse_to_fine(point_grid(side))
        assert sorted(np.concatenate(levels).tolist()) == list(range(side * side))
        assert len(levels[0]) == ((side + 1) // 2) ** 2
        assert len(levels[1]) == (side // 2) ** 2


def test_nothing_found_spares_nothing():
    grid = point_grid(6)
    assert sorted(asked_with(np.zeros((0, 36), dtype=bool), grid)) == list(range(36))
    assert sorted(asked_with(np.zeros((2, 36), dtype=bool), grid)) == list(range(36))


def test_one_mask_everywhere_needs_the_coarse_grid_alone():
    grid = point_grid(8)
    asked = asked_with(np.ones((1, 64), dtype=bool), grid)
    assert asked[:16] == coarse_to_fine(grid)[0].tolist()
    # and the border that this grid leaves open, where there is one neighbour alone
    assert asked[16:] == [63, 7, 23, 39, 56, 58, 60]


def test_where_masks_meet_every_point_is_asked():
    grid = point_grid(8)
    left = (grid[:, 0] < 0.5)[None]
    asked = set(asked_with(np.concatenate([left, ~left]), grid))
    columns = {int(x * 8) for x, _ in grid[sorted(set(range(64)) - asked)]}
    at_border = [i for i in range(64) if int(grid[i, 0] * 8) in (3, 4)]
    assert asked.issuperset(at_border)
    assert columns and columns.isdisjoint((3, 4))


def test_a_hole_in_a_mask_is_asked():
    grid = point_grid(8)
    mask = np.ones((1, 64), dtype=bool)
    mask[0, 3 * 8 + 3] = False
    assert 3 * 8 + 3 in asked_with(mask, grid)


def test_batches_are_no_larger_than_asked_for():
    grid = point_grid(8)
    sizes = [len(batch) for batch in unspared_points(grid, lambda: np.zeros((64, 0), dtype=bool), 5)]
    assert max(sizes) == 5 and sum(sizes) == 64


def test_any_points_will_do():
    grid = np.array([[0.5, 0.25], [0.1, 0.9], [1.0, 1.0], [0.5, 0.25]])
    assert sorted(asked_with(np.zeros((0, 4), dtype=bool), grid)) == [0, 1, 2, 3]
    assert asked_with(np.zeros((0, 0), dtype=bool), np.zeros((0, 2))) == []
