"""The engine: images share passes, everybody gets the answer to their own, and nothing is lost."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus_core.errors import ArgusError
from argus_core.serve.engine import Engine
from argus_core.serve.refusal import Busy, Stopping
from serve_help import Counting

LONG = 60.0


def run(work, **options):
    """What ``work(engine)`` returns, and the model that it asked."""
    model = Counting(options.pop("seconds", 0.0))

    async def main():
        async with Engine(model, **options) as engine:
            return await asyncio.wait_for(work(engine), 20)

    return asyncio.run(main()), model


async def ask(engine, *images):
    """The answers to images asked at once, or the errors."""
    work = (engine.answer(image, ["head"]) for image in images)
    answers = await asyncio.gather(*work, return_exceptions=True)
    return [answer if isinstance(answer, BaseException) else answer["head"] for answer in answers]


def test_images_that_wait_share_passes_and_get_their_own_answers():
    answers, model = run(lambda engine: ask(engine, *range(20)), batch=8, wait=0.05)
    assert answers == list(range(20))
    assert [len(images) for images in model.passes] == [8, 8, 4]


def test_a_full_batch_does_not_wait_for_more():
    answers, _ = run(lambda engine: ask(engine, *range(4)), batch=4, wait=LONG)
    assert answers == [0, 1, 2, 3]


def test_the_first_image_waits_no_longer_than_it_may():
    answers, model = run(lambda engine: ask(engine, 1), batch=4, wait=0.01)
    assert answers == [1] and model.passes == [[1]]


def test_later_images_do_not_make_the_first_wait_longer():
    async def work(engine):
        first = asyncio.create_task(engine.answer("first", ["head"]))
        others = []
        while not first.done():
            others.append(asyncio.create_task(engine.answer("other", ["head"])))
            await asyncio.sleep(0.05)
        await asyncio.gather(*others)
        return len(others)

    others, _ = run(work, batch=1000, queue=1000, wait=0.2)
    assert others < 20


def test_one_bad_image_does_not_hurt_the_others():
    answers, _ = run(lambda engine: ask(engine, 1, "bad", 3, 4), batch=4, wait=LONG)
    assert isinstance(answers.pop(1), ArgusError)
    assert answers == [1, 3, 4]


def test_a_full_queue_refuses_and_loses_nothing():
    answers, _ = run(lambda engine: ask(engine, *range(12)), batch=2, queue=5, wait=0.01, seconds=0.02)
    refused = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(refused) == 7 and refused[0].status == 503 and "Retry-After" in refused[0].headers
    assert [answer for answer in answers if not isinstance(answer, Busy)] == [0, 1, 2, 3, 4]


def test_a_caller_who_leaves_takes_the_job_along_and_makes_room():
    async def work(engine):
        first = asyncio.create_task(engine.answer("first", ["head"]))
        await asyncio.sleep(0.05)  # the model has begun
        leaving = [asyncio.create_task(engine.answer("gone", ["head"])) for _ in range(2)]
        await asyncio.sleep(0)
        assert engine.full
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert engine.waiting == 0
        return await asyncio.gather(first, engine.answer("last", ["head"]))

    _, model = run(work, batch=1, queue=2, wait=0, seconds=0.2)
    assert model.passes == [["first"], ["last"]]


def test_a_caller_who_leaves_while_the_model_works_harms_nobody():
    async def work(engine):
        tasks = [asyncio.create_task(engine.answer(number, ["head"])) for number in range(2)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        return (await tasks[1])["head"]

    assert run(work, batch=2, wait=LONG, seconds=0.2)[0] == 1


def test_calls_take_turns_on_the_thread_of_the_model():
    async def work(engine):
        images = ask(engine, *range(5))
        calls = asyncio.gather(*(engine.run(lambda model, n=n: model.call(n)) for n in range(5)))
        return await asyncio.gather(images, calls)

    (answers, values), model = run(work, batch=2, wait=0.01, seconds=0.002)
    assert answers == values == [0, 1, 2, 3, 4]
    assert len(model.threads) == 1 and threading.get_ident() not in model.threads


def test_what_a_call_raises_reaches_its_caller():
    def fail(model):
        raise KeyError("mine")

    async def work(engine):
        with pytest.raises(KeyError, match="mine"):
            await engine.run(fail)
        return await engine.run(lambda model: "after")

    assert run(work)[0] == "after"


def test_closing_finishes_what_was_taken_and_takes_nothing_more():
    async def main():
        engine = Engine(Counting(0.02), batch=2, wait=LONG, queue=50)
        async with engine:
            asked = asyncio.create_task(ask(engine, *range(9)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(Stopping):
            await engine.answer(1, ["head"])
        return await asked

    assert asyncio.run(main()) == list(range(9))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["image", "bad", "call", "leave"]), max_size=25),
    st.integers(1, 6),
    st.sampled_from([0, 0.003]),
)
def test_everybody_gets_an_answer_of_their_own(kinds, batch, wait):
    async def one(engine, kind, number):
        await asyncio.sleep(number % 4 * 0.001)
        if kind == "call":
            return await engine.run(lambda model: model.call(number))
        if kind == "leave":
            task = asyncio.create_task(engine.answer(number, ["head"]))
            await asyncio.sleep(number % 3 * 0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return number
        image = "bad" if kind == "bad" else number
        try:
            return (await engine.answer(image, ["head"]))["head"]
        except ArgusError:
            assert kind == "bad"
            return number

    async def work(engine):
        return await asyncio.gather(*(one(engine, kind, number) for number, kind in enumerate(kinds)))

    answers, model = run(work, batch=batch, wait=wait, queue=30, seconds=0.0005)
    assert answers == list(range(len(kinds)))
    assert all(len(images) <= batch for images in model.passes)
