"""Of whose accounts something is, as a command line says it: `--account`s, or `--all-accounts`."""

from __future__ import annotations

from typing import Literal

import click

from service.account_scope import ALL


def scope_of(accounts: tuple[str, ...], *, all_accounts: bool) -> list[str] | Literal["all"]:
    """Return it as a file has it.

    Raises:
        click.UsageError: Neither is given or both are, or an account cannot be meant.
    """
    if bool(accounts) == all_accounts:
        raise click.UsageError("name each --account, or give --all-accounts")
    if ALL in accounts:
        raise click.UsageError(
            "--account all names an account: for all of them give --all-accounts"
        )
    if not all(accounts):
        raise click.UsageError("--account: the name of an account is not empty")
    return list(accounts) or ALL
