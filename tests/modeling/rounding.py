"""Comparison with golden masks, whose untrained weights make the decoder's attention all but a choice of one key.

A change in the last bit of an input then changes some logits in their second digit. Two machines that round alike agree
to 1e-5; others can agree only as well as the network agrees with itself when its input moves by one bit, or by as much
as the encoders of the two machines round it apart.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

TOLERANCE = 1e-4


@contextmanager
def more_than_one_thread() -> Iterator[None]:
    """Some matrix products round differently in one thread than in several; the golden arrays come from several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(2, threads))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def moved(embedding: Tensor, seed: int, distance: float) -> Tensor:
    """Return ``embedding`` with each value moved up or down by one unit in the last place, or by ``distance``."""
    sign = torch.randint(0, 2, embedding.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return embedding + sign * (embedding.abs() * 2.0**-23).clamp(min=distance)


def expect_golden(
    answer: Callable[[Tensor], dict[str, Tensor]],
    embedding: Tensor,
    expected: dict[str, Tensor],
    distance: float = 0.0,
) -> dict[str, float]:
    """Insist on ``answer(embedding)`` being ``expected`` to 1e-4, or as near as rounding lets any machine come.

    Args:
        answer: what the network makes of an embedding.
        embedding: its input.
        expected: the golden answers.
        distance: mean distance of ``embedding`` from the one that the golden answers were made of.

    Returns:
        The tolerance of each answer.
    """
    answers = answer(embedding)
    distances = {name: _distance(answers[name], expected[name]) for name in expected}
    if max(distances.values()) <= TOLERANCE:
        return dict.fromkeys(expected, TOLERANCE)
    others = [answer(moved(embedding, seed, distance)) for seed in range(4)]
    tolerances = {
        name: max(TOLERANCE, 4 * max(_distance(other[name], answers[name]) for other in others)) for name in expected
    }
    for name, off in distances.items():
        assert off <= tolerances[name], f"{name}: {off} off, rounding explains {tolerances[name] / 4}"
    return tolerances


def _distance(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a.double() - b.double()).abs().max().item()
