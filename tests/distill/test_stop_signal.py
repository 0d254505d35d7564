import os
import signal

import torch

from edge_sam.distill.stop_signal import ignore_sigterm, on_sigterm


def test_sigterm_is_a_wish_while_the_body_runs():
    before = signal.getsignal(signal.SIGTERM)
    with on_sigterm() as stop:
        assert not stop.agreed(torch.device("cpu"))
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.agreed(torch.device("cpu"))
    assert signal.getsignal(signal.SIGTERM) == before


def test_workers_outlive_it():
    before = signal.getsignal(signal.SIGTERM)
    try:
        ignore_sigterm(0)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
