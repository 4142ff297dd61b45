"""The command `helmetwatch`. A command's module is imported when it is asked for: each needs other libraries."""

import importlib
import importlib.metadata

import click

from app import logs

_COMMANDS = {
    "bench": "bench.command:bench",
    "check": "app.check:check",
    "demo": "app.demo:demo",
    "desk": "app.run_desk:desk",
    "evaluate": "app.evaluate:evaluate",
    "forget": "app.registers:forget",
    "forget-telemetry": "app.forget_telemetry:forget_telemetry",
    "import": "app.registers:import_",
    "observe": "app.observe:observe",
    "outbox": "app.outbox:outbox",
    "reconcile": "app.reconcile:command",
    "replay": "app.replay:replay",
    "simulate": "app.simulate:simulate",
    "user": "app.run_desk:user",
    "what-if": "app.what_if:what_if",
    "worker": "app.run_worker:worker",
}


class _Commands(click.Group):
    """Commands that are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command) and command.name == cmd_name  # noqa: S101
        return command


@click.command(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(importlib.metadata.version("helmetwatch"), prog_name="helmetwatch")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def main(verbose: bool) -> None:
    """Crash detection and alert desk for people who ride for a living.

    Begin with `helmetwatch demo`: a broker, a worker, the desk and a simulated fleet on this machine.
    """
    logs.configure(verbose=verbose)


if __name__ == "__main__":
    main()
