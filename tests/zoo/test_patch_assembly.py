"""Assembly: votes that spread along bonds as a linear system says, and pieces that bonds hold together."""

import numpy as np
import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred, tensors
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from argus_core.detection import Level
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import Features
from argus_heads.experimental.patch_assembly import (
    AssemblyOutput,
    PatchAssembly,
    assembled,
    bonded,
    diffuse,
    laplacian,
    pieces,
    solve,
)

GRIDS = [(5, 7), (1, 6), (4, 1), (1, 1)]


def bonds(grid, images=2, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((images, grid[0], grid[1] - 1), (images, grid[0] - 1, grid[1]))
    return [torch.rand(shape, generator=generator, dtype=dtype) for shape in shapes]


def dense_laplacian(right, down):
    """(N, N) float64 graph Laplacian of one image's bonds."""
    (starts, ends), weight = bonded(right > -1, down > -1), torch.cat([right.flatten(), down.flatten()])
    cells = right.shape[0] * down.shape[1]
    matrix = torch.zeros(cells, cells, dtype=right.dtype).index_put((starts, ends), weight)
    matrix = matrix + matrix.T
    return matrix.sum(dim=1).diag() - matrix


def parted(grid=(5, 7)):
    """Bonds that connect columns 0..2 among each other and columns 3..6, and the mask of the first."""
    right, down = bonds(grid)
    right[:, :, 2] = 0
    return right, down, torch.arange(grid[1]) < 3


def test_the_size_is_the_specified_one():
    assert size_of(PatchAssembly(VITB, COCO)) == 1_246_392


@pytest.mark.parametrize("grid", GRIDS)
def test_diffusion_is_the_solution_of_the_linear_system(grid):
    x, (right, down) = torch.randn(2, 3, *grid, dtype=torch.float64), bonds(grid)
    exact = torch.stack(
        [
            torch.linalg.solve(torch.eye(a.shape[0] * b.shape[1]) + 4 * dense_laplacian(a, b), v.flatten(1).T).T
            for a, b, v in zip(right, down, x, strict=True)
        ]
    ).view_as(x)
    torch.testing.assert_close(solve(x, right, down, 4.0, 200), exact, atol=1e-10, rtol=0)
    assert (solve(x, right, down, 4.0, 20) - exact).abs().max() < 0.01 * x.abs().max()
    single = solve(x.float(), right.float(), down.float(), 4.0, 20)
    assert (single - exact).abs().max() < 0.01 * x.abs().max()


def test_without_bonds_every_cell_keeps_its_own_votes():
    x = torch.randn(2, 3, 5, 7)
    zeros = [torch.zeros_like(bond).float() for bond in bonds((5, 7))]
    assert torch.equal(diffuse(x, *zeros), x)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_diffusion_keeps_the_sum_of_every_connected_part(steps):
    right, down, first = parted()
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    y = solve(x, right, down, 4.0, steps)
    assert (y - x).abs().max() > 0.1
    for part in (first, ~first):
        torch.testing.assert_close(y[..., part].sum(dim=(2, 3)), x[..., part].sum(dim=(2, 3)))


def test_strong_diffusion_gives_a_connected_part_its_mean():
    right, down, first = parted()
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    y = solve(x, right, down, 1e4, 3000)
    for part in (first, ~first):
        mean = x[..., part].mean(dim=(2, 3), keepdim=True)
        assert (y[..., part] - mean).abs().max() < 2e-2


@pytest.mark.parametrize("steps", [3, 20])
def test_parts_without_a_bond_never_touch(steps):
    right, down, first = parted()
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    moved = torch.where(first, x, 100 * torch.randn_like(x))
    other = down * torch.where(first, 1.0, 0.3)
    same = solve(x, right, down, 4.0, steps)[..., :3], solve(moved, right, other, 4.0, steps)[..., :3]
    assert torch.equal(*same)
    leaves = [each.clone().requires_grad_() for each in (x, right, down)]
    pulls = torch.autograd.grad(diffuse(*leaves, steps=steps)[..., :3].square().sum(), leaves)
    assert not pulls[0][..., 3:].any() and not pulls[1][..., 3:].any() and not pulls[2][..., 3:].any()
    assert all(pull[..., :2].abs().min() > 0 for pull in pulls)


def test_gradients_are_those_of_the_exact_solution():
    right, down = bonds((2, 3), images=1)
    leaves = [torch.randn(1, 2, 2, 3, dtype=torch.float64), right, down]
    assert torch.autograd.gradcheck(lambda *a: diffuse(*a, 4.0, 80), [x.requires_grad_() for x in leaves])


@pytest.mark.parametrize("grid", [(5, 7), (1, 1), (1, 9), (12, 17)])
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7, 1.0])
def test_pieces_are_the_connected_components(grid, density):
    right, down = (bond[0] < density for bond in bonds(grid))
    ends, cells = bonded(right, down), grid[0] * grid[1]
    found = pieces(ends, cells)
    places = tuple(ends.numpy().astype(np.int32))  # the only indices that the oldest SciPy takes here
    matrix = coo_array((np.ones(ends.shape[1]), places), shape=(cells, cells))
    _, wanted = connected_components(matrix, directed=False)
    assert torch.equal(found.unique(return_inverse=True)[1], torch.from_numpy(wanted).long())
    for _ in range(3):  # neither order nor direction of bonds matters
        shuffled = ends[:, torch.randperm(ends.shape[1])].flip(0)
        assert torch.equal(pieces(shuffled, cells), found)


def test_a_snake_is_one_piece():
    order = torch.randperm(1000)
    assert not pieces(torch.stack([order[:-1], order[1:]]), 1000).any()


