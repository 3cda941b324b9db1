"""OpenVINO in the place of the backbone and as files: other sizes, precisions, calibration, and what is refused."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from argus_core.argus import Argus
from argus_core.backbones.timm_models import build, wrap
from argus_core.canvas import Canvas
from argus_core.cli.commands import app
from argus_core.errors import ArgusError
from argus_core.export import int8
from argus_core.export.agreement import agreement
from argus_core.export.int8 import Drift, halves, measure
from argus_core.export.openvino import OpenVINONetwork
from argus_core.saving.build import build_head
from argus_core.tasks.classify import Classes, Classify
from argus_core.tasks.detect import Detections
from argus_core.tasks.segment import Segment

pytest.importorskip("openvino")


def shaken(module):
    """Every parameter moved off its start, which hides faults."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "gamma" in name or (p.ndim == 1 and name.endswith("weight")):
                p.uniform_(0.4, 0.8)
            else:
                p.copy_(torch.randn_like(p) / (p[0].numel() ** 0.5 if p.ndim > 1 else 4))
    return module


def network_of(name):
    if name == "rotary":
        return build("vit_small_patch16_dinov3_qkvb", embed_dim=48, num_heads=3, depth=1)
    return build("test_convnext", pretrained=False)


def small_argus(name="rotary"):
    return argus_on(wrap(shaken(network_of(name)), name, license="apache-2.0", mean=[0.5] * 3, std=[0.25] * 3))


def argus_on(backbone):
    heads = {
        "kind": build_head("classify.linear", backbone.info, Classify(classes=("cat", "dog"))),
        "masks": build_head("segment.linear", backbone.info, Segment(classes=("sky", "sea")), {"layers": [-1]}),
    }
    return Argus(backbone, {key: shaken(head) for key, head in heads.items()}, Canvas(96, 128))


def photographs(count=2 * int8.LEAST):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (90 + n, 140, 3), dtype=np.uint8) for n in range(count)]


