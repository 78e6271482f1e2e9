"""`kubectl task run`: a run of a Task, or of an image."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from taskmill.cli import completing, options
from taskmill.cli.exits import CliError, Exit
from taskmill.cli.session import Session, note

if TYPE_CHECKING:
    from taskmill.cli.make import Asked
    from taskmill.kube.errors import ApiError

Raw = dict[str, Any]

PULL = ("Always", "IfNotPresent", "Never")
_POLICY = "ValidatingAdmissionPolicy"


@click.command(
    cls=options.Dashed,
    short_help="Run a Task, or an image.",
    options_metavar="[OPTIONS] [TASK | --image IMAGE]",
    epilog="""\b
kubectl task run build --env CGO_ENABLED=1 --follow
kubectl task run build -- --verbose
kubectl task run --image busybox --wait -- echo hello
kubectl task run --image busybox --script 'echo $1' -- hello""",
)
@options.connected
@click.argument("task", default="", required=False, metavar="", shell_complete=completing.tasks)
@click.option("--env", "env", multiple=True, metavar="K=V", help="For this run; repeatable.")
@click.option("--image", default="", help="Run this image instead of a Task.")
@click.option("--script", default="", help="With --image: text for /bin/sh -e -c.")
@click.option("--command", "is_command", is_flag=True,
              help="With --image: what follows -- is the command, not arguments.")  # fmt: skip
@click.option("--image-pull-policy", "pull", type=click.Choice(PULL), help="With --image.")
@click.option("--name", default="", help="Of the run. Default: made of the Task's or image's.")
@options.timeout
@options.waiting
@options.following
@click.option("--dry-run", type=click.Choice(["client", "server"]), default=None,
              help="Create nothing; client: print it, server: have it checked, too.")  # fmt: skip
@options.output("json", "yaml", "name")
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    task: str,
    env: tuple[str, ...],
    image: str,
    script: str,
    is_command: bool,
    pull: str | None,
    name: str,
    limit: str,
    wait: bool,
    follow: bool,
    dry_run: str | None,
    form: str | None,
) -> Exit:
    """Run a Task as it is now, or an image without any Task, and print the run's name.

    The plan of the Task is frozen into the run: what is edited later is for later runs. What is
    behind -- takes the place of the args. With --follow stdout has the log and nothing else.
    """
    from taskmill.cli.asking import create, seconds, see_through, whoami
    from taskmill.cli.make import Asked, of_image

    args = options.after_dashes()
    if bool(task) == bool(image):
        raise click.UsageError("give a Task's name or --image, one of them")
    if not image and (script or is_command or pull):
        raise click.UsageError("--script, --command and --image-pull-policy go with --image")
    if script and is_command:
        raise click.UsageError("--script and --command cannot both be given")
    variables, time = _env(env), timedelta(seconds=seconds(limit)) if limit else None
    asked = Asked(
        namespace=session.namespace,
        started_by=whoami(session),
        name=name,
        env=variables,
        args=args,
        limit=time,
    )
    if image:
        runs = _runs(image, script, pull, args, is_command=is_command)
        # The container has them already.
        manifest = of_image(runs, _without_args(asked), session.api.now())
        made = create(session, manifest, dry_run=dry_run or "", form=form)
    else:
        manifest = _of_task(session, task.rpartition("/")[2], asked)
        made = create(
            session,
            manifest,
            dry_run=dry_run or "",
            form=form,
            instead=lambda error: _by_reference(session, error, manifest, asked),
        )
    if made is None:
        return Exit.SUCCEEDED
    return see_through(session, made, wait=wait, follow=follow, form=form)


def _env(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := next((name or "=" for name, equals, _ in pairs if not name or not equals), None):
        raise click.UsageError(f"--env {wrong}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _runs(
    image: str, script: str, pull: str | None, args: tuple[str, ...] | None, *, is_command: bool
) -> Raw:
    runs: Raw = {"image": image}
    if script:
        runs["script"] = script
    if args:
        runs["command" if is_command else "args"] = list(args)
    if pull:
        runs["imagePullPolicy"] = pull
    return runs


def _without_args(asked: Asked) -> Asked:
    from dataclasses import replace

    return replace(asked, args=None)


def _of_task(session: Session, name: str, asked: Asked) -> Raw:
    """The Task and all that it depends on, read and frozen."""
    from taskmill.cli.make import of_reference, of_task
    from taskmill.cli.words import missing_right
    from taskmill.kube.errors import Forbidden, NotFound
    from taskmill.kube.resources import TASKS
    from taskmill.plan.freeze import Unresolved, resolve
    from taskmill.plan.world import Task
    from taskmill.reconcile.parse import parse_task

    found: dict[str, Task] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        try:
            found[one] = parse_task(session.api.get(TASKS, asked.namespace, one))
        except NotFound as error:
            if error.details.get("name") != one:
                raise
            continue  # told below, with who needs it
        except Forbidden as error:
            note(f"note: {missing_right(error)}; the operator reads the Task instead")
            return of_reference(name, asked, session.api.now())
        todo.extend((spec.depends_on or ()) if (spec := found[one].spec) else ())
    if name not in found:
        raise CliError(f"no Task called {name} in namespace {asked.namespace}")
    plan = resolve(name, found)
    if isinstance(plan, Unresolved):
        raise CliError(f"Task {name} cannot be run: {plan.sentence}")
    return of_task(found[name], plan, asked, session.api.now())


def _by_reference(session: Session, error: ApiError, manifest: Raw, asked: Asked) -> Raw | None:
    """For those who may start Tasks as they are, and no plan of their own: without one."""
    from taskmill.cli.make import of_reference

    if _POLICY not in error.message or "generation" not in manifest["spec"].get("taskRef", {}):
        return None
    if asked.env or asked.args is not None:
        return None
    note("note: a policy lets you start Tasks only as they are; the operator reads the plan itself")
    return of_reference(manifest["spec"]["taskRef"]["name"], asked, session.api.now())
