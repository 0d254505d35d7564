from edge_sam.demo.explanations import STEPS
from edge_sam.demo.plan import FULL, MOST_REPEATS, QUICK


def test_few_images_are_seen_more_often_up_to_a_bound():
    assert FULL.for_images(FULL.train_images) == FULL
    half = FULL.for_images(FULL.train_images // 2)
    assert (half.phase_1_epochs, half.phase_2_epochs) == (2 * FULL.phase_1_epochs, 2 * FULL.phase_2_epochs)
    assert FULL.for_images(1).phase_1_epochs == MOST_REPEATS * FULL.phase_1_epochs


def test_every_step_has_its_time_and_its_explanation():
    for plan in (FULL, QUICK):
        assert set(plan.seconds) == {*STEPS, "report"}


def test_the_times_stay_within_what_is_promised():
    assert sum(FULL.seconds.values()) <= 600
    assert sum(QUICK.seconds.values()) <= 120