def noise(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


CASES = (
    (noise(2, 96, 256, 3), torch.tensor([[96, 256], [50, 200]])),
    (noise(1, 160, 64, 3), torch.tensor([[160, 64]])),
)


def apart(argus, expected):
    """The largest relative distance between tokens of one and another network."""
    worst = 0.0
    for case, tokens in zip(CASES, expected, strict=True):
        actual = argus.backbone.encode(*case, argus.needs)
        for kind in ("maps", "prefix"):
            for layer, value in getattr(tokens, kind).items():
                distance = (getattr(actual, kind)[layer] - value).norm() / value.norm()
                worst = max(worst, float(distance))
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rotary", "convolutions"])
def test_every_precision_runs_the_backbone_at_any_size(monkeypatch, capsys, name):
    pytest.importorskip("nncf")
    monkeypatch.setattr(int8, "check_cpu", lambda: None)
    monkeypatch.setattr("argus_core.export.engines.check_bf16", lambda: None)
    argus = small_argus(name)
    expected = [argus.backbone.encode(*case, argus.needs) for case in CASES]
    for precision, least, most in (("fp32", 0, 1e-5), ("bf16", 0, 0.05), ("int8", 1e-4, 0.2)):
        images = photographs() if precision == "int8" else None
        assert argus.compile("openvino", precision, images) is argus
        assert least <= apart(argus, expected) <= most
    assert not capsys.readouterr().out
    network = weakref.ref(argus.backbone._compiled)
    argus.compile("eager")
    assert network() is None  # freed at once, not by the garbage collector in another test
    assert apart(argus, expected) == 0


@pytest.mark.slow
def test_the_command_writes_int8_that_runs_without_argus_and_with_it(tmp_path, monkeypatch, named):
    import openvino
    from PIL import Image

    pytest.importorskip("nncf")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(int8, "check_cpu", lambda: None)
    argus = argus_on(named(lambda: shaken(network_of("rotary"))))
    photos, out = tmp_path / "photos", tmp_path / "out"
    argus.save(tmp_path / "model")
    photos.mkdir()
    for number, image in enumerate(photographs()):
        Image.fromarray(image).save(photos / f"{number}.png")
    given = ["export", "--model", str(tmp_path / "model"), "--out", str(out), "--int8", str(photos), "--format"]
    refused = CliRunner().invoke(app, [*given, "onnx"])
    assert isinstance(refused.exception, ArgusError) and "--format openvino" in str(refused.exception)
    done = CliRunner().invoke(app, [*given, "openvino"], catch_exceptions=False)
    assert f"int8 against float32 on {int8.LEAST} other images: cosines layer" in done.stdout

    graph = openvino.Core().read_model(out / "argus.xml")
    record = json.loads(graph.get_rt_info("argus").astype(str))
    assert [*record["outputs"]] == ["kind_scores", "masks_logits"]
    assert any(op.get_type_name() == "FakeQuantize" for op in graph.get_ops())
    images, extent = CASES[0]
    run = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = run([np.ascontiguousarray(images.permute(0, 3, 1, 2).numpy()), extent.numpy()])
    expected = argus.run_heads(argus.backbone.encode(images, extent, argus.needs))
    assert np.abs(found["kind_scores"] - np.stack([each.scores for each in expected["kind"]])).max() < 0.1

    tokens = [argus.backbone.encode(*case, argus.needs) for case in CASES]
    assert 0 < apart(argus.compile("openvino", graph=out), tokens) < 0.2  # four images of noise
    other = small_argus("convolutions")
    with pytest.raises(ArgusError, match=r"has weights \w+, this backbone \w+"):
        other.compile("openvino", graph=out)
    with pytest.raises(ArgusError, match="argus export --format openvino"):
        argus.compile("openvino", graph=tmp_path)


def test_a_broken_graph_is_refused():
    """Of a network that gives something else, tokens and answers are off."""
    argus = small_argus()
    eager = argus.backbone.model.forward_intermediates
    torch.manual_seed(3)

    def broken(images, **options):
        return [(torch.randn_like(tap), torch.randn_like(extra)) for tap, extra in eager(images, **options)]

    drift = measure(argus, broken, photographs(4))
    assert abs(drift.cosines[0]) < 0.3 and drift.agreement["masks"] < 0.9
    with pytest.raises(ArgusError, match=r"too much: layer 0 \(cosine .*masks \(.* %\); allowed are cosines of 0.9"):
        drift.check()
    same = measure(argus, None, photographs(4))
    assert same.agreement == {"kind": 1.0, "masks": 1.0} and same.cosines[0] == pytest.approx(1, abs=1e-5)
    same.check()
    with pytest.raises(ArgusError, match="layer 0"):
        Drift(1, {0: float("nan")}, {}).check()


def test_int8_needs_images(tmp_path):
    argus = small_argus()
    with pytest.raises(ArgusError, match=r"on images of yours; .*argus export --int8 FOLDER"):
        argus.compile("openvino", "int8")
    with pytest.raises(ArgusError, match="7 images are too few"):
        argus.compile("openvino", "int8", photographs(7))
    with pytest.raises(ArgusError, match="0 images are too few"):
        argus.export_openvino(tmp_path / "out", int8=tmp_path)
    with pytest.raises(ArgusError, match="there is no folder"):
        argus.compile("openvino", "int8", tmp_path / "missing")
    with pytest.raises(ArgusError, match="images are for precision='int8'"):
        argus.compile("openvino", "bf16", photographs(8))
    assert argus.backbone._compiled is None


def test_a_cpu_without_products_of_int8_is_refused(monkeypatch):
    argus = small_argus()
    monkeypatch.setattr(int8.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(int8, "cpu_flags", lambda: {"sse4_2", "avx2", "avx512f"})
    with pytest.raises(ArgusError, match="none of the flags avx512_vnni, avx_vnni, amx_int8"):
        argus.compile("openvino", "int8", photographs())
    for flags in ({"avx2", "avx_vnni"}, set()):
        monkeypatch.setattr(int8, "cpu_flags", lambda flags=flags: flags)
        int8.check_cpu()


def test_half_of_the_images_calibrate_and_the_others_check():
    images = [f"{number}.jpg" for number in range(1000)]
    calibrating, checking = halves(images)
    assert len(calibrating) == len(checking) == int8.EACH and not {*calibrating} & {*checking}
    for half in (calibrating, checking):  # from all parts of a sorted folder
        assert int(half[0][:-4]) < 50 and int(half[-1][:-4]) > 950
    assert [*map(len, halves(images[:9]))] == [4, 4]


def test_agreement_is_one_of_equal_answers_only():
    classes = [Classes(torch.tensor(scores)) for scores in ([0.1, 0.9], [0.2, 0.8], [0.6, 0.4])]
    assert [agreement(classes[0], other) for other in classes] == [1, 1, 0]
    boxes = torch.tensor([[0.0, 0, 50, 50], [100, 100, 180, 190]])
    exact = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]))
    assert agreement(exact, exact) == 1
    assert agreement(exact, Detections(boxes[:1], exact.scores[:1], exact.labels[:1])) == pytest.approx(2 / 3)
    none = Detections(boxes, exact.scores / 10, exact.labels)
    assert agreement(exact, none) == 0 and np.isnan(agreement(none, none)) and np.isnan(agreement(3, 3))


def test_layers_that_a_graph_lacks_are_named():
    class Empty:
        outputs = ()

    network = OpenVINONetwork(small_argus().backbone, "fp32", Empty())
    with pytest.raises(ArgusError, match="lacks map_0, prefix_0: make it anew"):
        network(torch.zeros(1, 3, 32, 32), indices=[0])
