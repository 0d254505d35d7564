from types import SimpleNamespace

from edge_sam.data.sa1b import Refusal
from edge_sam.distill import validation
from edge_sam.distill.stop_signal import ignore_stop_signals
from edge_sam.distill.validation import PROTOCOLS, Validation
from tests.distill.conftest import ALONE


def test_scores_their_mean_and_what_could_not_be_read(monkeypatch):
    asked = {}
    refusals = (Refusal("lost", "truncated"),)

    def measured(sam, dataset, protocols, **options):
        asked.update(options)
        scores = zip(protocols, (0.5, 0.25), strict=True)
        return [SimpleNamespace(protocol=one, miou=[score], refusals=refusals) for one, score in scores]

    monkeypatch.setattr(validation, "evaluate_miou", measured)
    scores, refused = Validation(None, None, ALONE, 2, 3, 4, amp=True).measure()
    assert scores == {PROTOCOLS[0].name: 0.5, PROTOCOLS[1].name: 0.25, "mean": 0.375} and refused == refusals
    assert asked["worker_init_fn"] is ignore_stop_signals  # or a signal would end them in the middle
    assert (asked["image_batch"], asked["max_instances"], asked["num_workers"], asked["amp"]) == (2, 3, 4, True)
