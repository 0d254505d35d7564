import torch

from edge_sam.inference.repeated_masks import RepeatedMasks


def stripe(start, stop, size=1000):
    index = torch.arange(size)
    return (index >= start) & (index < stop)


def test_nothing_repeats_nothing():
    assert RepeatedMasks().repeat(stripe(0, 500)[None], torch.tensor([0.1])).tolist() == [False]


def test_a_worse_mask_that_is_nine_tenths_the_same_repeats():
    known = RepeatedMasks()
    known.add(stripe(0, 500), 0.9)
    masks = torch.stack([stripe(0, 500), stripe(0, 455), stripe(0, 445), stripe(0, 550), stripe(0, 560)])
    assert known.repeat(masks, torch.full((5,), 0.9)).tolist() == [True, True, False, True, False]
    assert not known.repeat(masks, torch.full((5,), 0.91)).any()


def test_few_pixels_say_nothing():
    known = RepeatedMasks()
    known.add(stripe(0, 63), 0.9)
    known.add(stripe(100, 164), 0.9)
    known.add(stripe(0, 0), 0.9)
    masks = torch.stack([stripe(0, 63), stripe(100, 164), stripe(0, 0)])
    assert known.repeat(masks, torch.full((3,), 0.5)).tolist() == [False, True, False]


def test_many_masks_are_remembered():
    known = RepeatedMasks()
    for start in range(0, 1000, 5):
        known.add(stripe(start, start + 100, 2000), 0.8)
    masks = torch.stack([stripe(start, start + 100, 2000) for start in range(0, 1000, 5)])
    assert known.repeat(masks, torch.full((200,), 0.8)).all()
    assert not known.repeat(stripe(1500, 1700, 2000)[None], torch.tensor([0.1])).any()
