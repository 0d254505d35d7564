"""Only masks that the rules can count are kept."""

import numpy as np

from edge_sam.evaluation.scored_masks import ScoredMasks


def found(scores, categories):
    return ScoredMasks(
        0, (6, 8), [f"{number}" for number in range(len(scores))], np.array(scores), np.array(categories)
    )


def test_coco_counts_the_best_100_of_each_category():
    rng = np.random.default_rng(0)
    many = found(rng.integers(0, 50, 350) / 50, np.arange(350) % 2 * np.arange(350) % 3)
    kept = many.countable("coco")
    for category in np.unique(many.categories):
        of_it = np.flatnonzero(many.categories == category)
        best = sorted(of_it, key=lambda number: (-many.scores[number], number))[:100]
        assert [int(one) for one in np.array(kept.counts)[kept.categories == category]] == sorted(best)
    assert len(kept) < 300 and (np.diff([int(one) for one in kept.counts]) > 0).all()
    assert kept.scores.tolist() == [many.scores[int(one)] for one in kept.counts]


def test_lvis_counts_the_best_300_of_what_was_looked_for():
    many = found(np.r_[np.full(299, 0.9), 0.5, 0.4, 0.3], np.r_[np.full(299, 3), 1, 1, 1])
    assert many.countable("lvis").counts == [f"{number}" for number in range(300)]
    kept = many.countable("lvis", {1, 7})
    assert kept.counts == ["299"] and kept.mask(0) == {"size": [6, 8], "counts": "299"}


def test_nothing_found_is_nothing():
    for style in ("coco", "lvis"):
        assert len(found(np.zeros(0), np.zeros(0, np.int64)).countable(style, {1})) == 0
