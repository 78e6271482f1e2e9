"""One call of the command: whose cluster, and what else a command needs to speak with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from taskmill.cli.connect import Wanted

if TYPE_CHECKING:
    from taskmill.cli.kubeapi import KubeApi


@dataclass(frozen=True)
class Session:
    """What the options said, and the connection that follows from them."""

    wanted: Wanted

    @cached_property
    def api(self) -> KubeApi:
        """The connection, made when it is first needed."""
        from taskmill.cli.connect import connect
        from taskmill.cli.kubeapi import KubeApi

        return KubeApi(connect(self.wanted))

    @property
    def namespace(self) -> str:
        """The one given, else the context's."""
        return self.api.access.namespace

    def command(self, word: str, *arguments: str) -> str:
        """A line that the user can enter next, with the options that they gave."""
        given = (
            ("-n", self.wanted.namespace),
            ("--context", self.wanted.context),
            ("--kubeconfig", self.wanted.kubeconfig),
            ("--as", self.wanted.as_user),
        )
        options = [part for pair in given if pair[1] for part in pair]
        return shlex.join(["kubectl", "task", word, *arguments, *options])


def note(text: str) -> None:
    """Tell the person at the terminal; never mixed into the data."""
    click.echo(text, err=True)
