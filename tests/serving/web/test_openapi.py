"""The API keeps what its own OpenAPI document says, whatever is sent."""

from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving.web.settings import Limits

EXAMPLES = 30  # of each operation and mode


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_whatever_is_sent_is_answered_as_described(start_gateway, jpeg, mode):
    gateway = start_gateway(Limits(requests_per_client=64, photos=5000))
    api = schemathesis.openapi.from_url(f"{gateway.address}/openapi.json")
    job = gateway.client.post("/api/jobs?variants=2", content=jpeg).json()["id"]
    gateway.job_when_done(job)

    def check(operation: schemathesis.APIOperation) -> None:
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), is_real=st.booleans())
        def answers_as_described(case: schemathesis.Case, is_real: bool) -> None:
            # Made-up ids lead nowhere: half of the time they are those of a job that is there.
            if is_real and mode.is_positive and "job_id" in case.path_parameters and case.method != "DELETE":
                case.path_parameters["job_id"] = job
                if "number" in case.path_parameters:
                    case.path_parameters["number"] = 0
            # The document cannot say that bytes must be a photograph, and so not all that fits it is accepted.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        for attempt in range(3):
            try:
                return answers_as_described()
            except BaseException as error:
                if attempt == 2 or not any(map(_is_parsers_race, _with_causes(error))):
                    raise

    checked = 0
    for result in api.get_all_operations():
        operation = result.ok()
        if mode.is_positive or operation.body or operation.query or operation.path_parameters:
            check(operation)
            checked += 1
    assert checked >= (14 if mode.is_positive else 10)


def test_programs_made_from_the_document_keep_their_names(gateway):
    schemas = gateway.client.get("/openapi.json").json()["components"]["schemas"]
    assert list(schemas) == [
        "AboutDocument", "ChoiceDocument", "HintDocument", "JobDocument", "JobPhotoDocument", "LikelyColorDocument",
        "LimitsDocument", "Look", "OutputFormat", "ProblemDocument", "ReferenceDocument", "State", "StatusDocument",
    ]  # fmt: skip
    assert schemas["JobPhotoDocument"]["properties"]["state"] == {"$ref": "#/components/schemas/State"}


def _is_parsers_race(error: BaseException) -> bool:
    """CPython 3.11 counts the depth of its parser for all threads together (its issue 106905); Hypothesis parses."""
    return isinstance(error, SystemError) and "AST constructor recursion depth" in str(error)


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
            yield from _with_causes(other)
