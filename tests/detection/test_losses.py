"""Dense losses against torchvision's FCOS head, and what must hold for any batch."""

from __future__ import annotations

from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import box_iou, generalized_box_iou, generalized_box_iou_loss

from argus_core.detection import FCOSAssigner, assign, boxes_to_ltrb, centerness, giou_loss, grid_points, ltrb_to_boxes
from argus_core.detection.losses import dense_losses
from argus_core.nn import batch_total
from argus_core.tasks.detect import BoxTarget

SIZE, CLASSES = 128, 4
STRIDES = (8, 16, 32, 64, 128)
POINTS = grid_points([(SIZE // s, SIZE // s) for s in STRIDES], STRIDES)


def scene(seed: int, count: int, crowd: bool = False) -> BoxTarget:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, 2, generator=generator) * 60
    side = 12 + 50 * torch.rand(count, 2, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    return BoxTarget(torch.cat([start, start + side], 1), labels, torch.full((count,), crowd))


def predictions(images: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cls = 3 * torch.randn(images, len(POINTS), CLASSES, generator=generator)
    ltrb = POINTS.stride[:, None] * 4 * torch.rand(images, len(POINTS), 4, generator=generator)
    quality = torch.randn(images, len(POINTS), generator=generator)
    return cls.requires_grad_(), ltrb.requires_grad_(), quality.requires_grad_()


def matches(targets: list[BoxTarget], extent: tuple[int, int] = (SIZE, SIZE)) -> Tensor:
    return torch.stack([assign(FCOSAssigner(), POINTS, t, torch.tensor(extent)) for t in targets])


def test_values_are_torchvisions() -> None:
    targets = [scene(0, 5), scene(1, 0), scene(2, 9)]
    cls, ltrb, quality = predictions(3)
    matched = matches(targets)
    ours = dense_losses(cls, ltrb, quality, POINTS.xy, matched, targets)
    half = POINTS.stride[:, None] / 2
    anchors = torch.cat([POINTS.xy - half, POINTS.xy + half], 1)
    theirs = FCOSHead(32, 1, CLASSES, 1).compute_loss(
        [{"boxes": t.boxes, "labels": t.labels} for t in targets],
        # torchvision's regression is in strides
        {"cls_logits": cls, "bbox_regression": ltrb / POINTS.stride[:, None], "bbox_ctrness": quality[..., None]},
        [anchors] * 3,
        list(matched),
    )
    torch.testing.assert_close(ours["cls"], theirs["classification"])
    torch.testing.assert_close(ours["quality"], theirs["bbox_ctrness"])
    weighted, total = 0.0, 0.0
    for i, point in (matched >= 0).nonzero().tolist():
        box = targets[i].boxes[matched[i, point]]
        weight = centerness(boxes_to_ltrb(POINTS.xy[point], box))
        predicted = ltrb_to_boxes(POINTS.xy[point], ltrb[i, point])
        weighted += weight * (1 - generalized_box_iou(predicted[None], box[None])[0, 0])
        total += weight
    torch.testing.assert_close(ours["box"], weighted / total)


def test_perfect_answers_cost_nothing() -> None:
    targets = [scene(3, 4)]
    matched = matches(targets)
    positive = matched[0] >= 0
    cls = torch.full((1, len(POINTS), CLASSES), -50.0)
    ltrb = torch.ones(1, len(POINTS), 4)
    cls[0, positive, targets[0].labels[matched[0, positive]]] = 50
    ltrb[0, positive] = boxes_to_ltrb(POINTS.xy[positive], targets[0].boxes[matched[0, positive]])
    loss = dense_losses(cls, ltrb, torch.zeros(1, len(POINTS)), POINTS.xy, matched, targets)
    assert positive.sum() > 5 and loss["cls"] < 1e-8 and loss["box"] < 1e-5


@pytest.mark.parametrize("targets", [[scene(0, 0)], [scene(0, 3, crowd=True)], [scene(0, 100), scene(1, 0)]])
@pytest.mark.parametrize("extent", [(SIZE, SIZE), (3, SIZE)])
def test_every_term_reaches_every_output(targets: list[BoxTarget], extent: tuple[int, int]) -> None:
    outputs = predictions(len(targets))
    with torch.no_grad():
        outputs[0].mul_(50)  # extreme logits stay finite
    loss = dense_losses(*outputs, POINTS.xy, matches(targets, extent), targets)
    sum(loss.values()).backward()
    for term, output in zip(loss.values(), outputs, strict=True):
        assert term.isfinite() and output.grad is not None and output.grad.isfinite().all()


def test_ignored_locations_feel_nothing() -> None:
    objects, crowds = scene(0, 2), scene(1, 2, crowd=True)
    pairs = zip(vars(objects).values(), vars(crowds).values(), strict=True)
    targets = [BoxTarget(*(torch.cat(pair) for pair in pairs))]
    matched = matches(targets, (96, 128))
    outputs = predictions(1)
    sum(dense_losses(*outputs, POINTS.xy, matched, targets).values()).backward()
    felt = outputs[0].grad[0].abs().sum(1) > 0
    assert torch.equal(felt, matched[0] != -2) and (matched == -2).sum() > 50
    for output in outputs[1:]:
        assert torch.equal(output.grad[0].reshape(len(POINTS), -1).abs().sum(1) > 0, matched[0] >= 0)


def test_normalisers_count_the_whole_batch() -> None:
    targets = [scene(0, 8), scene(1, 1)]
    outputs, matched = predictions(2), matches(targets)
    whole = dense_losses(*outputs, POINTS.xy, matched, targets)
    counts = (matched >= 0).sum(1)
    alone = [
        dense_losses(*(o[i : i + 1] for o in outputs), POINTS.xy, matched[i : i + 1], targets[i : i + 1])
        for i in range(2)
    ]
    for name in ("cls", "quality"):
        pooled = sum(a[name] * n for a, n in zip(alone, counts, strict=True)) / counts.sum()
        torch.testing.assert_close(whole[name], pooled)


def test_total_is_at_least_one() -> None:
    assert batch_total(torch.tensor(0)) == 1 and batch_total(torch.tensor(0.3)) == 1
    assert batch_total(torch.tensor(7)) == 7


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    targets = [scene(0, 8), scene(1, 1)]
    outputs = predictions(2)
    one = slice(rank, rank + 1)
    terms = dense_losses(*(o[one] for o in outputs), POINTS.xy, matches(targets)[one], targets[one])
    loss = torch.stack(list(terms.values())).detach()
    dist.all_reduce(loss)
    dist.destroy_process_group()
    if rank == 0:
        Path(folder, "loss").write_text(" ".join(map(str, (loss / 2).tolist())))


@pytest.mark.slow
def test_two_processes_average_to_the_whole_batch(forked: BaseContext, tmp_path: Path) -> None:
    mp.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method=forked.get_start_method())
    targets = [scene(0, 8), scene(1, 1)]
    whole = dense_losses(*predictions(2), POINTS.xy, matches(targets), targets)
    found = [float(x) for x in (tmp_path / "loss").read_text().split()]
    assert found == pytest.approx([v.item() for v in whole.values()], rel=1e-5)


def test_quality_as_overlap_learns_how_well_the_predicted_boxes_fit() -> None:
    targets = [scene(0, 5), scene(2, 9)]
    cls, ltrb, quality = predictions(2)
    matched = matches(targets)
    terms = dense_losses(cls, ltrb, quality, POINTS.xy, matched, targets, "iou")
    image, point = (matched >= 0).nonzero(as_tuple=True)
    boxes = torch.stack([targets[i].boxes[matched[i, p]] for i, p in zip(image, point, strict=True)])
    found = ltrb_to_boxes(POINTS.xy[point], ltrb[image, point])
    overlap = box_iou(found, boxes).diagonal().detach()
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(quality[image, point], overlap)
    torch.testing.assert_close(terms["quality"], wanted)
    torch.testing.assert_close(terms["box"], 1 - generalized_box_iou(found, boxes).diagonal().mean())
    assert torch.autograd.grad(terms["quality"], ltrb, allow_unused=True)[0] is None


def test_the_overlap_loss_is_torchvisions_and_so_is_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    start, side = (50 * torch.rand(2, 200, 2, generator=generator) for _ in range(2))
    given = torch.cat([start, start + side + 1], dim=2)
    given[1, :20] = given[0, :20]
    given[1, 20:40] += 200
    results = []
    for loss in (giou_loss, generalized_box_iou_loss):
        boxes = given[0].clone().requires_grad_()
        values = loss(boxes, given[1])
        values.sum().backward()
        results.append((values.detach(), boxes.grad))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-6, atol=1e-8)
