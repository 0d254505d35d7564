import numpy as np

from edge_sam.synthesis.camera import photograph
from edge_sam.synthesis.randomness import Randomness


def half_and_half():
    picture = np.full((96, 128, 3), 60, np.uint8)
    picture[:, 64:] = (90, 140, 170)
    return picture


def test_photographs_are_exposed_alike():
    dark, bright = (np.full((64, 64, 3), value, np.uint8) for value in (70, 150))
    means = [[photograph(scene, Randomness(seed), 0.25).mean() for seed in range(60)] for scene in (dark, bright)]
    assert abs(np.mean(means[0]) - np.mean(means[1])) < 25


def test_no_photograph_moves_its_edges():
    for seed in range(60):
        taken = photograph(half_and_half(), Randomness(seed), 0.25).astype(int).sum(2)
        assert taken.shape == (96, 128)
        profile = np.median(taken, axis=0)
        assert abs(int(np.abs(np.diff(profile)).argmax()) - 63) <= 3


def test_photographs_differ_and_the_scene_stays():
    scene = half_and_half()
    taken = [photograph(scene, Randomness(seed), 0.25) for seed in range(10)]
    assert len({picture.tobytes() for picture in taken}) == 10
    assert np.array_equal(scene, half_and_half())
    assert np.array_equal(taken[3], photograph(scene, Randomness(3), 0.25))
