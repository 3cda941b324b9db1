import numpy as np
import pytest
import torch
from argus_normals.metric import NormalMetric
from argus_normals.task import Normals
from argus_normals.vectors import CellNormals, NormalMap

from argus_core import ArgusError, Canvas, open_data
from argus_core.testing import data_suite, head_suite, task_suite

test_head = head_suite("normals.linear", options={"layers": (3, 11)})
test_task = task_suite("normals")
test_data = data_suite("normal_scenes:images=4,val=2,size=64x48")


@pytest.fixture(scope="module")
def truth():
    return open_data("normal_scenes:images=3,val=1,size=48x80,seed=2")["train"].truth(1, "normals")


@pytest.mark.parametrize("canvas", [Canvas(96), Canvas(32, 64, "stretch"), Canvas(64, 64, "crop")])
@pytest.mark.parametrize("flip", [False, True])
def test_a_truth_on_the_canvas_and_back_is_itself(truth, canvas, flip):
    task, place = Normals(), canvas.place(48, 80)
    place = place.mirror() if flip else place
    target = task.target(truth, place)
    back = task.to_image(CellNormals(target.normals, 1), place)
    metric = task.metric()
    covered = back.normals.numpy().any(axis=0)[..., None]
    metric.update("one", back, truth * covered)
    scores = metric.compute()
    assert scores["median"] < 0.5 and scores["within_11"] > 0.9, scores
    assert covered.mean() > 0.55


def test_a_mirrored_pass_agrees_with_an_upright_one(truth):
    task, place = Normals(), Canvas(48, 80).place(48, 80)
    both = [CellNormals(task.target(truth, placement).normals, 1) for placement in (place, place.mirror())]
    assert (both[0].normals - both[1].normals.flip(2)).abs().max() > 0.1
    merged = task.merge(both, [place, place.mirror()]).normals
    assert torch.allclose(merged, task.to_image(both[0], place).normals, atol=1e-5)


def test_scores_of_known_angles():
    angles = np.radians([0.0, 10.0, 20.0, 29.0, 60.0])
    normals = np.stack([np.sin(angles), 0 * angles, -np.cos(angles)])[:, None].astype(np.float32)  # (3, 1, 5)
    truth = np.zeros((1, 5, 3), dtype=np.float32)
    truth[..., 2] = -1
    metric = NormalMetric()
    metric.update("one", NormalMap(torch.from_numpy(normals)), truth)
    scores = metric.compute()
    assert scores["mean"] == pytest.approx(23.8, abs=1e-4) and scores["median"] == pytest.approx(20, abs=0.01)
    assert (scores["within_11"], scores["within_22"], scores["within_30"]) == (0.4, 0.6, 0.8)
    other = NormalMetric()
    other.update("two", NormalMap(torch.from_numpy(normals[:, :, :2])), truth[:, :2])
    whole = NormalMetric()
    whole.merge([metric.state(), other.state()])
    assert whole.compute()["mean"] == pytest.approx((119 + 10) / 7, abs=1e-4)
    with pytest.raises(ArgusError, match="counted twice"):
        whole.merge([metric.state(), metric.state()])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda t: t[..., :2], "not a float array"),
        (lambda t: (t * 100).astype(np.int64), "int64"),
        (lambda t: t * 2, "lengths"),
        (lambda t: t * np.nan, "lengths"),
        (lambda t: t * (1, -1, -1), "away from the camera"),
    ],
)
def test_wrong_truths_are_refused(truth, change, words):
    wrong = change(truth)
    assert words in Normals().fault(wrong, (48, 80))
    with pytest.raises(ArgusError, match=words):
        Normals().target(wrong, Canvas(96).place(48, 80))


def test_an_image_without_known_normals_is_a_fault_and_adds_no_loss(truth):
    assert "no pixel" in Normals().fault(truth * 0, (48, 80))
    assert not Normals().target(truth * 0, Canvas(96).place(48, 80)).normals.any()
    solids = open_data("normal_scenes:images=3,val=1,size=48x80,seed=2,ground=false")["train"].truth(1, "normals")
    known = solids.any(axis=-1)
    assert 0 < known.sum() < truth.any(axis=-1).sum() and np.array_equal(solids[known], truth[known])


def test_a_result_has_the_usual_colours(truth):
    image = np.zeros((48, 80, 3), dtype=np.uint8)
    result = Normals().result(NormalMap(torch.from_numpy(truth).permute(2, 0, 1)), image)
    assert np.array_equal(np.asarray(result), truth)
    picture = result.draw()
    unknown = ~truth.any(axis=-1)
    assert picture.shape == image.shape and (picture[unknown] == 128).all()
    upward = truth[..., 1] < -0.9
    assert upward.any() and (picture[upward, 1] > 240).all()
    assert (picture[~unknown, 2] > 120).mean() > 0.95