def test_a_piece_speaks_with_one_voice():
    boxes, parts = torch.rand(4, 4), torch.randn(4, 2)
    right, down = torch.tensor([[0.9, 0.6, 0.0]]), torch.zeros(0, 4)
    box, logits, bond = assembled(boxes, parts, right, down, torch.ones(4, dtype=torch.bool))
    weight = torch.tensor([[0.9], [1.5], [0.6]])
    torch.testing.assert_close(box, torch.stack([(weight * boxes[:3]).sum(dim=0) / 3, boxes[3]]))
    torch.testing.assert_close(logits, torch.stack([parts[:3].mean(dim=0), parts[3]]))
    torch.testing.assert_close(bond, torch.tensor([0.75, 1]))


def oracle(bridge):
    """What an ideal head says of two objects of one class in one row, bonded to each other by ``bridge``."""
    head = make(PatchAssembly, width=16)
    boxes = torch.tensor([[16.0, 0, 48, 32], [48, 0, 96, 32]])
    owner = torch.tensor([[-1, 0, 0, 1, 1, 1, -1]] * 2)
    cls = torch.full((1, 3, 2, 7), -9.0)
    cls[0, 1][owner >= 0] = 6
    xy = (torch.stack(torch.meshgrid(torch.arange(2), torch.arange(7), indexing="ij")[::-1]) + 0.5) * 16
    mine = boxes[owner.clamp(min=0)].permute(2, 0, 1)
    ltrb = torch.cat([xy - mine[:2], mine[2:] - xy])[None]
    quality = torch.where(owner >= 0, 6.0, -6.0)[None, None]
    right = torch.where((owner[:, 1:] == owner[:, :-1]) & (owner[:, 1:] >= 0), 6.0, -6.0)[None]
    down = torch.where(owner[1:] >= 0, 6.0, -6.0)[None]
    right[0, 0, 2] = bridge
    output = AssemblyOutput((Level(cls, ltrb, quality),), (16,), torch.tensor([[32, 112]]), right, down)
    return head.decode(output, (32, 112))[0], boxes, head, output


def test_breaking_one_bridge_makes_two_objects_of_one():
    apart, boxes, _, _ = oracle(-0.1)
    order = apart.boxes[:, 0].argsort()
    torch.testing.assert_close(apart.boxes[order], boxes, atol=1e-4, rtol=0)
    assert apart.labels.tolist() == [1, 1] and (apart.scores > 0.9).all()
    joined, _, _, _ = oracle(0.1)
    assert len(joined.boxes) == 1 and 16 < joined.boxes[0, 0] < 48


def test_the_ideal_answer_has_no_loss():
    _, boxes, head, output = oracle(-12.0)
    target = BoxTarget(boxes, torch.tensor([1, 1]), torch.tensor([False, False]))
    terms = head.loss(output, [target])
    assert set(terms) == {"cls", "box", "quality", "glue"}
    assert all(term < 0.02 for term in terms.values()), terms


def test_shared_cells_teach_no_glue_and_crowds_no_objectness():
    head = make(PatchAssembly, width=16)
    features = Features((torch.randn(1, 24, 3, 6),), (), torch.tensor([[48, 96]]), (48, 96))
    boxes = torch.tensor([[0.0, 0, 54, 48], [54, 0, 96, 48]])  # the border runs through column 3

    def pulls(crowd):
        output = head(features)
        target = BoxTarget(boxes, torch.tensor([0, 1]), torch.tensor([False, crowd]))
        terms = head.loss(output, [target])
        return torch.autograd.grad(terms["glue"] + terms["quality"], [output.right, output.levels[0].quality])

    right, objectness = pulls(False)
    assert not right[0, :, 2:4].any() and (right[0, :, [0, 1, 4]] < 0).all() and (objectness < 0).all()
    right, objectness = pulls(True)
    assert not right[0, :, 3:].any() and (right[0, :, :2] < 0).all()
    assert not objectness[..., 3:].any() and (objectness[..., :3] < 0).all()


def test_padding_neither_bonds_nor_speaks():
    head = stirred(make(PatchAssembly, width=16))
    head.stem, head.tower = torch.nn.Conv2d(24, 16, 1), torch.nn.Identity()  # norms see all cells
    x, extent = torch.randn(1, 24, 5, 7), torch.tensor([[80, 84]])
    noise = x.clone()
    noise[..., 6:] = 9 * torch.randn(1, 24, 5, 1)
    with torch.no_grad():
        first, second = (head(Features((each,), (), extent, (80, 112))) for each in (x, noise))
    for a, b in zip(tensors(first), tensors(second), strict=True):
        assert torch.equal(a[..., :6], b[..., :6]) and not torch.equal(a, b)


@pytest.mark.parametrize("grid", [(1, 1), (2, 9), (5, 3)])
def test_odd_maps_and_other_strides_give_sound_detections(grid):
    head = stirred(make(PatchAssembly, stride=14, width=16))
    features, targets = scenes(head, (grid[0] * 14 - 3, grid[1] * 14), 3)
    output = head(features)
    assert all(term.isfinite() for term in head.loss(output, targets).values())
    with torch.no_grad():
        head.objectness.bias.fill_(3)
        head.parts.bias.fill_(2)
        found = head.decode(head(features), features.size)
    for one, extent in zip(found, features.extent.tolist(), strict=True):
        head.task.check(one, tuple(extent))
        assert len(one.boxes)


def test_laplacian_is_that_of_the_graph():
    right, down = bonds((4, 5), images=1)
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    wanted = (dense_laplacian(right[0], down[0]) @ x[0].flatten(1).T).T.view_as(x[0])
    torch.testing.assert_close(laplacian(x, right, down)[0], wanted)


def test_planted_objects_are_found():
    assert ap50_after(make(PatchAssembly, width=32), steps=50, lr=6e-3) > 0.8
