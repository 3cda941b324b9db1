"""The procedural scenes: their truth is checked against geometry done here, and against the pictures."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from argus_core.data.hold_out import hold_out
from argus_core.errors import ArgusError
from argus_data.procedural.render import SOLID, first_depth, look, surface
from argus_data.procedural.scene import SEGMENTS, VISIBLE_PIXELS, VISIBLE_SHARE
from argus_data.procedural.shapes import SHAPES, length
from argus_data.procedural.world import CLASSES
from argus_data.scenes.split import open_scenes

MANY = 60


@pytest.fixture(scope="module")
def split():
    return open_scenes(images=400, size="64x96", seed=3)["train"]


@pytest.fixture(scope="module")
def scenes(split):
    return [split.scene(i) for i in range(MANY)]


def inside(name: str, p: np.ndarray) -> np.ndarray:
    """Whether (3, n) points lie in the solid, from its definition alone."""
    x, y, z = p[0], p[1] + 0.5, p[2]
    if name == "ball":
        return x**2 + y**2 + z**2 <= 0.25
    if name == "box":
        return np.abs(np.stack([x, y, z])).max(axis=0) <= 0.5
    if name == "cone":
        return (np.hypot(x, z) <= (y + 0.5) / 2) & (y <= 0.5)
    if name == "ring":
        return (np.hypot(x, y) <= 0.5) & (np.hypot(x, y) >= 0.28) & (np.abs(z) <= 0.5)
    arms = (np.abs(x) <= 0.17) | (np.abs(y) <= 0.17)
    return arms & (np.abs(np.stack([x, y, z])).max(axis=0) <= 0.5)


@pytest.mark.parametrize("name", CLASSES)
def test_rays_meet_a_solid_where_marching_meets_it(name):
    rng = np.random.default_rng(0)
    origin = np.array([[0.3], [-1.6], [-2.0]])
    target = rng.uniform((-0.7, -1.2, -0.5), (0.7, 0.1, 0.5), (400, 3)).T
    ray = target - origin
    distance, normal = SHAPES[name](origin, ray)
    steps = np.linspace(0, 2.2, 8000)
    within = np.stack([inside(name, origin + ray * s) & ((origin + ray * s)[1] <= 0) for s in steps])
    marched = np.where(within.any(axis=0), steps[within.argmax(axis=0)], np.inf)
    both = np.isfinite(distance) & np.isfinite(marched)
    assert both.sum() > 100
    assert (np.isfinite(distance) != np.isfinite(marched)).mean() < 0.01  # grazing rays
    assert (np.abs(distance[both] - marched[both]) < 1e-3).mean() > 0.99
    # A surface seen from outside faces the ray, and leads out of the solid.
    hit = origin + ray * np.where(both, distance, 0)
    unit = normal / np.maximum(length(normal), 1e-12)
    assert ((normal * ray).sum(axis=0)[both] < 1e-9).all()
    assert not inside(name, hit + 1e-4 * unit)[both].any()
    assert inside(name, hit - 1e-4 * unit)[both].mean() > 0.98


def test_the_same_scene_again_whatever_else_was_asked():
    small, large = (open_scenes(images=n, size=48, seed=5)["train"] for n in (3, 30))
    assert np.array_equal(small.read(2), large.read(2))
    assert np.array_equal(small.scene(2).depth, large.scene(2).depth)
    first, again = large.pair(2, points=9), large.pair(2, points=9)
    assert np.array_equal(first.matches, again.matches, equal_nan=True)
    assert not np.array_equal(first.first.image, first.second.image)


def test_pixels_are_those_of_this_generator_version():
    """If this fails on purpose, raise ``GENERATOR`` in argus_data.scenes.split together with the value here."""
    split = open_scenes(images=4, size="32x40", seed=11)["train"]
    digest = hashlib.sha256()
    for i in range(4):
        scene = split.scene(i)
        for part in (scene.image, scene.depth, scene.mask, scene.instances, scene.boxes.astype("<i4")):
            digest.update(part.tobytes())
    assert digest.hexdigest() == "ea8e3c0049a5ae1391f0389d5959bd687473167d8d5841ead42ba0fe80a7d40d"


def test_seed_split_size_and_index_all_matter():
    base = open_scenes(size=48)
    others = [open_scenes(size=48, seed=1)["train"], base["val"], open_scenes(size="48x49")["train"]]
    assert not np.array_equal(base["train"].read(0), base["train"].read(1))
    assert not np.array_equal(base["train"].read(0), base["val"].read(0))
    assert not np.array_equal(base["train"].read(0), others[0].read(0))
    digests = {s.digest(i) for s in (base["train"], *others) for i in range(4)}
    assert len(digests) == 16
    assert len({s.annotation_digest() for s in (base["train"], *others)}) == 4
    assert open_scenes(size=48, images=9)["train"].digest(3) == base["train"].digest(3)
    assert open_scenes(size=48, images=9)["train"].annotation_digest() != base["train"].annotation_digest()


def test_crowds_of_small_solids_have_as_many_pixels_on_larger_pictures():
    """Solids four times as small, on pictures four times as large; the usual scenes stay what they were."""
    usual = open_scenes(images=60, size=64, seed=2)["train"]
    assert open_scenes(images=60, size=64, seed=2, solids=7, shrink=1)["train"].digest(3) == usual.digest(3)
    crowd = open_scenes(images=60, size=256, seed=2, solids=40, shrink=4)["train"]
    assert crowd.digest(3) != open_scenes(images=60, size=256, seed=2)["train"].digest(3)
    few, many = ([split.truth(i, "detect").boxes for i in range(60)] for split in (usual, crowd))
    heights = [np.median(np.concatenate(boxes)[:, 3] - np.concatenate(boxes)[:, 1]) for boxes in (few, many)]
    assert 0.6 < heights[1] / heights[0] < 1.6
    assert max(map(len, many)) > 20 > 7 >= max(map(len, few))


def test_boxes_are_tight_around_the_visible_pixels(scenes):
    for scene in scenes:
        assert set(np.unique(scene.instances)) <= set(range(len(scene.boxes) + 1))
        for row, box in enumerate(scene.boxes):
            y, x = np.nonzero(scene.instances == row + 1)
            assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert scene.area[row] == len(x) >= VISIBLE_PIXELS
            assert (scene.mask[y, x] == scene.labels[row]).all()


def test_mask_depth_and_label_agree(scenes):
    ground, sky = SEGMENTS.index("ground"), SEGMENTS.index("sky")
    for scene in scenes:
        assert scene.image.shape == (64, 96, 3) and scene.image.dtype == np.uint8
        assert scene.depth.shape == scene.mask.shape == scene.instances.shape == (64, 96)
        assert ((scene.mask == sky) == np.isinf(scene.depth)).all()
        assert (scene.depth > 0).all()
        assert (scene.mask[scene.instances > 0] < len(CLASSES)).all()
        rays = scene.camera.rays()
        height = surface(scene.camera, rays, scene.depth.astype(np.float64))[1]
        assert np.allclose(height[scene.mask == ground], 0, atol=1e-5 * scene.depth[scene.mask == ground].max())
        assert (height[scene.mask < ground] < 1e-4).all()
        expected = scene.labels[scene.area.argmax()] if len(scene.labels) else -1
        assert scene.label == expected


def test_normals_are_perpendicular_to_the_surfaces_that_depth_shows(split, scenes):
    """The cross product of steps between neighbouring points in space, away from edges, is the normal."""
    angles = []
    for scene in scenes[:20]:
        view = look(scene.world, scene.camera)
        points = scene.camera.to_camera(surface(scene.camera, view.rays, view.depth))
        down, right = np.diff(points, axis=1)[:, :, :-1], np.diff(points, axis=2)[:, :-1]
        found = np.moveaxis(np.cross(right, down, axis=0), 0, -1)
        found /= np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
        here = view.owner[:-1, :-1]
        inner = (here == view.owner[1:, :-1]) & (here == view.owner[:-1, 1:]) & (here > 0)
        # Right x down leads away from the camera.
        cosine = -(found * scene.normals[:-1, :-1]).sum(axis=-1)[inner]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    angles = np.concatenate(angles)
    assert np.median(angles) < 1 and (angles < 15).mean() > 0.93


def test_normals_face_the_camera_and_the_ground_looks_up(scenes):
    for scene in scenes:
        assert scene.normals.shape == (64, 96, 3) and scene.normals.dtype == np.float32
        sky = scene.mask == SEGMENTS.index("sky")
        assert np.allclose(np.linalg.norm(scene.normals, axis=-1), ~sky, atol=1e-6)
        ahead = np.linalg.inv(scene.camera.intrinsics) @ np.stack(
            [*np.meshgrid(np.arange(96) + 0.5, np.arange(64) + 0.5), np.ones((64, 96))]
        ).reshape(3, -1)
        assert ((scene.normals.reshape(-1, 3) * ahead.T).sum(axis=1) < 1e-6).all()
        ground = scene.mask == SEGMENTS.index("ground")
        assert np.allclose(scene.normals[ground] @ scene.camera.axes, (0, -1, 0), atol=1e-6)


def test_the_nearest_solid_hides_the_others(split):
    hidden = 0
    for i in range(MANY):
        world = split.scene(i).world
        view = look(world, world.camera)
        rays = view.rays.reshape(3, -1)
        origin = np.array(world.camera.position)[:, None]
        alone = np.array([solid.hit(origin, rays)[0] for solid in world.solids]).reshape(-1, *view.depth.shape)
        if not len(alone):
            continue
        nearest = np.where(np.isfinite(alone.min(axis=0)), alone.argmin(axis=0) + SOLID, -1)
        seen = view.owner >= SOLID
        assert (nearest[seen] == view.owner[seen]).all()
        # Nothing that a ray meets before the ground lies outside the windows that are searched.
        assert (seen == (alone.min(axis=0) < first_depth(_bare(world), world.camera, rays).reshape(seen.shape))).all()
        assert (np.isfinite(alone).sum(axis=(1, 2)) == view.silhouettes).all()
        hidden += (np.isfinite(alone).sum(axis=0) > 1).any()
    assert hidden > MANY // 10


def _bare(world):
    return type(world)(world.camera, (), world.ground, world.sky, world.clouds, world.sun)


def test_hidden_solids_are_not_annotated(split):
    left_out = 0
    for i in range(MANY):
        scene = split.scene(i)
        view = look(scene.world, scene.camera)
        for index, solid in enumerate(scene.world.solids):
            pixels = view.owner == SOLID + index
            enough = pixels.sum() >= max(VISIBLE_PIXELS, VISIBLE_SHARE * view.silhouettes[index])
            assert (scene.instances[pixels] > 0).all() if enough else not scene.instances[pixels].any()
            assert (scene.mask[pixels] == solid.label).all()
            left_out += bool(pixels.any() and not enough)
    assert left_out > 0


def test_depth_of_one_view_is_found_in_the_other(split):
    """Project every pixel of view 1 into view 2: where it lands on the same surface the depths must agree."""
    agree = []
    for i in range(12):
        pair = split.pair(i, points=4)
        first, second = pair.first, pair.second
        k, (h, w) = first.camera.intrinsics, first.depth.shape
        seen = first.mask != SEGMENTS.index("sky")
        y, x = np.nonzero(seen)
        rays = np.linalg.inv(k) @ np.stack([x + 0.5, y + 0.5, np.ones(len(x))])
        world = first.camera.axes.T @ (rays * first.depth[seen]) + np.array(first.camera.position)[:, None]
        local = second.camera.axes @ (world - np.array(second.camera.position)[:, None])
        assert np.allclose(second.camera.axes @ second.camera.axes.T, np.eye(3), atol=1e-12)
        assert np.isclose(np.linalg.det(second.camera.axes), 1)
        u, v, z = k @ local
        with np.errstate(invalid="ignore", divide="ignore"):
            u, v = u / z, v / z
        fits = (z > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
        row, column = v[fits].astype(int), u[fits].astype(int)
        there, same = second.depth[row, column], second.mask[row, column] == first.mask[seen][fits]
        close = np.abs(there - z[fits]) < 0.15 * z[fits]
        agree.append((close & same).mean())
    assert np.mean(agree) > 0.85


def test_matches_are_exact_and_hidden_points_are_known(split):
    flags, behind = [], []
    for i in range(MANY):
        pair = split.pair(i, points=40)
        assert pair.points.shape == pair.matches.shape == (40, 2)
        x, y = (pair.points - 0.5).astype(int).T
        depth = pair.first.depth[y, x].astype(np.float64)
        assert np.isfinite(depth).all()
        points = surface(pair.first.camera, pair.first.camera.rays_through(*pair.points.T), depth)
        again, z = pair.second.camera.project(points)
        assert np.allclose(again, pair.matches, atol=1e-3, equal_nan=True)
        column, row = pair.matches[pair.visible].astype(int).T
        there = pair.second.depth[row, column]
        # The pixel's centre lies up to half a pixel off, so only the bulk can agree.
        assert np.mean(np.abs(there - z[pair.visible]) < 0.1 * z[pair.visible]) > 0.7 if len(there) > 10 else True
        if len(pair.first.labels):
            assert (pair.first.mask[y, x] < len(CLASSES)).sum() == 20
        flags.append(pair.visible.mean())
        hidden = ~pair.visible & ((pair.matches >= 0) & (pair.matches < (96, 64))).all(axis=1)
        column, row = pair.matches[hidden].astype(int).T
        behind.extend(pair.second.depth[row, column] < 0.99 * z[hidden])
    assert 0.5 < np.mean(flags) < 0.98
    assert len(behind) > 20 and np.mean(behind) > 0.8


def test_matches_show_the_same_colour():
    """Surfaces are matt, so a visible point has one colour in both pictures; a shifted match has not."""
    split = open_scenes(images=12, size=128, seed=2)["train"]
    right, shifted = [], []
    for i in range(12):
        pair = split.pair(i, points=100)
        ours = _pixels(pair.first.image, pair.points[pair.visible])
        right.append(np.abs(ours - _pixels(pair.second.image, pair.matches[pair.visible])).mean())
        shifted.append(np.abs(ours - _pixels(pair.second.image, pair.matches[pair.visible] + (9, 0))).mean())
    assert np.mean(right) < 8 < 12 < np.mean(shifted)


def _pixels(image, points):
    x, y = np.clip(points.astype(int), 0, np.array(image.shape[1::-1]) - 1).T
    return image[y, x].astype(float)


def test_many_scenes_of_any_size_and_a_few_empty_ones():
    empty, seen = 0, np.zeros(len(CLASSES), dtype=int)
    split = open_scenes(images=400, size=64, seed=9)["train"]
    for i in range(400):
        truth = split.truth(i, "detect")
        empty += len(truth.labels) == 0
        seen += np.bincount(truth.labels, minlength=len(CLASSES))
        assert (truth.boxes[:, :2] >= 0).all() and (truth.boxes[:, 2:] <= 64).all()
        assert (truth.boxes[:, 2:] > truth.boxes[:, :2]).all() and not truth.crowd.any()
    assert 4 <= empty <= 40
    assert seen.min() > 0.12 * seen.sum()
    for size in ("33x160", "160x33"):
        with np.errstate(all="raise"):
            for i in range(10):
                open_scenes(images=10, size=size, seed=i)["val"].pair(i)


def test_colour_does_not_give_the_class_away():
    """The mean colour of an object tells classes apart no better than chance."""
    split = open_scenes(images=150, size=64, seed=4)["train"]
    scenes = [split.scene(i) for i in range(150)]
    x = np.array([s.image[s.instances == row + 1].mean(axis=0) for s in scenes for row in range(len(s.labels))])
    y = np.concatenate([s.labels for s in scenes])
    half = len(x) // 2
    centres = np.array([x[:half][y[:half] == c].mean(axis=0) for c in range(len(CLASSES))])
    guess = np.linalg.norm(x[half:, None] - centres, axis=2).argmin(axis=1)
    assert (guess == y[half:]).mean() < 0.33


def test_truth_is_boxes_of_the_task(split, scenes):
    task = split.tasks["detect"]
    assert task.classes == CLASSES
    truth = split.truth(7, "detect")
    assert np.array_equal(truth.boxes, scenes[7].boxes) and np.array_equal(truth.labels, scenes[7].labels)
    assert split.truth(7, "detect") is truth
    with pytest.raises(ArgusError, match="detect"):
        split.truth(0, "detects")
    with pytest.raises(IndexError):
        split.read(400)


def test_keys_and_lengths():
    data = open_scenes(images=12, val=5, size=32)
    assert list(data) == ["train", "val"] and [len(s) for s in data.values()] == [12, 5]
    assert len({data["train"].key(i) for i in range(12)}) == 12
    assert data["train"].stamp(3) == data["train"].stamp(3) != data["train"].stamp(4)
    assert data["train"].faults() == []


@pytest.mark.parametrize(
    "options, words",
    [
        ({"size": 31}, "size=31"),
        ({"size": "64x"}, "size=64x"),
        ({"size": "64x64x3"}, "96x128"),
        ({"images": 0}, "images=0"),
        ({"seed": -1}, "seed=-1"),
        ({"path": "folder"}, "folder"),
        ({"solids": 0}, "solids=0"),
        ({"solids": 251}, "solids=251"),
        ({"shrink": 0}, "shrink=0"),
    ],
)
def test_options_that_make_no_scenes(options, words):
    with pytest.raises(ArgusError, match=words):
        open_scenes(**options)


def test_sizes_are_those_of_the_pictures_and_cost_no_rendering(monkeypatch):
    split = open_scenes(images=2, val=1, size="64x96")["train"]
    assert split.image_size(1) == split.read(1).shape[:2] == (64, 96)
    monkeypatch.setattr(type(split), "read", lambda *_: pytest.fail("a picture was rendered"))
    assert split.image_size(0) == (64, 96) == hold_out({"all": split}, 0.5)["val"].image_size(0)


def test_opening_does_not_import_torch():
    code = "import sys, argus_data.scenes as s; s.open_scenes()['train'].read(0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
