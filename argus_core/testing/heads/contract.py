"""Checks of what a head declares, stores and leaves alone: options, needs, state, process."""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path

import torch

from argus_core.common.options import options_model
from argus_core.saving.build import make_head
from argus_core.saving.checkpoint import load_state, read_tensors, save_head
from argus_core.testing.heads.subject import INFO, Subject, outputs, run, total
from argus_core.testing.kit.isolation import unchanged_process
from argus_core.testing.kit.subprocess import home, report_import, run_job
from argus_core.testing.kit.values import all_equal


def options(subject: Subject) -> None:
    """Every option is a named keyword with a default and survives JSON."""
    for parameter in list(inspect.signature(subject.cls.__init__).parameters.values())[3:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, (
            f"{parameter} is no option: parameters after info and task must be keyword-only and named"
        )
    for name, field in options_model(subject.cls).model_fields.items():
        assert name in subject.options or not field.is_required(), f"option {name!r} has no default"
    text = json.dumps(subject.build().options)
    again = make_head(subject.cls, subject.name, INFO, subject.task, json.loads(text))
    assert json.dumps(again.options) == text, f"options {text} came back from JSON as {json.dumps(again.options)}"


def needs(subject: Subject) -> None:
    """The needs are hashable, name layers of the backbone, and ask for something."""
    needs = subject.build().needs
    hash(needs)
    needs.resolve(INFO)
    assert needs.layers, "needs name no layer"
    assert needs.maps or needs.cls, "needs ask for neither maps nor CLS tokens"


def deterministic(subject: Subject) -> None:
    """One seed gives one set of weights, and eval mode one answer."""
    first, second = subject.build().state_dict(), subject.build().state_dict()
    differing = [key for key in first if not torch.equal(first[key], second[key])]
    assert not differing, f"two instances built from one seed differ in {differing}"
    head, tokens, _ = subject.ready()
    assert all_equal(outputs(head, tokens), outputs(head, tokens)), "two passes in eval mode differ"


def state_round_trip(subject: Subject) -> None:
    """A saved head gives the same answers again, also after its buffers have moved."""
    head, tokens, targets = subject.ready()
    if head.trained:
        head.train().loss(run(head, tokens), targets)
    head.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.safetensors"
        save_head(path, head, {})
        metadata, state = read_tensors(path)
        torch.manual_seed(1)
        restored = subject.cls.restore_options(metadata["options"])
        again = make_head(subject.cls, subject.name, INFO, subject.task, restored)
        load_state(again, state, "the saved file")
        same = all_equal(outputs(head, tokens), outputs(again.eval(), tokens))
    assert same, "a saved and restored head answers differently: what it uses must be a parameter or a saved buffer"


def global_state(subject: Subject) -> None:
    """Building and using a head changes nothing in the process, and it does not seed the random state."""
    with unchanged_process("the head"):
        head = subject.build(seed=1)
        random_state = torch.get_rng_state()
        tokens, targets = subject.example(head)
        output = run(head, tokens)
        if head.trained:
            total(head.loss(output, targets))
        head.decode(output, tokens.size)
    subject.build(seed=2)
    assert not torch.equal(random_state, torch.get_rng_state()), "the constructor seeds torch's global random state"


def import_hygiene(subject: Subject) -> None:
    """Importing the head's module, in a process of its own, prints and changes nothing."""
    module = subject.cls.__module__
    assert module != "__main__", "the head is defined in __main__: put it in a module that can be imported"
    report = run_job(report_import, home(subject.cls))
    faults = [f"prints {report['printed']!r}"] if report["printed"] else []
    faults += [f"changes the {name} of the process" for name in report["changed"]]
    assert not faults, f"importing {module} {' and '.join(faults)}: do that where the head is built or used"
