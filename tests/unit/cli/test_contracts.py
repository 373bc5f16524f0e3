"""The documents in contracts/: current, and valid by the standards they are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from cli.contracts.documents import documents
from cli.main import main
from tests.documents import CONTRACTS, examples, read, validator

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = documents()
SCHEMAS = [path for path in WRITTEN if path.startswith("schemas/")]


@pytest.mark.parametrize("path", WRITTEN)
def test_a_document_is_current(path: str) -> None:
    """What is committed is what the models say today."""
    committed = (CONTRACTS / path).read_text(encoding="utf-8")
    assert committed == WRITTEN[path], "stale: run `uv run settle contracts contracts`"


def test_nothing_else_lies_among_the_documents() -> None:
    """A document that is written no more is removed."""
    files = (path for path in CONTRACTS.rglob("*") if path.is_file())
    assert {path.relative_to(CONTRACTS).as_posix() for path in files} == set(WRITTEN)


def test_the_command_writes_them(tmp_path: Path) -> None:
    """Into a directory that need not be there, and over what is."""
    directory = tmp_path / "new"
    for _ in range(2):
        ended = CliRunner().invoke(main, ["contracts", str(directory)])
        assert ended.output.split() == [str(directory / path) for path in WRITTEN]
    for path, text in WRITTEN.items():
        assert (directory / path).read_text(encoding="utf-8") == text


def test_the_command_says_what_it_could_not_write(tmp_path: Path) -> None:
    """The file and why, in one line."""
    (tmp_path / "schemas").touch()
    ended = CliRunner().invoke(main, ["contracts", str(tmp_path)])
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"Error: {tmp_path / 'schemas'}: ")


def test_the_http_door_is_described_in_openapi() -> None:
    """By the rules of OpenAPI 3.1, its schemas and defaults included."""
    document = read("openapi.json")
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.parametrize("path", SCHEMAS)
def test_a_schema_is_one(path: str) -> None:
    """By the metaschema of the dialect that it names."""
    schema = read(path)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", ["openapi.json", "asyncapi.json"])
def test_the_schemas_of_a_door_are_schemas(path: str) -> None:
    """In the dialect of the document: AsyncAPI's is draft 07."""
    kind = Draft7Validator if path == "asyncapi.json" else Draft202012Validator
    for schema in read(path)["components"]["schemas"].values():
        kind.check_schema(schema)


@pytest.mark.parametrize("path", WRITTEN)
def test_every_example_is_valid(path: str) -> None:
    """Against the schema of the place where it stands."""
    document = read(path)
    found = list(examples(document))
    assert found
    for example in found:
        validator(document, example.pointer).validate(example.value)
