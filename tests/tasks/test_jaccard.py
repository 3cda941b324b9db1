"""The soft overlap of classes against the exact one of certain answers; padding and the unlabelled do not count."""

import pytest
import torch
from torchmetrics.functional import jaccard_index

from argus_core.tasks.segment import DenseLogits, MaskTarget, jaccard


def masks(seed, images=3, classes=4, size=(24, 32)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, classes, (images, *size), generator=generator)


def loss(logits, labels, extent=None, stride=1):
    ends = torch.tensor([labels.shape[1:]]).expand(len(labels), 2) if extent is None else extent
    return jaccard(DenseLogits(logits, stride, ends), [MaskTarget(one) for one in labels], 255)


def test_of_certain_answers_it_is_one_minus_the_mean_iou():
    truth, said = masks(0), masks(1)
    logits = 60.0 * torch.nn.functional.one_hot(said, 4).permute(0, 3, 1, 2)
    exact = [jaccard_index(a, b, "multiclass", num_classes=4, average=None) for a, b in zip(said, truth, strict=True)]
    torch.testing.assert_close(loss(logits, truth), 1 - torch.stack(exact).mean(), atol=1e-5, rtol=0)
    perfect = 60.0 * torch.nn.functional.one_hot(truth, 4).permute(0, 3, 1, 2)
    assert loss(perfect, truth) < 1e-5


def test_the_unlabelled_do_not_count_and_absent_classes_have_no_say():
    truth = masks(0)
    truth[:, :, 16:] = 255
    logits = torch.randn(3, 4, 24, 32, generator=torch.Generator().manual_seed(2))
    other = logits.clone()
    other[..., 16:] = 100 * torch.randn(3, 4, 24, 16)
    torch.testing.assert_close(loss(logits, truth), loss(other, truth))
    assert loss(logits, torch.full_like(truth, 255)) == 0
    one = torch.zeros_like(truth)
    assert loss(60.0 * torch.nn.functional.one_hot(one, 4).permute(0, 3, 1, 2), one) < 1e-5


@pytest.mark.parametrize("stride", [1, 4])
def test_gradients_are_finite_and_point_to_the_truth(stride):
    truth = (
        masks(0, size=(16, 16))
        if stride == 1
        else masks(0, size=(4, 4)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    logits = torch.zeros(3, 4, 16 // stride, 16 // stride, requires_grad=True)
    before = loss(logits, truth, stride=stride)
    before.backward()
    assert logits.grad.isfinite().all()
    after = loss((logits - 100 * logits.grad).detach(), truth, stride=stride)
    assert after < before
