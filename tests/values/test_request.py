from __future__ import annotations

import gc
import weakref
from dataclasses import replace

from prefect_llm.values.request import AnswerFormat, Parameters


class Derived:
    def __init__(self, parameters: Parameters, word: str = "") -> None:
        self.text = parameters.model + word


def test_what_is_derived_from_parameters_is_made_once_for_each_function_and_arguments() -> None:
    parameters = Parameters("m")
    assert parameters.derived(Derived) is parameters.derived(Derived)
    assert parameters.derived(Derived, "!").text == "m!"
    assert parameters.derived(Derived, "!") is not parameters.derived(Derived, "?")


def test_changed_parameters_begin_without_what_was_derived() -> None:
    parameters = Parameters("m")
    parameters.derived(Derived)
    assert replace(parameters, model="n").derived(Derived).text == "n"


def test_what_is_derived_goes_with_its_parameters() -> None:
    """Rows with parameters of their own must not fill the memory."""
    parameters = Parameters("m")
    derived = weakref.ref(parameters.derived(Derived))
    assert derived() is not None
    del parameters
    gc.collect()
    assert derived() is None


def test_the_schema_is_that_of_the_answer_format() -> None:
    assert Parameters("m").schema is None
    assert Parameters("m", answer_format=AnswerFormat({"type": "string"}, str)).schema == {"type": "string"}
