"""The graph of cells by the laws of graphs: nodes without order, nothing heard beyond edges, neighbours by search."""

import pytest
import torch
from planted_help import COCO, VITB, ap50_after, make, scenes, size_of, stirred, tensors
from scipy.sparse.csgraph import shortest_path
from scipy.spatial import cKDTree

from argus_core.detection import IGNORE, grid_points
from argus_core.detection.assign import BACKGROUND
from argus_core.detection.owners import bond_loss, smallest_box
from argus_core.tasks.detect import BoxTarget
from argus_core.tokens import Features
from argus_heads.experimental.feature_graph import (
    Affinity,
    Edges,
    FeatureGraph,
    Graph,
    GraphBlock,
    adjacency,
    max_relative,
    nearest,
)

WIDTH = 16


def seen_all(cells, images=1):
    return torch.ones(images, cells, dtype=torch.bool)


def graph(neighbours, blocks=3):
    torch.manual_seed(0)
    return stirred(Graph(WIDTH, blocks, neighbours))


def test_the_size_is_the_specified_one():
    assert size_of(FeatureGraph(VITB, COCO)) == 2_925_083


@pytest.mark.parametrize("grid", [(5, 7), (1, 1), (1, 6), (2, 2)])
def test_neighbours_are_the_cells_a_king_can_reach(grid):
    edges = adjacency(grid, seen_all(grid[0] * grid[1]))
    for cell in range(grid[0] * grid[1]):
        y, x = divmod(cell, grid[1])
        wanted = {
            i * grid[1] + j
            for i in range(max(0, y - 1), min(grid[0], y + 2))
            for j in range(max(0, x - 1), min(grid[1], x + 2))
        }
        assert set(edges.index[0, cell][edges.valid[0, cell]].tolist()) == wanted - {cell}


def test_the_most_alike_are_those_of_a_tree_search_and_never_oneself_or_padding():
    x, seen = torch.randn(2, 40, WIDTH), seen_all(40, 2)
    seen[1, 25:] = False
    edges = nearest(x, seen, 9)
    unit = torch.nn.functional.normalize(x, dim=-1).double().numpy()
    for image, count in ((0, 40), (1, 25)):
        _, wanted = cKDTree(unit[image, :count]).query(unit[image, :count], 10)
        assert torch.equal(edges.index[image, :count], torch.from_numpy(wanted[:, 1:]))
    assert not edges.valid[1, 25:].any() and edges.valid[seen].all()
    few = nearest(x[:, :3], seen[:, :3], 9)
    assert few.valid.sum() == 2 * 3 * 2 and not nearest(x[:, :1], seen[:, :1], 9).valid.any()


def test_messages_are_the_largest_differences():
    x, edges = torch.randn(1, 12, WIDTH), adjacency((3, 4), seen_all(12))
    weight = torch.rand(1, 12, 8)
    found = max_relative(x, edges, weight)
    for node in range(12):
        rows = [
            w * (x[0, j] - x[0, node])
            for j, w, is_edge in zip(edges.index[0, node], weight[0, node], edges.valid[0, node], strict=True)
            if is_edge
        ]
        torch.testing.assert_close(found[0, node], torch.stack(rows).amax(dim=0))


def test_without_edges_only_the_node_itself_speaks():
    x, block = torch.randn(2, 12, WIDTH), stirred(GraphBlock(WIDTH))
    none = Edges(torch.zeros(2, 12, 8, dtype=torch.long), torch.zeros(2, 12, 8, dtype=torch.bool))
    empty = Edges(none.index[..., :0], none.valid[..., :0])
    alone = torch.cat(
        [
            block(x[:, i : i + 1], *(Edges(e.index[:, :1], e.valid[:, :1]) for e in (none, empty)), None)
            for i in range(12)
        ],
        1,
    )
    torch.testing.assert_close(block(x, none, empty, None), alone)
    assert not max_relative(x, none).any() and not max_relative(x, empty).any()


