"""The data order: dealt completely, the same for any number of processes, resumed exactly."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from edge_sam.data.sampler import ResumableSampler
from edge_sam.errors import EdgeSamError

worlds = st.tuples(st.integers(1, 60), st.integers(1, 4), st.integers(1, 4)).filter(lambda w: w[0] >= w[1] * w[2])


def steps(length, world_size, batch_size, position=None, **options) -> list[list[tuple[int, int]]]:
    """What all processes together see in each step of the rest of the epoch."""
    dealt = []
    for rank in range(world_size):
        sampler = ResumableSampler(length, rank, world_size, batch_size, **options)
        if position is not None:
            sampler.set_position(*position)
        mine = list(sampler)
        assert len(mine) == len(sampler) == sampler.batches_left * batch_size
        dealt.append([mine[start : start + batch_size] for start in range(0, len(mine), batch_size)])
    return [[pair for part in step for pair in part] for step in zip(*dealt, strict=True)]


@given(worlds, st.integers(0, 9), st.integers(0, 3))
def test_every_image_once_an_epoch(world, seed, epoch):
    length, world_size, batch_size = world
    seen = [pair for step in steps(*world, (epoch, 0), seed=seed) for pair in step]
    assert {pair[0] for pair in seen} == {epoch}
    indices = [index for _, index in seen]
    assert len(indices) == len(set(indices)) == length - length % (world_size * batch_size)
    assert set(indices) <= set(range(length))


@given(st.integers(24, 70), st.integers(0, 9))
def test_steps_do_not_depend_on_the_number_of_processes(length, seed):
    sets = [[set(step) for step in steps(length, n, 12 // n, seed=seed)] for n in (1, 2, 3, 4, 6, 12)]
    assert all(other == sets[0] for other in sets)


@given(worlds, st.data())
def test_resumes_exactly(world, data):
    _, world_size, batch_size = world
    whole = steps(*world, seed=5)
    done = data.draw(st.integers(0, len(whole) - 1))
    assert steps(*world, (0, done * world_size * batch_size), seed=5) == whole[done:]


@given(st.integers(12, 60), st.data())
def test_resumes_with_another_global_batch_where_it_was(length, data):
    before = ResumableSampler(length, 0, 2, 3)
    before.advance(data.draw(st.integers(0, length // 6 - 1)))
    seen = [pair for step in steps(length, 2, 3)[: before.images_seen // 6] for pair in step]
    rest = [pair for step in steps(length, 4, 1, (0, before.images_seen)) for pair in step]
    assert not set(seen) & set(rest)
    assert 0 <= length - len(seen) - len(rest) < 4


def test_epochs_differ_and_seeds_differ():
    first, second, other = (steps(40, 1, 4, (epoch, 0), seed=seed) for epoch, seed in ((0, 0), (1, 0), (0, 1)))
    orders = [[index for step in run for _, index in step] for run in (first, second, other)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != list(range(40))


def test_advance_walks_through_epochs():
    sampler = ResumableSampler(10, 0, 1, 4)
    assert sampler.batches_per_epoch == 2
    walked = []
    while sampler.epoch < 2:
        for _ in range(sampler.batches_left):
            walked.append((sampler.epoch, sampler.images_seen))
            sampler.advance()
    assert walked == [(0, 0), (0, 4), (1, 0), (1, 4)]
    with pytest.raises(ValueError, match="3 batches"):
        sampler.advance(3)


def test_iteration_is_of_the_position_it_began_at():
    sampler = ResumableSampler(8, 0, 1, 2)
    expected = list(sampler)
    iterator = iter(sampler)
    sampler.advance(4)
    assert list(iterator) == expected
    assert list(sampler) != expected


def test_state_goes_on():
    sampler = ResumableSampler(30, 1, 2, 3, seed=4)
    sampler.set_position(3, 12)
    state = pickle.loads(pickle.dumps(sampler.state_dict()))
    other = ResumableSampler(30, 1, 2, 3, seed=4)
    other.load_state_dict(state)
    assert list(other) == list(sampler)
    assert (other.epoch, other.images_seen) == (3, 12)
    rejoined = ResumableSampler(30, 0, 1, 6, seed=4)
    rejoined.load_state_dict(state)
    assert rejoined.batches_left == 3


@pytest.mark.parametrize("changes", [{"length": 31}, {"seed": 5}])
def test_state_of_another_order_is_refused(changes):
    settings = {"length": 30, "batch_size": 3, "seed": 4}
    state = ResumableSampler(**settings).state_dict()
    (name,) = changes
    with pytest.raises(EdgeSamError, match=f"{name} {settings[name]}, .* {changes[name]}"):
        ResumableSampler(**(settings | changes)).load_state_dict(state)


def test_too_few_images_is_told():
    with pytest.raises(EdgeSamError, match=r"has 15 images.*\(4 x 4 = 16\)"):
        ResumableSampler(15, 0, 4, 4)
    with pytest.raises(EdgeSamError, match="has 0 images"):
        ResumableSampler(0)
    assert len(ResumableSampler(16, 3, 4, 4)) == 4


@pytest.mark.parametrize("position", [(0, -1), (0, 9), (-1, 0)])
def test_impossible_positions(position):
    with pytest.raises(ValueError, match="epoch"):
        ResumableSampler(8).set_position(*position)


class _Echo(Dataset):
    def __getitem__(self, key):
        return key


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader_gives_contiguous_parts(workers):
    sampler = ResumableSampler(20, 1, 2, 3)
    order = np.random.default_rng([0, 0]).permutation(20).tolist()
    loader = DataLoader(_Echo(), batch_size=3, sampler=sampler, num_workers=workers, collate_fn=list)
    assert len(loader) == 3
    batches = []
    for batch in loader:
        batches.append([index for _, index in batch])
        sampler.advance()
    assert batches == [order[3:6], order[9:12], order[15:18]]
    assert (sampler.epoch, sampler.images_seen) == (1, 0)
