"""The gateway against its own description: contracts/openapi.json, by a tool of others.

Schemathesis makes requests of all kinds from the document, good and bad, and holds
each answer against what the document says of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.accounts import creating_role
from tests.gateway import new_key

if TYPE_CHECKING:
    from tests.gateway import Gateway, Gateways
    from tests.service import Service

CONTRACT = Path(__file__).parents[2] / "contracts" / "openapi.json"

# A position may be trimmed, however valid it is; and nobody waits for outcomes here. What no
# schema of reasonable size can say: PostgreSQL refuses NUL in any text of a payload, and a
# number of a million digits; a cursor is one that a list has given.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "5xx"]

[[operations]]
include-operation-id = "listOutcomes"
parameters = { "query.wait" = 0 }

[[operations]]
include-operation-id = "createEvents"
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "5xx"]

[[operations]]
include-operation-id = "listEvents"
[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "5xx"]
"""


def example_ids() -> set[str]:
    """Return the ids of the events in the examples, so that there may be such events."""
    operations = json.loads(CONTRACT.read_text())["paths"]
    (id_,) = operations["/v2/api/events/{id}"]["get"]["parameters"]
    return {example["value"] for example in id_["examples"].values()}


@pytest.mark.storms
def test_the_gateway_is_as_its_document_says(
    service: Service, gateways: Gateways, tmp_path: Path
) -> None:
    """Every check, in every phase: examples, coverage, fuzzing, and one request after another."""
    service.load(*example_ids(), account="acct_9")
    key, entry = new_key("tool", "--all-accounts")
    keys = tmp_path / "keys.toml"
    keys.write_text(entry)
    with creating_role(service.database_url) as role_url:
        gateway = gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(keys), DATABASE_URL=role_url)
        ended = run_schemathesis(gateway, key, tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert gateway.ask("GET", "/healthz").status == 200
        assert "Traceback" not in gateway.log.read_text()


def run_schemathesis(gateway: Gateway, key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold the gateway against its document, and return how that ended."""
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(CONTRACT)),
            *("--url", gateway.url, "--checks", "all", "--no-color"),
            *("--phases", "examples,coverage,fuzzing,stateful"),
            *("--header", f"Authorization: Bearer {key}"),
            *("--max-examples", "40", "--seed", "1", "--workers", "1"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
