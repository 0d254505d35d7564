"""Comparison with golden masks, whose untrained weights make the decoder's attention all but a choice of one key.

A change in the last bit of an input then changes some logits in their second digit. Two machines that round alike agree
to 1e-5; others can agree only as well as the network agrees with itself when its input moves by one bit.
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


def one_bit_apart(embedding: Tensor, seed: int) -> Tensor:
    """Return ``embedding`` with each value moved up or down by one unit in the last place."""
    sign = torch.randint(0, 2, embedding.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return embedding * (1 + sign * 2.0**-23)


def expect_golden(
    answer: Callable[[Tensor], dict[str, Tensor]], embedding: Tensor, expected: dict[str, Tensor]
) -> float:
    """Insist on ``answer(embedding)`` being ``expected`` to 1e-4, or as near as rounding lets any machine come.

    Returns:
        The tolerance that was used.
    """
    answers = answer(embedding)
    distances = {name: _distance(answers[name], expected[name]) for name in expected}
    if max(distances.values()) <= TOLERANCE:
        return TOLERANCE
    others = [answer(one_bit_apart(embedding, seed)) for seed in range(4)]
    noise = {name: max(_distance(other[name], answers[name]) for other in others) for name in expected}
    for name, distance in distances.items():
        assert distance <= max(TOLERANCE, 4 * noise[name]), f"{name}: {distance} off, rounding explains {noise[name]}"
    return 4 * max(noise.values())


def _distance(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a.double() - b.double()).abs().max().item()
