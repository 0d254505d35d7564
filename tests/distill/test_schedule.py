import numpy as np
import pytest

from edge_sam.config import load_config
from edge_sam.distill.run import learning_rate
from edge_sam.distill.schedule import LearningRate, batch_scale

RECIPES = ["rep_vit_m1_fuse_sa_distill", "rep_vit_m1_fuse_enc_dec_4m_ft_bp_iter2b_sa_distill"]


@pytest.mark.parametrize("name", RECIPES)
def test_published_curve_matches_golden(golden, name):
    expected = golden("training")[f"lr_{name}"]
    config = load_config(f"training/configs/{name}.yaml")
    rate = learning_rate(config, steps_in_epoch=100, images_in_step=8 * config.DATA.BATCH_SIZE)
    np.testing.assert_allclose([rate.at(step) for step in range(len(expected))], expected, rtol=1e-12)


def test_published_curve_jumps_where_the_warm_up_ends():
    rate = LearningRate(1.0, 0.0, 0.1, steps=100, warmup_steps=50)
    assert rate.at(50) == pytest.approx(0.98)
    assert rate.at(51) == pytest.approx(0.55)


def test_continuous_curve_has_no_jump_and_ends_low():
    rate = LearningRate(1.0, 0.0, 0.1, steps=100, warmup_steps=50, curve="continuous")
    curve = np.array([rate.at(step) for step in range(101)])
    assert curve[0] == 0 and curve[50] == 1 and curve[100] == pytest.approx(0.1)
    assert np.abs(np.diff(curve)).max() < 0.03
    assert (np.diff(curve)[50:] < 0).all()


def test_batch_scale_is_relative_to_512():
    assert batch_scale(8 * 8) == 0.125


def test_rates_can_be_meant_as_they_stand():
    config = load_config(f"training/configs/{RECIPES[1]}.yaml", opts=["TRAIN.LR_SCALE_BY_BATCH", "false"])
    assert learning_rate(config, steps_in_epoch=10, images_in_step=4).base == 3.2e-3