@pytest.mark.parametrize("neighbours", [0, 5])
def test_names_of_nodes_do_not_matter(neighbours):
    model, x = graph(neighbours), torch.randn(1, 20, WIDTH)
    edges, order, shuffle = adjacency((4, 5), seen_all(20)), torch.randperm(20), torch.randperm(8)
    renamed = Edges(order.argsort()[edges.index[:, order]][..., shuffle], edges.valid[:, order][..., shuffle])
    nodes, logits = model(x, edges, seen_all(20))
    again, logits_again = model(x[:, order], renamed, seen_all(20))
    torch.testing.assert_close(again, nodes[:, order], atol=1e-4, rtol=1e-4)
    for one, other in zip(logits, logits_again, strict=True):
        torch.testing.assert_close(
            other[renamed.valid], one[:, order][..., shuffle][renamed.valid], atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_block_is_a_hop(blocks):
    model, x = graph(0, blocks), torch.randn(1, 45, WIDTH)
    edges = adjacency((5, 9), seen_all(45))
    matrix = torch.zeros(45, 45).scatter_(1, edges.index[0], edges.valid[0].float()).numpy()
    hops = torch.from_numpy(shortest_path(matrix, unweighted=True))[11]
    moved = x.clone()
    moved[0, 11] = 5 * torch.randn(WIDTH)
    changed = (model(moved, edges, seen_all(45))[0] != model(x, edges, seen_all(45))[0])[0].any(dim=-1)
    assert not changed[hops > blocks].any()
    assert changed[hops == blocks].float().mean() > 0.5 and changed[hops == 0].all()


def test_likeness_reaches_across_the_map_but_not_between_parts_without_edges():
    x = torch.randn(1, 45, WIDTH)
    moved = x.clone()
    moved[0, 0] = x[0, 44] + 0.01
    edges = adjacency((5, 9), seen_all(45))
    like = graph(9, 1)
    assert (like(moved, edges, seen_all(45))[0] != like(x, edges, seen_all(45))[0])[0, 44].any()
    walls = torch.arange(45)[:, None] % 9 // 5  # columns 0..4 and 5..8
    parted = Edges(edges.index, edges.valid & (walls == walls[edges.index[0], 0]))
    near = graph(0)
    change = near(moved, parted, seen_all(45))[0] != near(x, parted, seen_all(45))[0]
    assert not change[0, walls[:, 0] == 1].any() and change[0, walls[:, 0] == 0].any()


def test_affinity_is_symmetric_and_scales_what_neighbours_hear():
    x, affinity = torch.randn(1, 20, WIDTH), stirred(Affinity(WIDTH))
    edges = adjacency((4, 5), seen_all(20))
    table = torch.zeros(20, 20)
    for node in range(20):
        valid = edges.valid[0, node]
        table[node, edges.index[0, node, valid]] = affinity(x, edges).detach()[0, node, valid]
    torch.testing.assert_close(table, table.T)
    block, none = stirred(GraphBlock(WIDTH)), Edges(edges.index[..., :0], edges.valid[..., :0])
    deaf = Edges(edges.index, torch.zeros_like(edges.valid))
    weightless = block(x, edges, none, torch.zeros(1, 20, 8))
    torch.testing.assert_close(weightless, block(x, deaf, none, None))
    assert (block(x, edges, none, torch.ones(1, 20, 8)) - weightless).abs().max() > 1e-2


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 1), (1, 3)])
def test_coarse_cells_average_the_cells_they_hold(grid):
    affinity, seen = stirred(Affinity(WIDTH)), torch.ones(2, 1, *grid, dtype=torch.bool)
    x = torch.randn(2, WIDTH, *grid)
    coarse, there = affinity.coarsen(x, seen)
    assert coarse.shape == (2, WIDTH, -(-grid[0] // 2), -(-grid[1] // 2)) and there.all()
    most = torch.nn.functional.max_pool2d(x, 2, ceil_mode=True)
    assert (coarse <= most + 1e-5).all()
    torch.testing.assert_close(affinity.coarsen(torch.ones_like(x), seen)[0], torch.ones_like(coarse))
    with torch.no_grad():
        affinity.project.weight.zero_()
        affinity.project.bias.zero_()
    mean = torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True)
    torch.testing.assert_close(affinity.coarsen(x, seen)[0], mean, atol=1e-5, rtol=1e-5)


def test_the_odd_one_out_counts_least_in_a_coarse_cell():
    affinity = Affinity(WIDTH)
    with torch.no_grad():
        affinity.project.weight.copy_(torch.eye(64, WIDTH) * 3)
        affinity.bias.fill_(-8)
    x = torch.zeros(1, WIDTH, 2, 2)
    x[0, 0] = 2
    x[0, :2, 1, 1] = torch.tensor([0.0, 2.0])
    coarse, _ = affinity.coarsen(x, torch.ones(1, 1, 2, 2, dtype=torch.bool))
    assert coarse[0, 0] > 1.9 and coarse[0, 1] < 0.1  # the mean would be 1.5 and 0.5


def test_padding_is_never_heard():
    head = stirred(make(FeatureGraph, width=WIDTH))
    x, size = torch.randn(1, WIDTH, 5, 7), (80, 112)
    features = Features((x,), (), torch.tensor([[80, 84]]), size)
    head.stem = torch.nn.Identity()  # whose norm sees all cells
    seen = []
    head.graph.register_forward_hook(lambda _, __, out: seen.append(out[0].unflatten(1, (5, 7))[:, :, :6]))
    head.towers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][2][..., :3]))
    head(features)
    noise = x.clone()
    noise[..., 6:] = 9 * torch.randn(1, WIDTH, 5, 1)
    head(Features((noise,), (), features.extent, size))
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])


