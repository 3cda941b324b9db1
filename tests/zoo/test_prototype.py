"""Classes as frozen vectors: where they come from, that they stay, and that one can be added to a trained head."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from torchvision.ops import box_iou

from argus_core import Argus, Canvas, load_head, save_head
from argus_core.backbones.tiny import tiny
from argus_core.errors import ArgusError
from argus_core.nn import ClassText
from argus_core.registry import HEADS
from argus_core.saving.build import build_head
from argus_core.tasks.detect import BoxTarget, Detect
from argus_core.tokens import FeatureInfo
from argus_heads.experimental.prototype import Prototype, cells_in

TASK = Detect.small()
INFO = FeatureInfo.vit(24)
CANVAS = (80, 112)


@pytest.fixture
def name():
    HEADS.register("detect.prototype_under_test", Prototype)
    yield "detect.prototype_under_test"
    HEADS.unregister("detect.prototype_under_test")


def scenes(head, images=4, canvas=CANVAS, seed=0):
    tokens, targets = TASK.example(head.info, (-1,), canvas, images, torch.Generator().manual_seed(seed))
    return tokens.features(head.needs), targets


def make(seed=0, **options):
    torch.manual_seed(seed)
    return Prototype(INFO, TASK, **{"width": 16, **options})


def scores(head, features):
    with torch.no_grad():
        return torch.cat([level.cls.flatten(2) for level in head(features).levels], dim=2)  # (B, K, N)


def stir(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return head.eval()


def test_size_and_what_is_learned():
    head = Prototype(FeatureInfo.vit(768), Detect(classes=tuple(f"class {i}" for i in range(80))))
    assert sum(p.numel() for p in head.parameters()) == 1_931_419
    assert head.classifier.vectors.shape == (80, 768) and "towers.classifier.vectors" in head.state_dict()
    assert not any(p.numel() == 192 * 80 or p.shape == (80, 768) for p in head.parameters())
    assert Prototype(FeatureInfo.vit(32), TASK).classifier.cls_project.weight.shape == (32, 32)


def test_a_box_owns_the_cells_whose_centre_it_holds_or_else_the_nearest():
    xy = torch.tensor([[8.0, 8], [24, 8], [40, 8]])
    boxes = torch.tensor([[0.0, 0, 30, 16], [26, 9, 28, 11], [41, 0, 60, 16]])
    held = torch.tensor([True, True, False])
    assert cells_in(boxes, xy, held).tolist() == [[True, True, False], [False, True, False], [False, True, False]]
    assert cells_in(boxes[:0], xy, held).shape == (0, 3)


def test_prototypes_are_mean_directions_from_the_mean_feature():
    head = make()
    features, targets = scenes(head)
    crowd = BoxTarget(torch.tensor([[0.0, 0, 90, 70]]), torch.tensor([2]), torch.tensor([True]))
    ring = targets[0].labels.new_ones(len(targets[0].labels))  # the star is nowhere but in a crowd
    only = [BoxTarget(t.boxes, t.labels.clamp(max=1), t.crowd) for t in targets[1:]]
    targets = [BoxTarget(targets[0].boxes, ring, targets[0].crowd), *only[:2], crowd]
    head.fit([(features, targets)])
    maps, extent = features.map.double().numpy(), features.extent.tolist()
    cells = [
        (b, i, j)
        for b, (high, wide) in enumerate(extent)
        for i in range(5)
        for j in range(7)
        if i * 16 < high and j * 16 < wide
    ]
    mean = np.mean([maps[b, :, i, j] for b, i, j in cells], axis=0)
    sums = np.zeros((3, 24))
    for b, i, j in cells:
        unit = (maps[b, :, i, j] - mean) / np.linalg.norm(maps[b, :, i, j] - mean)
        x, y = j * 16 + 8, i * 16 + 8
        for (x1, y1, x2, y2), label in zip(targets[b].boxes.tolist(), targets[b].labels.tolist(), strict=True):
            sums[label] += unit * (x1 < x < x2 and y1 < y < y2 and not targets[b].crowd.any())
    wanted = normalize(torch.from_numpy(sums), dim=1).float()
    torch.testing.assert_close(head.classifier.vectors, wanted, atol=1e-6, rtol=0)
    assert not wanted[2].any() and head.notes()[1].endswith("had no boxes: star")
    weight = head.classifier.cls_project.weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(weight @ weight.T @ wanted.T, wanted.T, atol=1e-5, rtol=0)  # spans them
    assert head.fitted and make().notes() == ["class vectors are seeded stand-ins (no text file)"]


def test_training_leaves_the_prototypes_and_their_length_means_nothing():
    head = make()
    features, targets = scenes(head)
    head.fit([(features, targets)])
    before = head.classifier.vectors.clone()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()
    assert torch.equal(head.classifier.vectors, before)
    head.eval()
    x = torch.randn(2, 16, 30)
    with torch.no_grad():
        torch.testing.assert_close(head.classifier.cosines(x), head.classifier.cosines(5 * x))
        old = scores(head, features)
        head.classifier.vectors.copy_(before[[2, 0, 1]])
        head.classifier.cls_bias.copy_(head.classifier.cls_bias[[2, 0, 1]])
        torch.testing.assert_close(scores(head, features), old[:, [2, 0, 1]])


def test_an_81st_class_needs_no_training_and_travels_with_the_file(name, tmp_path):
    coco = Detect(classes=tuple(f"class {i}" for i in range(80)))
    head = stir(build_head(name, INFO, coco, {"width": 16}))
    features, _ = scenes(head)
    before, vector = scores(head, features), 7 * torch.randn(24)
    head.add_class("okapi", vector)
    after = scores(head, features)
    assert after.shape[1] == 81
    torch.testing.assert_close(after[:, :80], before, atol=1e-5, rtol=1e-5)
    save_head(tmp_path / "wider.safetensors", head, head.record)
    loaded, record = load_head(tmp_path / "wider.safetensors")
    assert loaded.task.classes == (*coco.classes, "okapi") and record["added_classes"] == ["okapi"]
    assert torch.equal(scores(loaded, features), after)
    torch.testing.assert_close(loaded.classifier.vectors[80], normalize(vector, dim=0))
    loaded.add_class("quagga", vector)  # and to a loaded head once more
    torch.testing.assert_close(scores(loaded, features)[:, :81], after, atol=1e-5, rtol=1e-5)
    assert loaded.record["added_classes"] == ["okapi", "quagga"]
    for wrong, fault in [(torch.randn(25), "24 finite numbers"), (torch.zeros(24), "not all zero")]:
        with pytest.raises(ArgusError, match=fault):
            loaded.add_class("dodo", wrong)
    with pytest.raises(ArgusError, match="'class 3' already"):
        loaded.add_class("class 3", vector)
    assert len(loaded.task.classes) == len(loaded.classifier.vectors) == 82


def test_argus_finds_an_added_class():
    backbone = tiny()
    head = stir(Prototype(backbone.info, TASK, width=16))
    argus = Argus(backbone, {"boxes": head}, Canvas(64, 96))
    photo = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)
    tokens, places = argus.tokens([photo])
    features = tokens.features(head.needs)
    head.fit([(features, [BoxTarget(torch.tensor([[5.0, 5, 40, 40]]), torch.tensor([0]), torch.tensor([False]))])])
    box = torch.from_numpy(places[0].boxes_to_canvas(np.array([[30, 10, 80, 45]])))
    head.add_class("okapi", head.class_vector(features, [box]))
    with torch.no_grad():
        head.classifier.cls_bias.copy_(torch.tensor([-30.0, -30, -30, 30]))
    found = argus.detect(photo, score_thresh=0.0)
    assert len(found) and {one["class_name"] for one in found} == {"okapi"}


def test_planted_objects_are_found_and_so_is_a_class_that_is_added():
    head = make(width=32)
    features, targets = scenes(head, images=2, canvas=(96, 128))
    head.fit([(features, targets)])
    optimizer = torch.optim.AdamW(head.parameters(), lr=4e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(head.loss(head(features), targets).values()).backward()
        optimizer.step()

    def missed(labels):
        found = head.eval().decode(head(features), (96, 128))
        hits = [
            box_iou(t.boxes, one.boxes[one.scores > 0.5]) * (to[:, None] == one.labels[one.scores > 0.5])
            for one, t, to in zip(found, targets, labels, strict=True)
        ]
        return sum(int((fits.amax(dim=1) <= 0.5).sum()) for fits in hits)

    with torch.no_grad():
        labels = [target.labels for target in targets]
        assert missed(labels) == 0
        first = labels[0][0]
        vector = head.class_vector(features, [t.boxes[t.labels == first] for t in targets])
        head.add_class("alias", vector)
        head.classifier.cls_bias[3] = head.classifier.cls_bias[first]
        assert missed([torch.where(of == first, 3, of) for of in labels]) == 0


def test_class_vectors_may_be_text(name, tmp_path):
    vectors = normalize(torch.randn(4, 40), dim=1)
    path = tmp_path / "text.safetensors"
    ClassText(("star", "box", "disc", "ring"), vectors, "m", ("{}",)).save(path)
    head = build_head(name, INFO, TASK, {"width": 16, "text": path, "dim": 40})
    assert not head.fitted
    torch.testing.assert_close(head.classifier.vectors, vectors[[2, 3, 0]])
    with pytest.raises(ArgusError, match="no image means"):
        head.class_vector(scenes(head)[0], [])
    with pytest.raises(ArgusError, match="dim=40"):
        make(text=path)
    save_head(tmp_path / "head.safetensors", head, {})
    path.unlink()
    loaded, _ = load_head(tmp_path / "head.safetensors")
    assert torch.equal(loaded.classifier.vectors, head.classifier.vectors) and loaded.notes() == head.notes()


def test_a_vector_needs_a_box():
    head = make()
    features, targets = scenes(head)
    head.fit([(features, targets)])
    with pytest.raises(ArgusError, match="at least one"):
        head.class_vector(features, [torch.zeros(0, 4)] * 4)


@pytest.mark.parametrize("vector", [torch.zeros(24), torch.full((24,), torch.nan), torch.ones(23), [1.0, 2.0]])
def test_what_is_no_class_vector_changes_nothing(vector):
    head = build_head("detect.prototype", FeatureInfo.vit(24), Detect.small(), {"width": 16})
    before = head.task, head.classifier.vectors.clone()
    with pytest.raises(ArgusError, match="24 finite numbers"):
        head.add_class("eel", vector)
    for name in ("", 5, None):
        with pytest.raises(ArgusError, match="needs a name"):
            head.add_class(name, torch.ones(24))
    assert head.task == before[0] and torch.equal(head.classifier.vectors, before[1])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_length_of_a_class_vector_does_not_matter(scale):
    head = build_head("detect.prototype", FeatureInfo.vit(24), Detect.small(), {"width": 16})
    vector = torch.arange(1.0, 25.0)
    head.add_class("eel", (vector * scale).tolist())
    torch.testing.assert_close(head.classifier.vectors[-1], vector / vector.norm())