def test_owners_are_the_smallest_boxes_and_bonds_are_within_them():
    points = grid_points([(1, 4)], [10])
    boxes = torch.tensor([[0.0, 0, 40, 10], [0, 0, 20, 10], [100, 0, 120, 10]])
    assert smallest_box(points, boxes).tolist() == [1, 1, 0, 0]
    ends = torch.tensor([[1, 1], [1, 0], [BACKGROUND, BACKGROUND], [0, BACKGROUND], [0, IGNORE]])
    right = torch.tensor([1.0, -1, -1, -1, 0]) * 30
    assert bond_loss(right, ends[:, 0], ends[:, 1]) < 1e-6
    for edge, wrong in ((0, 10.0), (1, 10.0), (2, 10.0), (3, 10.0), (4, 0.0)):
        flipped = right.clone()
        flipped[edge] = -right[edge]
        assert abs(float(bond_loss(flipped, ends[:, 0], ends[:, 1])) - wrong) < 1e-4


def test_affinities_are_taught_where_the_objects_are():
    head = make(FeatureGraph, width=WIDTH)
    features, _ = scenes(head, (48, 64), 1)
    target = BoxTarget(torch.tensor([[0.0, 0, 30, 30]]), torch.tensor([1]), torch.tensor([False]))
    output = head(features)
    loss = head.extra_loss(output, [target], torch.zeros(1, 1))["affinity"]
    (pull,) = torch.autograd.grad(loss, output.affinity[-1:])
    inside = {0, 1, 4, 5}  # cells of the 3 x 4 grid whose centres lie in the box
    edges = adjacency((3, 4), seen_all(12))
    for node in range(12):
        for k in range(8):
            step = float(pull[0, k].flatten()[node])
            both = node in inside and int(edges.index[0, node, k]) in inside
            assert step == 0 if not edges.valid[0, node, k] else (step < 0) == both


def test_sizes_change_freely_and_images_stay_apart():
    head = stirred(make(FeatureGraph, width=WIDTH))
    features, _ = scenes(head, (80, 112), 3)
    one = Features(tuple(m[1:2] for m in features.maps), (), features.extent[1:2], features.size)
    with torch.no_grad():
        for whole, alone in zip(tensors(head(features)), tensors(head(one)), strict=True):
            torch.testing.assert_close(whole[1:2], alone, atol=1e-4, rtol=1e-4)


def test_planted_objects_are_found():
    assert ap50_after(make(FeatureGraph, width=24), steps=40, lr=8e-3) > 0.8
